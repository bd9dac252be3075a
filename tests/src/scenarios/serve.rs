//! `dns-trace serve`: a real Prometheus scrapes it, and has what was asked, neither more nor less.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::init::note;
use crate::lab::ctl::{ctl, load_at_server, nothing_left};
use crate::lab::daemon::Daemon;
use crate::lab::names::{NameServers, dig, dig_with};
use crate::lab::net::{self, MUTE, SERVER};
use crate::lab::reader::{GROUP, Watch, unprivileged};
use crate::lab::sh::{self, sh};

const ADDRESS: &str = "127.0.0.1:19153";
const PROMETHEUS: &str = "127.0.0.1:9090";
const CONFIG: &str = "\
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: dns
    static_configs:
      - targets: ['127.0.0.1:19153']
";

/// Questions, how often each is asked, and whether over TCP.
const ASKED: [(&str, &str, u32, &str); 4] = [
    ("www.example.test", "A", 12, "+notcp"),
    ("www.example.test", "AAAA", 5, "+notcp"),
    ("nowhere.example.test", "A", 3, "+notcp"),
    ("text.example.test", "TXT", 2, "+tcp"),
];

/// What Prometheus has of these.
const EXPECTED: [(&str, &str); 13] = [
    ("up", "1"),
    (
        "dns_lookup_duration_seconds_count{type='A',rcode='NOERROR',server='10.53.0.2',transport='udp',name='www.example.test'}",
        "12",
    ),
    (
        "dns_lookup_duration_seconds_count{type='AAAA',rcode='NOERROR'}",
        "5",
    ),
    (
        "dns_lookup_duration_seconds_count{rcode='NXDOMAIN',name='other'}",
        "3",
    ),
    (
        "dns_lookup_duration_seconds_count{type='TXT',transport='tcp'}",
        "2",
    ),
    ("sum(dns_lookup_duration_seconds_bucket{le='+Inf'})", "22"),
    (
        "dns_lookup_errors_total{error='timeout',server='10.53.0.3',type='MX'}",
        "1",
    ),
    ("dns_lookups_total{outcome='answered'}", "22"),
    ("dns_lookups_total{outcome='timeout'}", "1"),
    ("dns_queries_total", "23"),
    ("dns_responses_total", "22"),
    ("sum(dns_trace_lost_messages_total)", "0"),
    ("dns_trace_build_info{version!=''}", "1"),
];

/// Scraped while it counts, and compared exactly; the tool that checks metrics finds nothing.
pub(crate) fn prometheus() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load_at_server(&["--local"])?.ok()?;
    let words = [
        "serve",
        "--timeout",
        "2s",
        "--names",
        "8",
        "--name-part",
        "whole",
    ];
    let mut reader = Watch::start_command(&words)?;
    let pid = reader.daemon().pid();
    sh::wait_for("its port", 10, || Ok(get(ADDRESS, "/healthz").is_ok()))?;
    a_second_one_is_refused()?;
    fs::write("/run/lab/prometheus.yml", CONFIG)?;
    let listen = format!("--web.listen-address={PROMETHEUS}");
    let words = [
        "prometheus",
        "--config.file=/run/lab/prometheus.yml",
        "--storage.tsdb.path=/run/lab/prometheus",
        &listen,
    ];
    let scraper = Daemon::start("prometheus", &mut sh::command(&words))?;
    let scraper = scraper.ready(60, |_| Ok(value("up").is_ok_and(|up| up == "1")))?;
    for (name, kind, times, transport) in ASKED {
        for _ in 0..times {
            dig_with(SERVER.0, &[name, kind, transport, "+nocookie"])?.ok()?;
        }
    }
    // Nobody answers.
    dig(MUTE, "never.example.test", "MX")?;
    for (query, wanted) in EXPECTED {
        sh::wait_for(query, 20, || {
            Ok(value(query).is_ok_and(|found| found == wanted))
        })
        .with_context(|| format!("{query} is {:?}, expected {wanted}", value(query)))?;
    }
    // It stays at that.
    std::thread::sleep(Duration::from_secs(3));
    for (query, wanted) in EXPECTED {
        let found = value(query)?;
        ensure!(found == wanted, "{query} is {found}, expected {wanted}");
    }
    let text = get(ADDRESS, "/metrics")?;
    let telling = ["_count{", "errors_total{", "lag_"];
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    for line in lines.filter(|line| telling.iter().any(|part| line.contains(part))) {
        note(line)?;
    }
    let checked = sh::run_with(&mut sh::command(&["promtool", "check", "metrics"]), &text)?.ok()?;
    ensure!(
        checked.stdout.is_empty() && checked.stderr.is_empty(),
        "promtool finds: {}{}",
        checked.stdout,
        checked.stderr
    );
    let threads = sh(&["ls", &format!("/proc/{pid}/task")])?;
    note(&format!("{} threads", threads.lines().count()))?;
    let seen = reader.stop()?;
    seen.counts(&[
        ("reader/queries", 23),
        ("reader/answered", 22),
        ("reader/timeouts", 1),
        ("reader/orphans", 0),
        ("kernel/ring_full", 0),
    ])?;
    scraper.signal(Signal::TERM)?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// The port is taken: it says so, with what mends it.
fn a_second_one_is_refused() -> Result<()> {
    let words = ["dns-trace", "serve"];
    let outcome = sh::run(&mut unprivileged(Some(GROUP), &words))?.exits(1)?;
    outcome.refuses(&["cannot listen on", ADDRESS, "ss -ltnp", "--listen"])?;
    Ok(())
}

/// What is at a path; anything but 200 is an error.
pub(super) fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // Of 1.0 since its bodies come in one piece.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.contains(" 200 "), "{address}{path}: {head}");
    Ok(body.to_owned())
}

/// The value of a query that has one result.
fn value(query: &str) -> Result<String> {
    let mut path = "/api/v1/query?query=".to_owned();
    for byte in query.bytes() {
        path.push_str(&format!("%{byte:02x}"));
    }
    let answer: Value = serde_json::from_str(&get(PROMETHEUS, &path)?)?;
    let results = answer.pointer("/data/result").and_then(Value::as_array);
    let results = results.with_context(|| format!("no result: {answer}"))?;
    ensure!(results.len() == 1, "{} results for {query}", results.len());
    let value = answer
        .pointer("/data/result/0/value/1")
        .and_then(Value::as_str);
    Ok(value.context("no value")?.to_owned())
}
