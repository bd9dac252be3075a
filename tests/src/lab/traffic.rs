//! The questions that every pipeline scenario asks, and what must be reported of them.

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::names::dig;
use super::net::{MUTE, SERVER};
use super::reader::Seen;

/// One question and what is known about it beforehand.
struct Asked {
    server: &'static str,
    name: &'static str,
    kind: &'static str,
    /// Response code; `None` if there is no response.
    rcode: Option<&'static str>,
    /// Data of the first answer.
    data: Option<&'static str>,
}

const fn asked(
    name: &'static str,
    kind: &'static str,
    rcode: &'static str,
    data: Option<&'static str>,
) -> Asked {
    Asked {
        server: SERVER.0,
        name,
        kind,
        rcode: Some(rcode),
        data,
    }
}

/// In the order in which they are asked. The last one has no answer, so that its time-out is the
/// last line.
const QUESTIONS: &[Asked] = &[
    asked("www.example.test", "A", "NOERROR", Some("192.0.2.80")),
    asked("www.example.test", "AAAA", "NOERROR", Some("2001:db8::80")),
    asked("text.example.test", "TXT", "NOERROR", Some("v=spf1 -all")),
    asked("example.test", "MX", "NOERROR", Some("mail.example.test")),
    asked(
        "alias.example.test",
        "A",
        "NOERROR",
        Some("www.example.test"),
    ),
    asked("nowhere.example.test", "A", "NXDOMAIN", None),
    asked("www.broken.test", "A", "SERVFAIL", None),
    asked("www.elsewhere.test", "A", "REFUSED", None),
    Asked {
        server: SERVER.1,
        name: "www.example.test",
        kind: "A",
        rcode: Some("NOERROR"),
        data: Some("192.0.2.80"),
    },
    Asked {
        server: MUTE,
        name: "never.example.test",
        kind: "A",
        rcode: None,
        data: None,
    },
];

/// Questions asked by [`ask_all`].
pub const ASKED: u64 = QUESTIONS.len() as u64;
/// Of these, the ones that are answered.
pub const ANSWERED: u64 = ASKED - 1;

/// Asks every question once.
///
/// # Errors
/// If a client fares otherwise than it should: the tracer must not change that.
pub fn ask_all() -> Result<()> {
    for question in QUESTIONS {
        let outcome = dig(question.server, question.name, question.kind)?;
        match question.rcode {
            Some(rcode) => {
                let outcome = outcome.ok()?;
                ensure!(
                    outcome.stdout.contains(&format!("status: {rcode},")),
                    "{}: {}",
                    outcome.line,
                    outcome.stdout
                );
            }
            None => drop(outcome.exits(9)?),
        }
    }
    Ok(())
}

/// Insists that the reader reported every lookup once, and that nothing is missing or too much. A
/// host-wide hook sees each message at so many `hops`; any other at one.
///
/// # Errors
/// If anything differs.
pub fn compare(seen: &Seen, hops: u64) -> Result<()> {
    seen.counts(&[
        ("reader/queries", ASKED * hops),
        ("reader/responses", ANSWERED * hops),
        ("reader/query_hops", ASKED * (hops - 1)),
        ("reader/response_hops", ANSWERED * (hops - 1)),
        ("reader/lookups", ASKED),
        ("reader/answered", ANSWERED),
        ("reader/timeouts", 1),
        ("reader/orphans", 0),
        ("reader/retransmissions", 0),
        ("reader/malformed", 0),
        ("reader/undecodable", 0),
        ("reader/pending", 0),
        ("kernel/submitted", (ASKED + ANSWERED) * hops),
        ("kernel/ring_full", 0),
        ("kernel/malformed", 0),
        ("kernel/unreadable", 0),
        ("kernel/truncated", 0),
    ])?;
    let packets = seen.number("reader/records")? - seen.number("reader/owners/records")?;
    ensure!(
        packets == (ASKED + ANSWERED) * hops,
        "{packets} packets were reported"
    );
    ensure!(
        seen.lookups.len() as u64 == ASKED,
        "{} lines, expected {}",
        seen.lookups.len(),
        ASKED
    );
    for question in QUESTIONS {
        let fitting = seen
            .lookups
            .iter()
            .filter(|line| fits(question, line))
            .count() as u64;
        if fitting != 1 {
            let lines: Vec<String> = seen.lookups.iter().map(Value::to_string).collect();
            bail!(
                "{} {} at {} is reported {fitting} times as it should be, expected once:\n{}",
                question.name,
                question.kind,
                question.server,
                lines.join("\n")
            );
        }
    }
    Ok(())
}

fn fits(question: &Asked, line: &Value) -> bool {
    let text = |path: &str| line.pointer(path).and_then(Value::as_str);
    let name = text("/dns/question/name").map(|n| n.trim_end_matches('.'));
    let same = name == Some(question.name)
        && text("/dns/question/type") == Some(question.kind)
        && text("/server/address") == Some(question.server)
        && text("/network/transport") == Some("udp");
    let outcome = match question.rcode {
        Some(rcode) => {
            text("/dns/response_code") == Some(rcode)
                && line
                    .pointer("/event/duration")
                    .and_then(Value::as_u64)
                    .is_some_and(|ns| ns > 0 && ns < 2_000_000_000)
                && line.get("error").is_none()
        }
        None => text("/error/type") == Some("timeout") && line.pointer("/event/duration").is_none(),
    };
    let data = question
        .data
        .is_none_or(|data| text("/dns/answers/0/data").is_some_and(|found| found.contains(data)));
    same && outcome && data
}
