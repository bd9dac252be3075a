//! What the targets share: records as the tests of the reader make them, the sums that have to hold,
//! and what an output must be like.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "modules of the tests are used in part, and a panic is a finding"
)]

#[path = "../../userspace/reader/tests/it/memory.rs"]
mod memory;
#[path = "../../userspace/reader/tests/it/records.rs"]
mod records;

use dns_trace::interface::Interfaces;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::sink::Sink;
use dns_trace::sink::json::JsonSink;
use dns_trace::sink::table::{Look, TableSink};
use dns_trace_event::PacketHeader;
use jiff::tz::TimeZone;

/// Cuts an input into parts: so many bytes of its head, the length of its body (16 bits, least
/// significant first), the body. The last body is what is there.
pub fn parts<const HEAD: usize>(bytes: &[u8]) -> Vec<(&[u8; HEAD], &[u8])> {
    let mut rest = bytes;
    let mut parts = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk()
        && let Some((length, after)) = after.split_first_chunk()
    {
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let (body, after) = after.split_at(length);
        parts.push((head, body));
        rest = after;
    }
    parts
}

/// A record of a query or a response, which the caller can change.
pub fn record(
    time_ns: u64,
    response: bool,
    payload: &[u8],
    change: impl FnOnce(&mut PacketHeader),
) -> Vec<u8> {
    let payload = payload[..payload.len().min(4096)].to_vec();
    let make = if response {
        records::Rec::response
    } else {
        records::Rec::query
    };
    make(time_ns, payload).with(change).bytes()
}

/// Runs records through to a table and to JSON lines. Counts have to add up, and outputs have to be
/// what they are for: a table that no terminal takes for commands, lines that are JSON.
pub fn through(records: &[Vec<u8>], hold_ns: u64) {
    let options = || Options {
        hold_ns,
        ..memory::options()
    };
    let mut text = Vec::new();
    let look = Look {
        width: Some(140),
        colour: false,
        zone: TimeZone::UTC,
    };
    run(&mut TableSink::new(&mut text, look), options(), records);
    let text = String::from_utf8(text).unwrap();
    for c in text.chars() {
        assert!(
            matches!(c, '\n' | '…' | ' ') || c.is_ascii_graphic(),
            "{c:?} in {text:?}"
        );
    }
    let mut json = Vec::new();
    let interfaces = Interfaces::fixed(&[(2, "eth2")]);
    run(
        &mut JsonSink::new(&mut json, interfaces),
        options(),
        records,
    );
    for line in json.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()) {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert!(value["@timestamp"].is_string());
    }
}

fn run(sink: &mut dyn Sink, options: Options, records: &[Vec<u8>]) {
    let mut pipeline = Pipeline::new(options, sink);
    for record in records {
        pipeline.record(record).unwrap();
        memory::add_up(&pipeline.counts());
    }
    pipeline.advance(u64::MAX).unwrap();
    pipeline.finish().unwrap();
    memory::add_up(&pipeline.counts());
}
