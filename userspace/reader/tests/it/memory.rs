//! A sink that remembers, and a pipeline around it.

use std::io;

use dns_trace::clock::WallClock;
use dns_trace::counts::Counts;
use dns_trace::lookup::Lookup;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::sink::Sink;

use crate::records::Rec;

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

/// Runs records through a pipeline, lets `now_ns` pass and ends it.
pub(crate) fn run(options: Options, records: &[Rec], now_ns: u64) -> (Vec<Seen>, Counts) {
    let records: Vec<Vec<u8>> = records.iter().map(Rec::bytes).collect();
    run_bytes(options, &records, now_ns)
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

/// The sums that the documentation of [`Counts`] promises.
pub(crate) fn add_up(c: &Counts) {
    let left_out = c.stale + c.undecodable + c.twins + c.duplicates + c.encrypted.packets;
    let taken = left_out + c.owners.records + c.tcp.segments + c.udp_messages;
    assert_eq!(c.records, taken, "{c:?}");
    let messages = c.udp_messages + c.tcp.messages;
    assert_eq!(messages, c.queries + c.responses + c.malformed, "{c:?}");
    let tcp = &c.tcp;
    let placed = tcp.used + tcp.empty + tcp.retransmitted;
    let unplaced = tcp.no_start + tcp.dropped + tcp.waiting;
    assert_eq!(tcp.segments, placed + unplaced, "{c:?}");
    let ended = c.answered + c.retransmissions + c.timeouts + c.evicted + c.multicast;
    assert_eq!(c.queries, ended + c.pending + c.query_hops, "{c:?}");
    assert_eq!(
        c.responses,
        c.answered
            + c.responses_only
            + c.orphans
            + c.announcements
            + c.axfr_messages
            + c.response_hops
            + c.waiting,
        "{c:?}"
    );
    let unanswered = c.timeouts + c.evicted + c.multicast;
    let unasked = c.responses_only + c.orphans + c.announcements;
    assert_eq!(c.lookups, c.answered + unanswered + unasked, "{c:?}");
}
