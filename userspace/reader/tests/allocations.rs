//! The hot path allocates nothing: from a record to a matched lookup, and through the JSON sink.
#![expect(
    clippy::unwrap_used,
    reason = "a test or bench that cannot be set up has failed"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;

use dns_trace::interface::Interfaces;
use dns_trace::metrics::{Limits, Meter, NamePart};
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::sink::json::JsonSink;
use dns_trace::sink::{Silent, Sink};
use dns_trace::spool::Spool;
use dns_trace::spool::file::FileOutput;
use dns_trace::tap::dnstap::{Dnstap, Framing};
use dns_trace::tap::pcapng::Pcapng;
use dns_trace::tap::{Format, MessageFilter, Recorder, Tap};
use dns_trace::top::tally::{SLOTS, TallySink};
use domain::base::Rtype;
use domain::base::iana::Rcode;

#[path = "it/records.rs"]
mod records;

use records::{Rec, announcement, query, response};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: likewise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: likewise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of the second half of a run; the first half warms the tables up.
fn allocations<'s>(sink: &'s mut dyn Sink, tap: Option<&'s mut dyn Tap>) -> u64 {
    let mut records = Vec::new();
    for id in 0..1000_u16 {
        let name = format!("host{id}.example.com");
        let at = u64::from(id) * 1000;
        let answers = [[192, 0, 2, 1], [192, 0, 2, 2]];
        let reply = response(id, &name, Rtype::A, Rcode::NOERROR, &answers);
        // Sent from one address, not two: this file uses all of `records`.
        let ask = Rec::query(at, query(id, &name, Rtype::A));
        // A socket of its own each, of a few processes.
        let cookie = 1 + u64::from(id);
        records.push(announcement(at, cookie, u32::from(id % 7), "client"));
        records.push(
            ask.from(records::CLIENT, 40000)
                .to(records::SERVER, 53)
                .with(|header| header.socket_cookie = cookie)
                .bytes(),
        );
        records.push(
            Rec::response(at + 500, reply)
                .with(|header| header.cgroup_id = 1)
                .bytes(),
        );
    }
    let options = Options {
        filter: dns_trace::filter::Filter::default(),
        timeout_ns: 5_000_000_000,
        max_pending: 1000,
        count: None,
        start_ns: 0,
        hold_ns: 0,
    };
    let mut pipeline = Pipeline::new(options, sink).with_tap(tap);
    let (warm_up, measured) = records.split_at(1500);
    for record in warm_up {
        pipeline.record(record).unwrap();
    }
    let before = ALLOCATIONS.with(Cell::get);
    for record in measured {
        pipeline.record(record).unwrap();
    }
    let after = ALLOCATIONS.with(Cell::get);
    let counts = pipeline.counts();
    assert_eq!((counts.raw.answered, counts.owners.known), (1000, 1000));
    after - before
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.with(Cell::get);
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert_eq!(ALLOCATIONS.with(Cell::get), before + 1);
    let cut = Rec::query(1, vec![0; 40]).cut(20);
    assert_eq!(cut.header.captured_len, 20);
}

#[test]
fn decode_and_match_allocate_nothing() {
    assert_eq!(allocations(&mut Silent, None), 0);
}

#[test]
fn json_lines_allocate_nothing() {
    let mut sink = JsonSink::new(io::sink(), Interfaces::fixed(&[(2, "eth0")]));
    assert_eq!(allocations(&mut sink, None), 0);
}

#[test]
fn measuring_allocates_nothing() {
    for part in [NamePart::Registered, NamePart::Whole] {
        // All names are there after the first half, or have no room.
        let mut meter = Meter::new(Limits {
            servers: 4,
            names: Some((100, part)),
            series: 1000,
        });
        let measures = meter.measures();
        assert_eq!(allocations(&mut meter, None), 0);
        let buckets = measures.durations.iter().map(|(_, d)| d.buckets());
        assert_eq!(buckets.flatten().sum::<u64>(), 1000);
    }
}

/// More names than the table has slots: what makes room is what allocates nothing.
#[test]
fn counting_for_top_allocates_nothing() {
    let mut sink = TallySink::default();
    assert_eq!(allocations(&mut sink, None), 0);
    let tally = sink.0.borrow();
    assert_eq!(tally.names.evicted(), 1000 - SLOTS as u64);
    assert_eq!(tally.processes.slots().len(), 1);
}

fn recorder<F: Format>(format: F) -> Recorder<F> {
    let output = FileOutput::create("/dev/null".as_ref(), None, F::WHOLE).unwrap();
    let spool = Spool::start(Box::new(output), || {}).unwrap();
    Recorder::new(format, spool, MessageFilter::default(), None).unwrap()
}

/// On the thread that reads; what writes is another one.
#[test]
fn recording_allocates_nothing() {
    let interfaces = || Interfaces::fixed(&[(2, "eth0")]);
    let mut packets = recorder(Pcapng::new(interfaces()));
    assert_eq!(allocations(&mut Silent, Some(&mut packets)), 0);
    let mut messages = recorder(Dnstap::new(Framing::File, interfaces()));
    assert_eq!(allocations(&mut Silent, Some(&mut messages)), 0);
}
