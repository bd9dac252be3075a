//! One lookup of a message that passes several devices, with its path.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::lab::ctl::{ctl, load_hook, nothing_left};
use crate::lab::daemon::Daemon;
use crate::lab::names::{NameServers, dig_with};
use crate::lab::net::{self, BRIDGE, FORGETFUL, SERVER};
use crate::lab::reader::Watch;

/// Names that are asked for over UDP.
const DATAGRAMS: u64 = 5;
/// Devices from the client to the server, and how a query passes them; only those of the guest's own
/// namespace have a name for the reader.
const PATH: [(Option<&str>, &str); 5] = [
    (None, "egress"),
    (Some("port0"), "ingress"),
    (Some(BRIDGE), "ingress"),
    (Some("up0"), "egress"),
    (None, "ingress"),
];

/// From a client behind a bridge to a server behind another device; and within the server's namespace.
pub(crate) fn routed() -> Result<()> {
    net::route()?;
    let _names = NameServers::start()?;
    let address = format!("{FORGETFUL}:53");
    let forgetful = Daemon::start(
        "forgetful",
        &mut net::inside("server", &["guest", "forgetful", &address]),
    )?;
    let _forgetful = forgetful.ready(5, |d| {
        let table = fs::read_to_string(format!("/proc/{}/net/udp", d.pid()))?;
        Ok(table.contains("0400350A:0035"))
    })?;
    load_hook("tracepoint", &["--local"])?.ok()?;
    let watch = Watch::start(&[])?;
    for turn in 0..DATAGRAMS {
        let name = format!("turn{turn}.wild.example.test");
        dig_with(SERVER.0, &[&name, "A", "+notcp", "+nocookie"])?.ok()?;
    }
    dig_with(SERVER.0, &["www.example.test", "A", "+tcp"])?.ok()?;
    net::run("client", &["guest", "insist", &address])?.ok()?;
    let at = format!("@{}", SERVER.0);
    let own = ["dig", &at, "own.wild.example.test", "+notcp", "+tries=1"];
    net::run("server", &own)?.ok()?;
    let seen = watch.stop()?;
    // Five hops a message, but two of what stays within the server's namespace. The two messages over TCP lie
    // in page fragments, where the tracepoints cannot read them: counted at each hop.
    let routed = DATAGRAMS + 1;
    let lookups = routed + 1;
    seen.counts(&[
        ("reader/lookups", lookups),
        ("reader/answered", lookups),
        ("reader/queries", (routed + 1) * 5 + 2),
        ("reader/responses", routed * 5 + 2),
        ("reader/retransmissions", 1),
        ("reader/query_hops", (routed + 1) * 4 + 1),
        ("reader/response_hops", routed * 4 + 1),
        ("reader/orphans", 0),
        ("reader/timeouts", 0),
        ("reader/pending", 0),
        ("reader/duplicates", 0),
        ("reader/owners/known", lookups),
        ("reader/owners/unknown", 0),
        ("kernel/ring_full", 0),
        ("kernel/unreadable", 2 * 5),
    ])?;
    for line in &seen.lookups {
        let name = line.pointer("/dns/question/name").and_then(Value::as_str);
        let name = name.with_context(|| format!("a lookup without a name: {line}"))?;
        let path: &[_] = match name.split('.').next() {
            Some("own") => &[(None, "egress"), (None, "ingress")],
            _ => &PATH,
        };
        same_path(line, path)?;
        let again = u64::from(name.starts_with("again"));
        let told = line.pointer("/dns_trace/retransmissions");
        ensure!(told == Some(&again.into()), "{name}: {told:?}: {line}");
        ensure!(line.pointer("/process/pid").is_some(), "nobody's: {line}");
    }
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

fn same_path(line: &Value, wanted: &[(Option<&str>, &str)]) -> Result<()> {
    let path = line.pointer("/dns_trace/path").and_then(Value::as_array);
    let path = path.with_context(|| format!("no path: {line}"))?;
    let text = |hop: &Value, field: &str| {
        let text = hop.pointer(field).and_then(Value::as_str);
        text.map(str::to_owned)
    };
    let found: Vec<_> = path
        .iter()
        .map(|hop| (text(hop, "/interface/name"), text(hop, "/direction")))
        .collect();
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(name, way)| (name.map(str::to_owned), Some((*way).to_owned())))
        .collect();
    ensure!(
        found == wanted,
        "path {found:?}, expected {wanted:?}: {line}"
    );
    ensure!(
        line.pointer("/dns_trace/response_last_seen").is_none(),
        "the response came back: {line}"
    );
    Ok(())
}
