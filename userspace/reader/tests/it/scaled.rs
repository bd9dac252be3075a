//! What is captured stands for what is not (`load --sample`): every total is there raw and scaled.

use std::time::Duration;

use dns_trace::counts::{Counts, Summary};
use dns_trace::metrics::{Exports, counters};
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::ring::Ticker;
use dns_trace::sink::Silent;
use dns_trace::sink::stats::StatsTicker;
use dns_trace_event::{HOOK_DEV_QUEUE, SELECT_RESPONSES, Stats, TCP_ACK, TCP_SYN};
use domain::base::Rtype;
use domain::base::iana::Rcode;

use crate::memory::{SAMPLE, options, run, totals};
use crate::records::{Rec, query, response};
use crate::streams::{Segment as _, framed};

const MS: u64 = 1_000_000;

fn ask(at_ms: u64, id: u16, qtype: Rtype) -> Rec {
    Rec::query(at_ms * MS, query(id, "a.example", qtype))
}

fn reply(id: u16, qtype: Rtype) -> Vec<u8> {
    response(id, "a.example", qtype, Rcode::NOERROR, &[[192, 0, 2, 1]])
}

fn answer(at_ms: u64, id: u16) -> Rec {
    Rec::response(at_ms * MS, reply(id, Rtype::A))
}

/// A query for a zone over TCP, and its answer in two messages.
fn transfer(at_ms: u64) -> [Rec; 4] {
    let asked = framed(&query(20, "a.example", Rtype::AXFR));
    let told = framed(&reply(20, Rtype::AXFR));
    [
        Rec::query(at_ms * MS, vec![]).segment(0, TCP_SYN),
        Rec::query(at_ms * MS, asked).segment(1, TCP_ACK),
        Rec::response(at_ms * MS, vec![]).segment(0, TCP_SYN | TCP_ACK),
        Rec::response(at_ms * MS + 1, told.repeat(2)).segment(1, TCP_ACK),
    ]
}

/// A truncated answer over UDP, and the same question again over TCP.
fn retry(at_ms: u64) -> [Rec; 5] {
    let mut truncated = answer(at_ms, 30);
    truncated.payload[2] |= 2;
    let again = framed(&query(31, "a.example", Rtype::A));
    let told = framed(&reply(31, Rtype::A));
    let port = 40001;
    let up = |payload| Rec::query((at_ms + 1) * MS, payload).with(|h| h.source_port = port);
    let down =
        |payload| Rec::response((at_ms + 2) * MS, payload).with(|h| h.destination_port = port);
    [
        ask(at_ms, 30, Rtype::A),
        truncated,
        up(vec![]).segment(0, TCP_SYN),
        up(again).segment(1, TCP_ACK),
        down(told).segment(1, TCP_ACK),
    ]
}

/// The same message at two devices.
fn twice(rec: &Rec) -> [Rec; 2] {
    [10, 11].map(|ifindex| {
        rec.clone().with(|header| {
            header.hook = HOOK_DEV_QUEUE;
            header.time_ns += u64::from(ifindex);
            header.ifindex = ifindex;
        })
    })
}

/// All that can become of messages and lookups, with room for two queries that wait.
fn everything() -> (Options, Vec<Rec>) {
    let mut broken = answer(4, 3);
    broken.payload.truncate(broken.payload.len() - 2);
    broken.header.captured_len = broken.payload.len() as u32;
    broken.header.wire_len = broken.header.captured_len;
    let group = |rec: Rec| rec.from("10.0.0.9", 5353).to("224.0.0.251", 5353);
    let records = [
        vec![
            ask(1, 1, Rtype::A),
            ask(2, 1, Rtype::A),
            answer(3, 1),
            ask(3, 3, Rtype::A),
            broken,
            answer(4, 4),
            answer(4, 5).with(|header| header.select = SELECT_RESPONSES),
            group(ask(5, 0, Rtype::A)),
            group(answer(5, 0)),
            Rec::query(5 * MS, b"no DNS".to_vec()),
        ],
        transfer(10).to_vec(),
        retry(20).to_vec(),
        twice(&ask(30, 40, Rtype::A)).to_vec(),
        twice(&answer(31, 40)).to_vec(),
        twice(&Rec::query(32 * MS, b"no DNS".to_vec())).to_vec(),
        [50, 51, 52].map(|id| ask(1000, id, Rtype::A)).to_vec(),
    ];
    let options = Options {
        max_pending: 2,
        ..options()
    };
    (options, records.concat())
}

