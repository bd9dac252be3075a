//! HTTP for scrapes: `/metrics`, and `/healthz` for those who restart what does not answer.
//!
//! Whoever reaches the port may be anybody: there is a bound for connections, for their requests and for
//! their time.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::prometheus::{Exposition, Format};
use crate::metrics::Measures;

/// Most connections at a time; further ones wait until they are accepted.
const CONNECTIONS_MAX: usize = 16;
/// How long a request may take to come.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// How long a connection may last. It is for one request.
const CONNECTION_MAX: Duration = Duration::from_secs(30);
/// Largest head of a request, octets.
const HEAD_MAX: usize = 16 << 10;
/// The reader writes its counters down once a second; one that has not for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// After a connection that could not be accepted, for want of descriptors mostly.
const PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";

/// Listens.
///
/// # Errors
/// The kernel's, with what mends it.
pub fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        let port = address.port();
        format!(
            "cannot listen on {address} for scrapes (see who does: sudo ss -ltnp sport = {port}; or give \
             another: --listen ADDRESS:PORT)"
        )
    })?;
    listener
        .set_nonblocking(true)
        .with_context(|| format!("cannot wait for scrapes on {address}"))?;
    Ok(listener)
}

/// Answers for ever.
///
/// # Errors
/// The kernel's, if the socket cannot be waited for.
pub async fn serve(listener: TcpListener, measures: Arc<Measures>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let exposition = Arc::new(Exposition::new(Arc::clone(&measures)));
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(REQUEST_MAX)
        .keep_alive(false)
        .max_buf_size(HEAD_MAX);
    loop {
        let room = Arc::clone(&room).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let (exposition, measures) = (Arc::clone(&exposition), Arc::clone(&measures));
        let service = service_fn(move |request| {
            let response = answer(&request, &exposition, &measures);
            async { Ok::<_, Infallible>(response) }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Ok(Err(error)) = timeout(CONNECTION_MAX, connection).await {
                tracing::debug!(%error, "a scrape broke off");
            }
            drop(room);
        });
    }
}

fn answer<B: Body>(
    request: &Request<B>,
    exposition: &Exposition,
    measures: &Measures,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allow);
        return response;
    }
    match request.uri().path() {
        "/metrics" => {
            let format = Format::accepted(&accept(request.headers()));
            match exposition.text(format) {
                Ok(body) => typed(StatusCode::OK, body, format.content_type()),
                Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be written\n"),
            }
        }
        "/healthz" if measures.board.read().at.elapsed() > SILENCE_MAX => {
            text(StatusCode::SERVICE_UNAVAILABLE, "the rings are not read\n")
        }
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/" => text(StatusCode::OK, "dns-trace: metrics are at /metrics\n"),
        _ => text(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    }
}

/// What a client accepts; it may say so in several headers.
fn accept(headers: &HeaderMap) -> String {
    let values = headers.get_all(ACCEPT).into_iter();
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    typed(status, body, TEXT)
}

fn typed(
    status: StatusCode,
    body: impl Into<Bytes>,
    content_type: &'static str,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
