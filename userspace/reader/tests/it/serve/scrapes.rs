//! The server, over sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use dns_trace::serve::{Plan, Server, http};

use super::{limits, measured};

fn start() -> (Server, SocketAddr) {
    let listener = http::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let plan = Plan::new(Some(listener), measured(limits())).unwrap();
    (plan.start().unwrap(), address)
}

/// Sends a request, and reads the answer to its end.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // The server may end the connection before it has all of it.
    let _ = stream.write_all(request.as_bytes());
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n"),
    )
}

#[test]
fn the_format_is_what_the_client_accepts() {
    let (server, address) = start();
    let plain = get(address, "/metrics", "");
    assert!(plain.starts_with("HTTP/1.1 200 OK\r\n"), "{plain}");
    assert!(
        plain.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{plain}"
    );
    assert!(plain.contains("\ndns_queries_total 7\n"), "{plain}");
    // As Prometheus 2.42 asks.
    let accept =
        "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";
    let open = get(address, "/metrics?x=y", accept);
    assert!(
        open.contains("content-type: application/openmetrics-text; version=1.0.0;"),
        "{open}"
    );
    assert!(open.ends_with("# EOF\n"), "{open}");
    let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    server.stop().unwrap();
    TcpStream::connect(address).unwrap_err();
}

#[test]
fn everything_else_is_answered_too() {
    let (server, address) = start();
    for (request, wanted) in [
        ("GET / HTTP/1.0\r\n\r\n", "200 OK"),
        ("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", "200 OK"),
        ("GET /else HTTP/1.1\r\nHost: h\r\n\r\n", "404 Not Found"),
        (
            "POST /metrics HTTP/1.1\r\nHost: h\r\n\r\n",
            "405 Method Not Allowed",
        ),
        ("\x16\x03\x01 TLS", "400 Bad Request"),
    ] {
        let answer = ask(address, &format!("{request}\r\n"));
        assert!(
            answer.contains(&format!(" {wanted}\r\n")),
            "{request:?}: {answer}"
        );
    }
    // A head without end.
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(1 << 20));
    let answer = ask(address, &long);
    assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
    assert!(get(address, "/metrics", "").contains("dns_queries_total"));
    server.stop().unwrap();
}

/// Who connects and says nothing, on every connection there is, holds others up for a few seconds only.
#[test]
fn silent_clients_do_not_shut_others_out() {
    let (server, address) = start();
    let silent: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    let text = get(address, "/metrics", "");
    assert!(text.contains("dns_queries_total"), "{text}");
    assert!(
        began.elapsed() < Duration::from_secs(19),
        "{:?}",
        began.elapsed()
    );
    drop(silent);
    server.stop().unwrap();
}
