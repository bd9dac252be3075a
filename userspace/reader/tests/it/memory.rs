//! A sink that remembers, and a pipeline around it.

use std::collections::BTreeMap;
use std::io;

use dns_trace::clock::WallClock;
use dns_trace::counts::{Counts, Totals};
use dns_trace::lookup::Lookup;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::sink::Sink;

use crate::records::Rec;

/// What each record of a sampled run stands for.
pub(crate) const SAMPLE: u16 = 7;

/// What one lookup came to, for comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) outcome: String,
    pub(crate) name: String,
    pub(crate) duration_ns: Option<u64>,
    pub(crate) retransmissions: u32,
    pub(crate) error: Option<&'static str>,
    pub(crate) truncated: bool,
    pub(crate) retry: bool,
    /// Devices of its path.
    pub(crate) path: Vec<u32>,
    /// Device at which the response was seen last, if it did not come back.
    pub(crate) last_seen: Option<u32>,
    /// `name/pid`.
    pub(crate) process: Option<String>,
}

/// A sink that remembers.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) Vec<Seen>);

impl Sink for Memory {
    fn lookup(&mut self, lookup: &Lookup<'_>, _: WallClock) -> io::Result<()> {
        let name = lookup.dns.as_ref().map_or(&[][..], |dns| dns.question.name);
        self.0.push(Seen {
            outcome: format!("{:?}", lookup.outcome),
            name: dns_trace::name::Presented(name).to_string(),
            duration_ns: lookup.duration_ns,
            retransmissions: lookup.retransmissions,
            error: lookup.error(),
            truncated: lookup.truncated,
            retry: lookup.retry_of_truncated,
            path: lookup.path.map_or(Vec::new(), |path| {
                path.way().hops().iter().map(|hop| hop.ifindex).collect()
            }),
            last_seen: lookup.path.and_then(|path| Some(path.last_seen()?.ifindex)),
            process: lookup.process.map(|p| format!("{}/{}", p.name, p.pid)),
        });
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Five seconds, 16 pending, one ring, everything shown.
pub(crate) fn options() -> Options {
    Options {
        filter: dns_trace::filter::Filter::default(),
        timeout_ns: 5_000_000_000,
        max_pending: 16,
        count: None,
        start_ns: 0,
        hold_ns: 0,
    }
}

/// Runs records through a pipeline, lets `now_ns` pass and ends it. Whatever they come to, they come to
/// likewise where each of them stands for several.
pub(crate) fn run(options: Options, records: &[Rec], now_ns: u64) -> (Vec<Seen>, Counts) {
    let run = |records: &[Rec]| {
        let records: Vec<Vec<u8>> = records.iter().map(Rec::bytes).collect();
        run_bytes(options.clone(), &records, now_ns)
    };
    sampled(records, |records| run(records).1);
    run(records)
}

/// Sees that scaled totals are the raw ones times what records stand for, and that they add up where each
/// record stands for another number.
pub(crate) fn sampled(records: &[Rec], run: impl Fn(&[Rec]) -> Counts) {
    let standing_for = |sample: fn(usize) -> u16| {
        let records = records.iter().cloned().enumerate();
        let records = records.map(|(at, rec)| rec.with(|header| header.sample = sample(at)));
        run(&records.collect::<Vec<_>>())
    };
    let once = standing_for(|_| 1);
    assert_eq!(once.scaled, once.raw);
    let each = standing_for(|_| SAMPLE);
    assert_eq!(each.raw, once.raw);
    let times = |(name, count)| (name, count * u64::from(SAMPLE));
    let wanted: BTreeMap<_, _> = totals(&once.raw).into_iter().map(times).collect();
    assert_eq!(totals(&each.scaled), wanted);
    assert_eq!(standing_for(|at| [3, 1, 4, 100][at % 4]).raw, once.raw);
}

/// Likewise, records of any kind.
pub(crate) fn run_bytes(options: Options, records: &[Vec<u8>], now_ns: u64) -> (Vec<Seen>, Counts) {
    let mut memory = Memory::default();
    let mut pipeline = Pipeline::new(options, &mut memory);
    for record in records {
        pipeline.record(record).unwrap();
        add_up(&pipeline.counts());
    }
    pipeline.advance(now_ns).unwrap();
    pipeline.finish().unwrap();
    let counts = pipeline.counts();
    add_up(&counts);
    (memory.0, counts)
}

/// All of them, by their names.
pub(crate) fn totals(totals: &Totals) -> BTreeMap<String, u64> {
    serde_json::from_value(serde_json::to_value(totals).unwrap()).unwrap()
}

/// The sums that the documentation of [`Counts`] promises.
pub(crate) fn add_up(c: &Counts) {
    let left_out = c.stale + c.undecodable + c.twins + c.duplicates + c.encrypted.packets;
    let taken = left_out + c.owners.records + c.tcp.segments + c.udp_messages;
    assert_eq!(c.records, taken, "{c:?}");
    let tcp = &c.tcp;
    let placed = tcp.used + tcp.empty + tcp.retransmitted;
    let unplaced = tcp.no_start + tcp.dropped + tcp.waiting;
    assert_eq!(tcp.segments, placed + unplaced, "{c:?}");
    let messages = c.udp_messages + tcp.messages;
    assert_eq!(left(&c.raw), [messages, c.pending, c.waiting], "{c:?}");
    // What these stand for is not counted. Each stands for itself at least, and 16 bits have no more.
    for (scaled, raw) in left(&c.scaled).into_iter().zip(left(&c.raw)) {
        let possible = raw..=raw * u64::from(u16::MAX);
        assert!(possible.contains(&scaled), "{c:?}");
    }
}

/// What totals leave to be other counts: messages, queries pending, responses that wait.
fn left(t: &Totals) -> [u64; 3] {
    let unanswered = t.timeouts + t.evicted + t.multicast;
    let unasked = t.responses_only + t.orphans + t.announcements;
    assert_eq!(t.lookups, t.answered + unanswered + unasked, "{t:?}");
    let queries = t.answered + t.retransmissions + unanswered + t.query_hops;
    let responses = t.answered + unasked + t.axfr_messages + t.response_hops;
    [
        t.queries + t.responses + t.malformed,
        t.queries.checked_sub(queries).unwrap(),
        t.responses.checked_sub(responses).unwrap(),
    ]
}