/// The same where each record stands for several.
fn counts() -> Counts {
    let (options, records) = everything();
    let each = |rec: Rec| rec.with(|header| header.sample = SAMPLE);
    let records: Vec<Rec> = records.into_iter().map(each).collect();
    run(options, &records, u64::MAX).1
}

/// `run` compares the scaled totals with the raw ones. Here is none that it has not seen move.
#[test]
fn every_total_is_scaled() {
    for (name, count) in totals(&counts().scaled) {
        assert!(count >= SAMPLE.into(), "{name}: {count}");
    }
}

/// Names that scripts know: raw totals are among the other counters, scaled ones in an object.
#[test]
fn json_has_both() {
    let json = serde_json::to_value(counts()).unwrap();
    let (raw, scaled) = (
        json.as_object().unwrap(),
        json["scaled"].as_object().unwrap(),
    );
    for (name, count) in scaled {
        let times = raw[name].as_u64().unwrap() * u64::from(SAMPLE);
        assert_eq!(count.as_u64(), Some(times), "{name}");
    }
    let numbers = raw.iter().filter(|(_, value)| value.is_u64());
    let others = numbers.filter(|(name, _)| !scaled.contains_key(*name));
    let others: Vec<&str> = others.map(|(name, _)| name.as_str()).collect();
    insta::assert_snapshot!(others.join(" "));
}

#[test]
fn a_lookup_stands_for_what_its_query_does() {
    let stands = |rec: Rec, sample| rec.with(|header| header.sample = sample);
    let mut records = [stands(ask(1, 7, Rtype::A), 4), stands(answer(2, 7), 100)];
    let held = Options {
        hold_ns: 200 * MS,
        ..options()
    };
    for _ in 0..2 {
        let mut sink = Silent;
        let mut pipeline = Pipeline::new(held.clone(), &mut sink);
        for record in &records {
            pipeline.record(&record.bytes()).unwrap();
        }
        let scaled = pipeline.counts().scaled;
        assert_eq!(
            (scaled.queries, scaled.responses, scaled.answered),
            (4, 4, 4)
        );
        // Through two rings the response may be read first.
        records.reverse();
    }
}

#[test]
fn summary() {
    let summary = Summary {
        reader: counts(),
        seconds: 1.25,
        ..Summary::default()
    };
    insta::assert_snapshot!(summary.to_string());
}

#[test]
fn table_of_stats() {
    let (options, records) = everything();
    let mut out = Vec::new();
    let mut ticker = StatsTicker::new(&mut out, false, Duration::from_secs(9), Stats::default());
    for sample in [1, SAMPLE] {
        let mut sink = Silent;
        let mut pipeline = Pipeline::new(options.clone(), &mut sink);
        for record in &records {
            let record = record.clone().with(|header| header.sample = sample);
            pipeline.record(&record.bytes()).unwrap();
        }
        ticker.tick(&mut pipeline, &Stats::default()).unwrap();
    }
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn metrics_have_all() {
    let summary = Summary {
        reader: counts(),
        ..Summary::default()
    };
    let counters = counters(&summary, &Exports::default());
    let estimated = counters.iter().find(|c| c.name == "dns_estimated").unwrap();
    let values = estimated.values.iter();
    let values = values.map(|(name, count)| ((*name).to_owned(), *count));
    assert_eq!(
        values.collect::<std::collections::BTreeMap<_, _>>(),
        totals(&summary.reader.scaled)
    );
}
