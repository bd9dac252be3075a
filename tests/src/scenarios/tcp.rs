//! Lookups over TCP, and what a datagram could not hold.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::lab::ctl::{ctl, load_at_server, nothing_left};
use crate::lab::names::{NameServers, dig_with};
use crate::lab::net::{self, SERVER};
use crate::lab::reader::Watch;

/// Two lookups in one connection, one in another, and one that begins as a datagram, is answered
/// with TC and goes on over TCP.
pub(crate) fn lookups() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load_at_server(&["--local"])?.ok()?;
    let watch = Watch::start(&[])?;
    let questions: [&[&str]; 3] = [
        &[
            "+tcp",
            "+keepopen",
            "www.example.test",
            "A",
            "text.example.test",
            "TXT",
        ],
        &["+tcp", "nowhere.example.test", "A"],
        &["long.example.test", "TXT", "+bufsize=1232"],
    ];
    for words in questions {
        dig_with(SERVER.0, words)?.ok()?;
    }
    let seen = watch.stop()?;
    // Over TCP: www, text, nowhere, long; as a datagram: long.
    seen.counts(&[
        ("reader/queries", 5),
        ("reader/responses", 5),
        ("reader/answered", 5),
        ("reader/udp_messages", 2),
        ("reader/tcp/messages", 8),
        ("reader/tcp/truncated", 0),
        ("reader/tcp/no_start", 0),
        ("reader/tcp/dropped", 0),
        ("reader/tcp/given_up_gap", 0),
        ("reader/tcp/given_up_cut_off", 0),
        ("reader/orphans", 0),
        ("reader/timeouts", 0),
        ("reader/malformed", 0),
        ("kernel/ring_full", 0),
        ("kernel/malformed", 0),
        ("kernel/truncated", 0),
    ])?;
    let submitted = seen.number("kernel/submitted")?;
    let taken = seen.number("reader/tcp/segments")? + seen.number("reader/udp_messages")?;
    ensure!(submitted == taken, "{submitted} records, {taken} taken");
    one(&seen.lookups, "www.example.test", "tcp", "NOERROR")?;
    one(&seen.lookups, "text.example.test", "tcp", "NOERROR")?;
    one(&seen.lookups, "nowhere.example.test", "tcp", "NXDOMAIN")?;
    let cut = one(&seen.lookups, "long.example.test", "udp", "NOERROR")?;
    let flags = cut.pointer("/dns/header_flags").and_then(Value::as_array);
    ensure!(
        flags.is_some_and(|flags| flags.iter().any(|flag| flag == "TC")),
        "no TC in {cut}"
    );
    let whole = one(&seen.lookups, "long.example.test", "tcp", "NOERROR")?;
    let data = whole.pointer("/dns/answers/0/data").and_then(Value::as_str);
    ensure!(
        data.is_some_and(|data| data.len() > 3000),
        "the answer is not whole: {whole}"
    );
    ensure!(
        whole.pointer("/dns_trace/retry_of_truncated") == Some(&Value::Bool(true)),
        "not told as the retry of a truncated answer: {whole}"
    );
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// The one line with this name, transport and response code.
fn one<'a>(lines: &'a [Value], name: &str, transport: &str, rcode: &str) -> Result<&'a Value> {
    let text = |line: &'a Value, path: &str| line.pointer(path).and_then(Value::as_str);
    let fitting: Vec<&Value> = lines
        .iter()
        .filter(|line| {
            text(line, "/dns/question/name") == Some(name)
                && text(line, "/network/transport") == Some(transport)
                && text(line, "/dns/response_code") == Some(rcode)
        })
        .collect();
    ensure!(
        fitting.len() == 1,
        "{} lines with {name} over {transport}",
        fitting.len()
    );
    Ok(fitting[0])
}
