//! The whole pipeline against tshark: the same packets, compared field by field. What differs is
//! explained in `tests/corpus/src/differences.rs`.

use std::collections::BTreeMap;

use dns_trace::clock::WallClock;
use dns_trace::filter::Filter;
use dns_trace::interface::Interfaces;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::sink::json::JsonSink;
use dns_trace_corpus::compare::{Times, compare};
use dns_trace_corpus::corpus::{self, ACK, Packet, SEED, Transport};
use dns_trace_corpus::differences::TRANSFER;
use dns_trace_corpus::{pcap, tshark};
use dns_trace_event::{
    DIRECTION_EGRESS, DIRECTION_INGRESS, L4_TCP, PAYLOAD_MAX, TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST,
    TCP_SYN,
};
use serde_json::Value;

use crate::memory::add_up;
use crate::records::Rec;

/// The record that the kernel program writes for a packet; none for a bare acknowledgement.
fn record(packet: &Packet) -> Option<Rec> {
    let rec = Rec::query(packet.time_ns, packet.payload.clone())
        .from(&packet.source.ip().to_string(), packet.source.port())
        .to(
            &packet.destination.ip().to_string(),
            packet.destination.port(),
        )
        .with(|header| {
            header.direction = if packet.from_client {
                DIRECTION_EGRESS
            } else {
                DIRECTION_INGRESS
            };
        });
    let rec = match packet.transport {
        Transport::Udp => rec,
        Transport::Tcp { flags: ACK, .. } if packet.payload.is_empty() => return None,
        Transport::Tcp { seq, flags, .. } => {
            let bits = [
                (corpus::FIN, TCP_FIN),
                (corpus::SYN, TCP_SYN),
                (corpus::RST, TCP_RST),
                (corpus::PSH, TCP_PSH),
                (ACK, TCP_ACK),
            ];
            let flags = bits
                .iter()
                .filter(|(bit, _)| flags & bit != 0)
                .map(|(_, flag)| flag);
            let flags = flags.fold(0, |all, flag| all | flag);
            rec.with(|header| {
                header.l4 = L4_TCP;
                header.tcp_seq = seq;
                header.tcp_flags = flags;
            })
        }
    };
    let most = PAYLOAD_MAX as usize;
    Some(if packet.payload.len() > most {
        rec.cut(most)
    } else {
        rec
    })
}

/// The lines, and how many messages of zone transfers are not among them.
fn lines(packets: &[Packet]) -> (Vec<Value>, u64) {
    let mut out = Vec::new();
    let mut sink = JsonSink::new(&mut out, Interfaces::fixed(&[]));
    let options = Options {
        filter: Filter::default(),
        timeout_ns: 5_000_000_000,
        max_pending: 65_536,
        count: None,
        start_ns: 0,
        hold_ns: 0,
    };
    let mut pipeline = Pipeline::new(options, &mut sink);
    pipeline.set_clock(WallClock::with_offset(pcap::START_NS as i64));
    for record in packets.iter().filter_map(record) {
        pipeline.record(&record.bytes()).unwrap();
    }
    pipeline.advance(u64::MAX).unwrap();
    pipeline.finish().unwrap();
    let counts = pipeline.counts();
    add_up(&counts);
    drop(sink);
    let lines = out
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice(line).unwrap());
    (lines.collect(), counts.raw.axfr_messages)
}

#[test]
fn lookups_are_what_tshark_sees() {
    let packets = corpus::packets(SEED);
    assert!(packets.len() >= 2000);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    pcap::write(&mut file, &packets).unwrap();
    let messages = tshark::parse(&tshark::run(file.path()).unwrap()).unwrap();
    let (lines, transferred) = lines(&packets);
    let report = compare(&packets, messages, &lines, Times::Kept).unwrap();
    println!(
        "{} packets, {} lookups, {} fields equal",
        packets.len(),
        report.lookups,
        report.equal
    );
    for (reason, count) in &report.explained {
        println!("{count:6} explained: {reason}");
    }
    let mut kinds = BTreeMap::new();
    for difference in &report.unexplained {
        let count: &mut usize = kinds.entry(difference.field).or_default();
        *count += 1;
        if *count <= 14 {
            println!("{difference}");
        }
    }
    assert_eq!(kinds, BTreeMap::new(), "unexplained differences by field");
    assert_eq!(report.explained[TRANSFER] as u64, transferred);
    let idle: Vec<_> = report
        .explained
        .iter()
        .filter(|(_, count)| **count == 0)
        .collect();
    assert!(
        idle.is_empty(),
        "explanations that explain nothing: {idle:?}"
    );
}

#[test]
fn a_seed_makes_the_same_packets_every_time() {
    let file = |seed| {
        let mut bytes = Vec::new();
        pcap::write(&mut bytes, &corpus::packets(seed)).unwrap();
        bytes
    };
    assert!(file(SEED) == file(SEED));
    assert!(file(SEED) != file(SEED + 1));
}
