//! Who asked stands beside what was asked, and with what came back; beside nothing else.

use dns_trace::tap::dnstap::Framing;
use dns_trace_event::{DIRECTION_EGRESS, DIRECTION_INGRESS, TCP_ACK};
use domain::base::Rtype;
use domain::base::iana::Rcode;

use super::{MS, dnstap, extras, into_file, pcapng, tapped_bytes, tool};
use crate::records::{Rec, announcement, query, response};
use crate::streams::{Segment as _, framed};

/// Cookie of the client's socket.
const SOCKET: u64 = 5;
/// A name that would clear a terminal.
const NAME: &str = "dig\x1b[2J";
const COMMENT: &str = "process dig\\027[2J (pid 100, uid 1000)";
const EXTRA: &str =
    r#"{"process":{"pid":100,"name":"dig\\027[2J"},"user":{"id":"1000"},"observer""#;

fn sent(rec: Rec, direction: u8) -> Vec<u8> {
    let rec = rec.with(|header| {
        header.socket_cookie = SOCKET;
        header.direction = direction;
    });
    rec.bytes()
}

/// A lookup, one that was forwarded and one that is answered here, and one over TCP.
fn records() -> Vec<Vec<u8>> {
    let question = |id| query(id, "a.example", Rtype::A);
    let ask = |at, id| Rec::query(at, question(id));
    let reply = |id| response(id, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    vec![
        announcement(MS, SOCKET, 100, NAME),
        sent(ask(2 * MS, 1), DIRECTION_EGRESS),
        Rec::response(3 * MS, reply(1)).bytes(),
        sent(ask(4 * MS, 2), DIRECTION_INGRESS),
        sent(Rec::response(5 * MS, reply(3)), DIRECTION_EGRESS),
        sent(
            Rec::query(6 * MS, framed(&question(4))).segment(1, TCP_ACK),
            DIRECTION_EGRESS,
        ),
        Rec::response(7 * MS, framed(&reply(4)))
            .segment(1, TCP_ACK)
            .bytes(),
    ]
}

#[test]
fn packets_bear_the_process_as_a_comment() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let counts = tapped_bytes(&mut into_file(pcapng(), file.path()), &records());
    assert_eq!(counts.tap.written, 6);
    let path = file.path().to_str().unwrap();
    let words = ["tshark", "-r", path, "-T", "fields", "-e", "frame.comment"];
    let text = tool("tshark", &words);
    // A segment that comes in may be part of a message, or of several.
    let wanted = [COMMENT, COMMENT, "", "", COMMENT, ""];
    assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn messages_bear_the_process_in_extra() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let counts = tapped_bytes(
        &mut into_file(dnstap(Framing::File), file.path()),
        &records(),
    );
    assert_eq!(counts.tap.written, 6);
    let known: Vec<bool> = extras(file.path())
        .iter()
        .map(|extra| extra.starts_with(EXTRA))
        .collect();
    assert_eq!(
        known,
        [true, true, false, false, true, true],
        "{:?}",
        extras(file.path())
    );
}
