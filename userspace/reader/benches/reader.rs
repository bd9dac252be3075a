//! What a message costs in the reader: decoding (three libraries beside each other), matching by
//! the number of pending queries, and the JSON sink. `cargo bench -p dns-trace`.
#![expect(
    clippy::unwrap_used,
    reason = "a test or bench that cannot be set up has failed"
)]

use std::hint::black_box;
use std::io;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dns_trace::interface::Interfaces;
use dns_trace::message::Decoded;
use dns_trace::name::WireName;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::sink::json::JsonSink;
use dns_trace::sink::{Silent, Sink};
use domain::base::Rtype;
use domain::base::iana::Rcode;

#[path = "../tests/it/records.rs"]
mod records;

use records::{CLIENT, Rec, SERVER, announcement, query, response};

/// A 33-byte query and a response with four addresses.
fn messages() -> [(&'static str, Vec<u8>); 2] {
    let answers = [
        [192, 0, 2, 1],
        [192, 0, 2, 2],
        [192, 0, 2, 3],
        [192, 0, 2, 4],
    ];
    [
        ("query", query(7, "www.example.com", Rtype::A)),
        (
            "response",
            response(7, "www.example.com", Rtype::A, Rcode::NOERROR, &answers),
        ),
    ]
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (name, bytes) in messages() {
        group.bench_with_input(BenchmarkId::new("domain", name), &bytes, |b, bytes| {
            b.iter(|| {
                black_box(Decoded::decode(
                    black_box(bytes),
                    false,
                    &mut WireName::new(),
                ))
                .is_ok()
            });
        });
        group.bench_with_input(
            BenchmarkId::new("hickory-proto", name),
            &bytes,
            |b, bytes| {
                b.iter(|| {
                    black_box(hickory_proto::op::Message::from_vec(black_box(bytes))).is_ok()
                });
            },
        );
        group.bench_with_input(BenchmarkId::new("simple-dns", name), &bytes, |b, bytes| {
            b.iter(|| black_box(simple_dns::Packet::parse(black_box(bytes))).is_ok());
        });
    }
    group.finish();
}

fn options() -> Options {
    Options {
        filter: dns_trace::filter::Filter::default(),
        timeout_ns: u64::MAX,
        max_pending: 1 << 21,
        count: None,
        start_ns: 0,
        hold_ns: 0,
    }
}

fn lookup(at: u64, id: u16) -> [Vec<u8>; 2] {
    let name = format!("host{}.example.com", id % 100);
    let reply = response(id, &name, Rtype::A, Rcode::NOERROR, &[[192, 0, 2, 1]]);
    let ask = Rec::query(at, query(id, &name, Rtype::A))
        .from(CLIENT, 40000)
        .to(SERVER, 53)
        .with(|header| header.socket_cookie = 1 + u64::from(id % 10));
    [
        ask.bytes(),
        Rec::response(at + 500, reply)
            .cut(4096)
            .with(|header| header.flags = 0)
            .bytes(),
    ]
}

fn run(pipeline: &mut Pipeline<'_>, records: &[Vec<u8>]) {
    for record in records {
        // Neither sink fails.
        let _ = pipeline.record(black_box(record));
    }
}

fn matching(c: &mut Criterion) {
    let records: Vec<Vec<u8>> = (0..1000).flat_map(|id| lookup(u64::from(id), id)).collect();
    let mut group = c.benchmark_group("decode and match");
    group.throughput(Throughput::Elements(records.len() as u64));
    group.measurement_time(Duration::from_secs(3));
    for pending in [10_u32, 1_000, 100_000, 1_000_000] {
        let mut sink = Silent;
        let mut pipeline = Pipeline::new(options(), &mut sink);
        for i in 0..pending {
            let [a, b, c, d] = i.to_be_bytes();
            let address = format!("172.{b}.{c}.{d}");
            let ask = Rec::query(0, query(u16::from(a), "pending.example.com", Rtype::A));
            run(&mut pipeline, &[ask.from(&address, 4000).bytes()]);
        }
        group.bench_function(BenchmarkId::from_parameter(pending), |b| {
            b.iter(|| run(&mut pipeline, &records));
        });
    }
    group.finish();
}

/// Of ten sockets of one process.
fn sinks(c: &mut Criterion) {
    let lookups = (0..1000).flat_map(|id| lookup(u64::from(id), id));
    let owners = (1..=10).map(|cookie| announcement(0, cookie, 4711, "client"));
    let records: Vec<Vec<u8>> = owners.chain(lookups).collect();
    let mut group = c.benchmark_group("lookup");
    group.throughput(Throughput::Elements(1000));
    let mut bench = |name: &str, new: fn() -> Box<dyn Sink>| {
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                new,
                |sink| run(&mut Pipeline::new(options(), &mut **sink), &records),
                BatchSize::LargeInput,
            );
        });
    };
    bench("silent", || Box::new(Silent));
    bench("json", || {
        Box::new(JsonSink::new(io::sink(), Interfaces::fixed(&[(2, "eth0")])))
    });
    group.finish();
}

criterion_group!(benches, decode, matching, sinks);
criterion_main!(benches);
