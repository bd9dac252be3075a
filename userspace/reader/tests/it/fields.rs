//! The JSON lines and their documentation have the same fields.

use std::collections::BTreeSet;

use dns_trace::interface::Interfaces;
use dns_trace::sink::json::JsonSink;
use dns_trace_event::TCP_ACK;
use domain::base::Rtype;
use domain::base::iana::Rcode;
use serde_json::Value;

use crate::json::asked_lines;
use crate::messages::{COOKIE, SUBNET, ask, lines, option, with_opt};
use crate::records::{Rec, query, response};
use crate::streams::{Segment as _, framed};

/// Paths of all values, those of lists without their index.
fn paths(prefix: &str, value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if prefix.is_empty() { "" } else { "." };
                paths(&format!("{prefix}{dot}{name}"), value, into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| paths(prefix, value, into)),
        _ => {
            into.insert(prefix.to_owned());
        }
    }
}

/// Every field that there is, in a few lines.
fn all_fields() -> BTreeSet<String> {
    let mut reply = response(
        7,
        "xn--bcher-kva.example",
        Rtype::A,
        Rcode::NOERROR,
        &[[1; 4]],
    );
    reply[3] |= 0x40;
    reply[9] = 1;
    let records = [
        ask(&[option(12, &[0; 200])]).with(|header| header.sample = 10),
        Rec::query(3, vec![0; 5]).with(|header| header.netns_cookie = 9),
        Rec::response(2, with_opt(reply, 0, &[])),
    ];
    let mut all = BTreeSet::new();
    let mut take = |lines: &[Value]| lines.iter().for_each(|line| paths("", line, &mut all));
    take(&lines(&records));
    let everything = [
        option(8, &SUBNET),
        option(10, &[COOKIE; 2].concat()),
        option(15, b"\0\x12a"),
        option(3, b"a"),
        option(8, b"a"),
        option(12, b"a"),
        vec![1],
    ];
    let reply = response(8, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    take(&lines(&[Rec::response(2, with_opt(reply, 0, &everything))]));
    let mut group = response(0, "a.local", Rtype::A, Rcode::NOERROR, &[[1; 4]]);
    let flush = group.len() - 12;
    group[flush] = 0x80;
    group[12 + 9 + 2] = 0x80;
    take(&lines(&[Rec::response(2, group).from("10.0.0.2", 5353)]));
    let mut broken = with_opt(query(7, "a.example", Rtype::A), 0, &[]);
    broken.pop();
    take(&lines(&[Rec::query(1, broken)]));
    let mut truncated = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    truncated[2] |= 2;
    take(&lines(&[
        ask(&[]),
        Rec::response(2, truncated),
        Rec::query(3, framed(&query(9, "a.example", Rtype::A))).segment(1, TCP_ACK),
    ]));
    for (time, hops) in [(1, 1), (10, 10)] {
        // A query at one device or at ten, and its response at another one.
        let at = |rec: Rec, ifindex| {
            rec.with(|header| {
                (header.hook, header.ifindex, header.netns_cookie) =
                    (dns_trace_event::HOOK_DEV_QUEUE, ifindex, 5)
            })
        };
        let asked = (0..hops).map(|hop| at(ask(&[]), 20 + hop));
        let reply = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[]);
        let reply = at(Rec::response(time, reply), 40);
        take(&lines(&asked.chain([reply]).collect::<Vec<_>>()));
    }
    let mut out = Vec::new();
    asked_lines(&mut JsonSink::new(&mut out, Interfaces::fixed(&[])));
    for line in String::from_utf8(out).unwrap().lines() {
        paths("", &serde_json::from_str(line).unwrap(), &mut all);
    }
    // Want the reader's own network namespace.
    for field in ["path", "response_last_seen"] {
        all.insert(format!("dns_trace.{field}.interface.name"));
    }
    // Wants a process that runs, and a reader that is not confined; seen in `owners/procfs.rs`.
    all.insert("process.executable".to_owned());
    all
}

#[test]
fn every_field_is_in_the_table_of_the_documentation_and_no_other() {
    let text = include_str!("../../../../docs/JSON.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut documented = BTreeSet::new();
    for row in rows {
        let path = row.split('`').next().unwrap();
        // Of two forms of one field: `edns.query.*` and `edns.response.*`.
        for side in ["query", "response"] {
            documented.insert(path.replace("<side>", side));
        }
    }
    let mut seen = all_fields();
    // What a query or a response alone would show is one row.
    for path in seen.clone() {
        let other = if path.contains("edns.query") {
            path.replace("edns.query", "edns.response")
        } else {
            path.replace("edns.response", "edns.query")
        };
        seen.insert(other);
    }
    assert_eq!(seen, documented);
}
