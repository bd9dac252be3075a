//! Those who send too much: memory stays within its bounds, the counts exact, the screen intact.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "modules of the other tests are used in part"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;

use dns_trace::clock::WallClock;
use dns_trace::interface::Interfaces;
use dns_trace::lookup::Lookup;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::sink::json::JsonSink;
use dns_trace::sink::table::{Look, TableSink};
use dns_trace::sink::{Silent, Sink};
use dns_trace_event::{L4_TCP, TCP_ACK, TCP_SYN};
use domain::base::Rtype;
use domain::base::iana::Rcode;
use jiff::tz::TimeZone;

#[path = "it/memory.rs"]
mod memory;
#[path = "it/records.rs"]
mod records;

use memory::{add_up, options};
use records::{CLIENT, Rec, query, response};

thread_local! {
    /// Bytes that are allocated, and the most that were at once.
    static LIVE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(more: usize, less: usize) {
    // A test's thread frees what its harness allocated.
    LIVE.with(|live| {
        let now = live.get().0.saturating_add(more).saturating_sub(less);
        live.set((now, live.get().1.max(now)));
    });
}

// SAFETY: hands every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: likewise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: likewise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes that some work has at once, beyond what was there before.
fn peak(work: impl FnOnce()) -> usize {
    let (before, _) = LIVE.get();
    LIVE.set((before, before));
    work();
    LIVE.get().1 - before
}

/// A name of 255 octets, the longest there is; its first label says which.
fn long_name(number: u32) -> String {
    let label = "x".repeat(63);
    format!("{number:0>61}.{label}.{label}.{label}")
}

fn pending(max_pending: usize) -> Options {
    Options {
        max_pending,
        ..options()
    }
}

/// Bytes of a pipeline that has seen nothing: tables that are made at once, so that taking in a record
/// allocates nothing. They have a bound of their own.
fn at_rest() -> usize {
    let bytes = peak(|| drop(Pipeline::new(options(), &mut Silent)));
    assert!(bytes < 2 << 20, "{bytes} bytes");
    bytes
}

#[test]
fn the_counter_counts() {
    assert_eq!(peak(|| drop(vec![0_u8; 1000])), 1000);
    assert_eq!(query(1, &long_name(1), Rtype::A).len(), 12 + 255 + 4);
}

#[test]
fn a_flood_of_ids_makes_the_oldest_go_and_nothing_grow() {
    const FLOOD: u32 = 20_000;
    const KEPT: usize = 1024;
    let mut counts = None;
    let peak = peak(|| {
        let mut silent = Silent;
        let mut pipeline = Pipeline::new(pending(KEPT), &mut silent);
        for number in 0..FLOOD {
            let ask = query(number as u16, &long_name(number), Rtype::A);
            let ask = Rec::query(u64::from(number), ask).from(CLIENT, 1024);
            pipeline.record(&ask.bytes()).unwrap();
            // Somebody else's lookup gets its answer all the same.
            if number % 100 == 0 {
                let name = format!("host{number}.example");
                let at = u64::from(number);
                let ask = Rec::query(at, query(7, &name, Rtype::A)).from("10.0.0.9", 9);
                let reply = response(7, &name, Rtype::A, Rcode::NOERROR, &[]);
                let reply = Rec::response(at, reply).to("10.0.0.9", 9);
                pipeline.record(&ask.bytes()).unwrap();
                pipeline.record(&reply.bytes()).unwrap();
            }
        }
        counts = Some(pipeline.counts());
    });
    let counts = counts.unwrap();
    add_up(&counts);
    let others = u64::from(FLOOD / 100);
    assert_eq!(counts.raw.queries, u64::from(FLOOD) + others);
    assert_eq!((counts.raw.answered, counts.raw.orphans), (others, 0));
    assert_eq!(counts.raw.retransmissions, 0);
    let gone = counts.raw.evicted;
    // While somebody else's query is pending it may take a place, too.
    assert_eq!(counts.pending + gone, u64::from(FLOOD));
    assert!(
        (KEPT as u64 - 1..=KEPT as u64).contains(&counts.pending),
        "{counts:?}"
    );
    // 256 bytes each, the name of 255 octets beside them, and tables that grow by doubling.
    let grown = peak - at_rest();
    assert!(grown < KEPT * (2 * 256 + 255) + (64 << 10), "{grown} bytes");
}

#[test]
fn ids_in_use_again_at_once_find_their_own_query() {
    const LOOKUPS: u32 = 30_000;
    const IDS: u32 = 16;
    struct Check(u32);
    impl Sink for Check {
        fn lookup(&mut self, lookup: &Lookup<'_>, _: WallClock) -> io::Result<()> {
            let question = lookup.dns.as_ref().unwrap().question;
            let name = dns_trace::name::Presented(question.name).to_string();
            assert_eq!(name, format!("host{}.example", self.0));
            assert_eq!(lookup.duration_ns, Some(1000 + u64::from(self.0)));
            self.0 += 1;
            Ok(())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut check = Check(0);
    let mut pipeline = Pipeline::new(options(), &mut check);
    // One client and one port; as many queries under way as there are ids, each id at once for the next.
    let at = |number: u32| u64::from(number) * 1_000_000;
    let name = |number: u32| format!("host{number}.example");
    for number in 0..LOOKUPS + IDS - 1 {
        if let Some(old) = number.checked_sub(IDS - 1) {
            let reply = response(
                (old % IDS) as u16,
                &name(old),
                Rtype::A,
                Rcode::NOERROR,
                &[],
            );
            let reply = Rec::response(at(old) + 1000 + u64::from(old), reply);
            pipeline.record(&reply.bytes()).unwrap();
        }
        if number < LOOKUPS {
            let ask = query((number % IDS) as u16, &name(number), Rtype::A);
            pipeline
                .record(&Rec::query(at(number), ask).bytes())
                .unwrap();
        }
    }
    let counts = pipeline.counts();
    add_up(&counts);
    let all = u64::from(LOOKUPS);
    assert_eq!(
        (
            counts.raw.queries,
            counts.raw.responses,
            counts.raw.answered
        ),
        (all, all, all)
    );
    assert_eq!(check.0, LOOKUPS);
}

#[test]
fn a_flood_of_responses_is_held_within_bounds() {
    const FLOOD: u64 = 8000;
    let options = Options {
        hold_ns: 200_000_000,
        ..options()
    };
    let mut counts = None;
    let peak = peak(|| {
        let mut silent = Silent;
        let mut pipeline = Pipeline::new(options, &mut silent);
        let addresses = [[1, 2, 3, 4]; 14];
        let mut reply = response(1, &long_name(1), Rtype::A, Rcode::NOERROR, &addresses);
        assert!(reply.len() < 4096);
        for number in 0..FLOOD {
            reply[..2].copy_from_slice(&(number as u16).to_be_bytes());
            let reply = Rec::response(number, reply.clone());
            pipeline.record(&reply.bytes()).unwrap();
        }
        pipeline.finish().unwrap();
        counts = Some(pipeline.counts());
    });
    let counts = counts.unwrap();
    add_up(&counts);
    assert_eq!((counts.raw.responses, counts.raw.orphans), (FLOOD, FLOOD));
    let grown = peak - at_rest();
    // What is held, the table of twins, and all else.
    assert!(grown < (4 << 20) + (5 << 18) + (1 << 20), "{grown} bytes");
}

#[test]
fn a_flood_of_connections_is_kept_within_bounds() {
    const FLOOD: u32 = 12_000;
    let mut counts = None;
    let peak = peak(|| {
        let mut silent = Silent;
        let mut pipeline = Pipeline::new(options(), &mut silent);
        // Each begins a message of 64 KiB and stops short of its end.
        for number in 0..FLOOD {
            let seq = |rec: Rec, seq, flags| {
                rec.from(CLIENT, 20_000 + number as u16).with(|header| {
                    header.l4 = L4_TCP;
                    header.tcp_seq = seq;
                    header.tcp_flags = flags;
                })
            };
            let at = u64::from(number);
            let syn = seq(Rec::query(at, vec![]), 0, TCP_SYN);
            pipeline.record(&syn.bytes()).unwrap();
            let part = [&[0xff, 0xff][..], &[0; 4000]].concat();
            let part = seq(Rec::query(at, part), 1, TCP_ACK);
            pipeline.record(&part.bytes()).unwrap();
        }
        counts = Some(pipeline.counts());
    });
    let counts = counts.unwrap();
    add_up(&counts);
    let flood = u64::from(FLOOD);
    assert_eq!(counts.tcp.segments, 2 * flood);
    assert_eq!(counts.tcp.given_up_evicted + counts.tcp.unfinished, flood);
    // 8 MiB of bytes, and what a stream and its place cost.
    let grown = peak - at_rest();
    assert!(grown < (8 << 20) + (4 << 20), "{grown} bytes");
}

/// The table and the JSON lines of records.
fn outputs(records: &[Rec], clocks: &[WallClock]) -> (String, Vec<serde_json::Value>) {
    let (mut table, mut json) = (Vec::new(), Vec::new());
    let look = Look {
        width: Some(140),
        colour: false,
        zone: TimeZone::UTC,
    };
    let interfaces = Interfaces::fixed(&[]);
    show(&mut TableSink::new(&mut table, look), records, clocks);
    show(&mut JsonSink::new(&mut json, interfaces), records, clocks);
    let lines = json
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice(line).unwrap());
    (String::from_utf8(table).unwrap(), lines.collect())
}

fn show(sink: &mut dyn Sink, records: &[Rec], clocks: &[WallClock]) {
    let mut pipeline = Pipeline::new(options(), sink);
    for (at, record) in records.iter().enumerate() {
        if let Some(clock) = clocks.get(at) {
            pipeline.set_clock(*clock);
        }
        pipeline.record(&record.bytes()).unwrap();
    }
    pipeline.advance(u64::MAX).unwrap();
    pipeline.finish().unwrap();
    add_up(&pipeline.counts());
}

/// Every line of the table is a line of the screen.
fn assert_intact(table: &str, lookups: usize) {
    assert_eq!(table.lines().count(), 1 + lookups, "{table}");
    for line in table.lines() {
        assert!(line.chars().count() <= 140, "{line}");
        let plain = |c: char| c == ' ' || c == '…' || c.is_ascii_graphic();
        assert!(line.chars().all(plain), "{line:?}");
    }
}

#[test]
fn no_octet_of_a_name_harms_the_screen() {
    let mut records = Vec::new();
    for octet in 0..=255_u8 {
        for label in [vec![octet; 63], vec![b'a', octet], vec![octet]] {
            let mut ask = query(1, "a", Rtype::A);
            let name = [&[label.len() as u8][..], &label, &[0]].concat();
            ask.splice(12..15, name);
            let number = records.len() as u64;
            records.push(Rec::query(number, ask).from(CLIENT, 1000 + number as u16));
        }
    }
    let (table, json) = outputs(&records, &[]);
    assert_intact(&table, records.len());
    assert_eq!(json.len(), records.len());
    // By its name each is told from the others, but for the case of letters.
    let names = json
        .iter()
        .map(|line| line["dns"]["question"]["name"].as_str().unwrap());
    let names: std::collections::HashSet<&str> = names.collect();
    assert_eq!(names.len(), 3 * (256 - 26));
}

/// Length octets from 64 on are no labels: 0xc0 points, the rest means nothing (RFC 6891, section 5).
#[test]
fn labels_of_up_to_255_octets_are_malformed() {
    let mut records = Vec::new();
    for length in 64..=255_u8 {
        let mut ask = query(1, "a", Rtype::A);
        ask.splice(
            12..15,
            [&[length][..], &vec![b'x'; length.into()], &[0]].concat(),
        );
        records.push(Rec::query(1, ask).from(CLIENT, length.into()));
    }
    let (table, json) = outputs(&records, &[]);
    assert_intact(&table, records.len());
    assert!(json.iter().all(|line| line["error"]["type"] == "malformed"));
    assert_eq!(json.len(), records.len());
}

/// A response of 65,535 octets over TCP, in segments of what a record carries.
fn big(mut reply: Vec<u8>, fill: impl Fn(u16) -> Vec<u8>) -> Vec<Rec> {
    let mut answers = 0_u16;
    loop {
        let at = reply.len() as u16;
        let record = fill(at);
        if reply.len() + record.len() > 65_535 {
            break;
        }
        reply.extend(record);
        answers += 1;
    }
    reply[6..8].copy_from_slice(&answers.to_be_bytes());
    let stream = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
    let tcp = |rec: Rec, seq, flags| {
        rec.with(|header| {
            header.l4 = L4_TCP;
            header.tcp_seq = seq;
            header.tcp_flags = flags;
        })
    };
    let syn = tcp(Rec::response(1, vec![]), 0, TCP_SYN);
    let parts = stream.chunks(4096).enumerate().map(|(number, part)| {
        tcp(
            Rec::response(2, part.to_vec()),
            1 + 4096 * number as u32,
            TCP_ACK,
        )
    });
    std::iter::once(syn).chain(parts).collect()
}

#[test]
fn messages_of_64_kib_are_shown_whole() {
    let head = || response(1, &long_name(1), Rtype::A, Rcode::NOERROR, &[]);
    // Owners that are pointers to the longest name; then a chain of pointers, each to the one before.
    let records = big(head(), |_| {
        [
            &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4][..],
            &[192, 0, 2, 1],
        ]
        .concat()
    });
    let (table, json) = outputs(&records, &[]);
    assert_intact(&table, 1);
    let answers = json[0]["dns"]["answers"].as_array().unwrap();
    assert_eq!(answers.len(), (65_535 - head().len()) / 16);
    assert_eq!(answers[0]["name"], long_name(1));
    assert_eq!(json[0]["error"]["type"], "orphan");
    // One record of data that takes the rest.
    let records = big(head(), |at| {
        let length = 65_535_u16.saturating_sub(at).saturating_sub(12);
        let head = [0xc0, 12, 0xff, 0, 0, 1, 0, 0, 0, 1];
        [&head[..], &length.to_be_bytes(), &vec![0x1b; length.into()]].concat()
    });
    let (table, json) = outputs(&records, &[]);
    assert_intact(&table, 1);
    let data = json[0]["dns"]["answers"][0]["data"].as_str().unwrap();
    assert!(data.starts_with(r"\# "), "{}", &data[..20]);
}

#[test]
fn chains_of_pointers_end() {
    let head = response(1, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    let start = head.len() as u16;
    // Each owner points to the owner before; domain follows 255 of them.
    let records = big(head, |at| {
        let to = if at == start { 12 } else { at - 16 };
        let pointer = (0xc000 | to).to_be_bytes();
        [&pointer[..], &[0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4]].concat()
    });
    let begin = std::time::Instant::now();
    let (table, json) = outputs(&records, &[]);
    assert_intact(&table, 1);
    let answers = json[0]["dns"]["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 255);
    assert!(answers.iter().all(|answer| answer["name"] == "a.example"));
    // Far from the seconds that following every chain to its end would take.
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
}

/// The wall clock jumps, the kernel's does not: durations and outcomes are the kernel's.
#[test]
fn a_step_of_the_wall_clock_changes_time_stamps_only() {
    const HOUR: i64 = 3_600_000_000_000;
    let second = 1_000_000_000;
    let mut records = Vec::new();
    for number in 0..6_u64 {
        let name = format!("host{number}.example");
        let ask = Rec::query(number * second, query(1, &name, Rtype::A));
        let reply = response(1, &name, Rtype::A, Rcode::NOERROR, &[]);
        let reply = Rec::response(number * second + 1234, reply);
        records.extend([ask, reply]);
    }
    let offsets = [0, HOUR, -HOUR, i64::MAX, i64::MIN, 0].map(WallClock::with_offset);
    let clocks: Vec<WallClock> = offsets.iter().flat_map(|clock| [*clock, *clock]).collect();
    let (table, json) = outputs(&records, &clocks);
    assert_intact(&table, 6);
    let stamps: Vec<&str> = json
        .iter()
        .map(|line| line["@timestamp"].as_str().unwrap())
        .collect();
    assert_eq!(stamps[0], "1970-01-01T00:00:00.000000000Z");
    assert_eq!(stamps[1], "1970-01-01T01:00:01.000000000Z");
    assert_eq!(stamps[2], "1969-12-31T23:00:02.000000000Z");
    assert_eq!(stamps[5], "1970-01-01T00:00:05.000000000Z");
    for line in &json {
        assert_eq!(line["event"]["duration"], 1234);
        assert_eq!(line["error"], serde_json::Value::Null);
    }
}
