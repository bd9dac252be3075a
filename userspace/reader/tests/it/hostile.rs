//! Bytes that nobody vouches for.

use std::io::Write;

use dns_trace::clock::WallClock;
use dns_trace::interface::Interfaces;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::record::Packet;
use dns_trace::sink::json::JsonSink;
use dns_trace::sink::table::{Look, TableSink};
use dns_trace::sink::{Sink, rdata};
use dns_trace_event::{TCP_ACK, TCP_SYN};
use domain::base::Rtype;
use domain::base::iana::Rcode;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use crate::memory::{add_up, options, run};
use crate::records::{Rec, SERVER, query, response};
use crate::streams::{Segment as _, framed};

fn table(out: &mut Vec<u8>) -> TableSink<&mut Vec<u8>> {
    TableSink::new(
        out,
        Look {
            width: Some(140),
            colour: false,
            zone: TimeZone::UTC,
        },
    )
}

fn through(sink: &mut dyn Sink, records: &[Vec<u8>]) {
    let mut pipeline = Pipeline::new(options(), sink);
    for record in records {
        pipeline.record(record).unwrap();
    }
    pipeline.advance(u64::MAX).unwrap();
    pipeline.finish().unwrap();
    add_up(&pipeline.counts());
}

fn check_outputs(records: &[Vec<u8>]) {
    let mut text = Vec::new();
    through(&mut table(&mut text), records);
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.chars()
            .all(|c| c == '\n' || c == '…' || c == ' ' || c.is_ascii_graphic()),
        "{text:?}"
    );
    let mut json = Vec::new();
    through(
        &mut JsonSink::new(&mut json, Interfaces::fixed(&[])).with_idna(true),
        records,
    );
    assert!(
        json.iter()
            .all(|b| *b == b'\n' || (b' '..=b'~').contains(b))
    );
    for line in json
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert!(value["@timestamp"].is_string());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Packet::decode(&bytes);
        check_outputs(&[bytes]);
    }

    #[test]
    fn any_payload_reaches_the_sinks(
        payload in prop::collection::vec(any::<u8>(), 0..600),
        reply in any::<bool>(),
    ) {
        let rec = if reply { Rec::response(1, payload) } else { Rec::query(1, payload) };
        check_outputs(&[rec.bytes()]);
    }

    #[test]
    fn any_segments_reach_the_sinks(
        segments in prop::collection::vec(
            (any::<bool>(), 0..100_u32, any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)),
            0..12,
        ),
    ) {
        let records: Vec<_> = segments.into_iter().map(|(reply, seq, flags, mut payload)| {
            if seq.is_multiple_of(2) {
                payload = framed(&[&query(7, "a.example", Rtype::A)[..], &payload].concat());
            }
            let rec = if reply { Rec::response(1, payload) } else { Rec::query(1, payload) };
            rec.segment(seq, flags).bytes()
        }).collect();
        check_outputs(&records);
    }

    #[test]
    fn a_damaged_response_reaches_the_sinks(
        at in prop::collection::vec((0..200_usize, any::<u8>()), 1..6),
        keep in 0..200_usize,
    ) {
        let mut payload = response(7, "www.example.com", Rtype::A, Rcode::NOERROR, &[[1, 2, 3, 4]; 4]);
        for (at, byte) in at {
            let len = payload.len();
            payload[at % len] = byte;
        }
        payload.truncate(keep.max(12));
        let records = [
            Rec::query(1, query(7, "www.example.com", Rtype::A)).bytes(),
            Rec::response(2, payload).bytes(),
        ];
        check_outputs(&records);
    }

    #[test]
    fn a_header_survives_the_way(
        time_ns in any::<u64>(), ifindex in any::<u32>(), cookie in any::<u64>(),
        source in any::<[u8; 16]>(), port in any::<u16>(),
        payload in prop::collection::vec(any::<u8>(), 0..4096),
    ) {
        let rec = Rec::query(time_ns, payload.clone()).with(|header| {
            header.ifindex = ifindex;
            header.netns_cookie = cookie;
            header.source = source;
            header.source_port = port;
        });
        let bytes = rec.bytes();
        let packet = Packet::decode(&bytes).unwrap();
        prop_assert_eq!(packet.payload, &payload[..]);
        prop_assert_eq!(
            (packet.time_ns, packet.ifindex, packet.netns_cookie, packet.source, packet.source_port),
            (time_ns, ifindex, cookie, source, port)
        );
        prop_assert_eq!(packet.wire_len as usize, payload.len());
    }
}

/// Found by fuzzing: each gap that is given up makes the time of the next one later, and there is a last.
#[test]
fn gaps_end_at_the_end_of_time() {
    let begun = [&[1, 0][..], &query(7, "a.example", Rtype::A)].concat();
    let segment = |seq, flags, payload| Rec::query(1, payload).segment(seq, flags).bytes();
    let mut records = vec![segment(0, TCP_SYN, vec![]), segment(1, TCP_ACK, begun)];
    records.extend((1..6).map(|gap| segment(40 * gap, TCP_ACK, vec![0; 8])));
    check_outputs(&records);
}

/// Found by fuzzing: held back, a response with several questions was in no counter in the end.
#[test]
fn a_held_response_with_several_questions_is_counted() {
    let mut payload = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    payload[5] = 2;
    let rec = Rec::response(1, payload).from(SERVER, 5353);
    let held = Options {
        hold_ns: 200_000_000,
        ..options()
    };
    let (seen, counts) = run(held, &[rec], u64::MAX);
    assert_eq!((counts.raw.announcements, seen.len()), (1, 1));
}

#[test]
fn compression_loops_end() {
    // The answer's name points to itself.
    let mut payload = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    payload[7] = 1;
    let at = payload.len() as u16 | 0xc000;
    payload.extend(at.to_be_bytes());
    payload.extend([0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4]);
    check_outputs(&[
        Rec::query(1, query(7, "a.example", Rtype::A)).bytes(),
        Rec::response(2, payload).bytes(),
    ]);
}

#[test]
fn unknown_types_are_shown_as_rfc_3597_says() {
    let mut payload = response(7, "a.example", Rtype::from_int(65280), Rcode::NOERROR, &[]);
    payload[7] = 1;
    payload.extend([0xc0, 12, 0xff, 0, 0, 1, 0, 0, 0, 1, 0, 3, 1, 2, 3]);
    let mut name = dns_trace::name::WireName::new();
    let decoded = dns_trace::message::Decoded::decode(&payload, false, &mut name).unwrap();
    assert!(decoded.complete);
    let record = decoded.answer_records().next().unwrap();
    assert_eq!(record.rtype.to_string(), "TYPE65280");
    assert_eq!(rdata::Data(record).to_string(), r"\# 3 01 02 03");
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut sink = JsonSink::new(full, Interfaces::fixed(&[]));
    let packet = Rec::query(1, vec![1, 2, 3]).bytes();
    let packet = Packet::decode(&packet).unwrap();
    let lookup = dns_trace::lookup::Lookup::malformed(&packet, false);
    sink.lookup(&lookup, WallClock::with_offset(0)).unwrap();
    let error = sink.flush().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let _ = std::io::stderr().flush();
}
