//! One message that host-wide hooks see at several devices is one message.

use dns_trace::counts::Counts;
use dns_trace::pipeline::Pipeline;
use dns_trace_event as event;
use domain::base::Rtype;
use domain::base::iana::Rcode;
use event::TCP_ACK;
use proptest::prelude::*;

use crate::memory::{Memory, Seen, add_up, options, run, run_bytes, sampled};
use crate::records::{Rec, announcement, query, response};
use crate::streams::{Segment as _, framed};

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
/// From hop to hop.
const STEP: u64 = 10 * US;
/// What the server takes.
const SERVES: u64 = MS;

/// A record at hop `hop` on the way to the server: out of the client's device, into the next, and so on.
/// Devices are numbered from 10, each pair of a namespace of its own.
fn at(hop: usize, back: bool, rec: Rec) -> Rec {
    let out = hop.is_multiple_of(2) != back;
    rec.with(|header| {
        header.ifindex = 10 + hop as u32;
        header.netns_cookie = 100 + (hop as u64).div_ceil(2);
        (header.hook, header.direction) = if out {
            (event::HOOK_DEV_QUEUE, event::DIRECTION_EGRESS)
        } else {
            (event::HOOK_RECEIVE_SKB, event::DIRECTION_INGRESS)
        };
    })
}

fn ask(time: u64, id: u16) -> Rec {
    Rec::query(time, query(id, "a.example", Rtype::A))
}

fn answer(time: u64, id: u16) -> Rec {
    Rec::response(
        time,
        response(id, "a.example", Rtype::A, Rcode::NOERROR, &[[1; 4]]),
    )
}

/// A query that gets as far as `reach` hops.
fn there(time: u64, id: u16, reach: usize) -> Vec<Rec> {
    let hop = |hop| at(hop, false, ask(time + hop as u64 * STEP, id));
    (0..reach).map(hop).collect()
}

/// A response that gets as far as `reach` of `hops` hops.
fn back(time: u64, id: u16, hops: usize, reach: usize) -> Vec<Rec> {
    let hop = |i: usize| at(hops - 1 - i, true, answer(time + i as u64 * STEP, id));
    (0..reach).map(hop).collect()
}

fn devices(hops: usize) -> Vec<u32> {
    (0..hops.min(8)).map(|hop| 10 + hop as u32).collect()
}

/// As `run`, with all records up to a time taken in at that time.
fn live(records: &[Rec], now_ns: u64) -> (Vec<Seen>, Counts) {
    sampled(records, |records| {
        let (_, counts) = midway(records, now_ns);
        add_up(&counts);
        counts
    });
    midway(records, now_ns)
}

/// The same while responses are on their way still, which no sum has.
fn midway(records: &[Rec], now_ns: u64) -> (Vec<Seen>, Counts) {
    let mut memory = Memory::default();
    let mut options = options();
    options.max_pending = 1000;
    let mut pipeline = Pipeline::new(options, &mut memory);
    for record in records {
        pipeline.advance(record.header.time_ns).unwrap();
        pipeline.record(&record.bytes()).unwrap();
    }
    pipeline.advance(now_ns).unwrap();
    let counts = pipeline.counts();
    (memory.0, counts)
}

#[test]
fn a_lookup_over_five_devices_is_one() {
    let records = [there(0, 7, 5), back(SERVES, 7, 5, 5)].concat();
    let (seen, counts) = live(&records, 2 * MS);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].outcome, "Answered");
    assert_eq!(seen[0].path, devices(5));
    assert_eq!(seen[0].last_seen, None);
    assert_eq!(seen[0].duration_ns, Some(SERVES + 4 * STEP));
    assert_eq!((counts.raw.query_hops, counts.raw.response_hops), (4, 4));
    assert_eq!((counts.raw.retransmissions, counts.raw.orphans), (0, 0));
}

#[test]
fn a_retransmission_counts_once_and_not_at_every_device() {
    // Dropped by the server, dropped on the way, answered; then a second answer.
    let records = [
        there(0, 7, 5),
        there(SECOND, 7, 2),
        there(2 * SECOND, 7, 5),
        back(2 * SECOND + SERVES, 7, 5, 5),
        back(2 * SECOND + 2 * SERVES, 7, 5, 5),
    ]
    .concat();
    let (seen, counts) = live(&records, 3 * SECOND);
    let outcomes: Vec<&str> = seen.iter().map(|seen| seen.outcome.as_str()).collect();
    assert_eq!(outcomes, ["Answered", "Orphan"]);
    assert_eq!(
        (seen[0].retransmissions, counts.raw.retransmissions),
        (2, 2)
    );
    assert_eq!((counts.raw.query_hops, counts.raw.response_hops), (9, 8));
}

#[test]
fn a_response_that_does_not_come_back_is_told_with_where_it_was_seen_last() {
    let records = [there(0, 7, 5), back(SERVES, 7, 5, 3)].concat();
    let (seen, counts) = midway(&records, 200 * MS);
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(counts.pending, 1);
    let (seen, counts) = live(&records, 202 * MS);
    assert_eq!(seen[0].outcome, "Answered");
    assert_eq!(seen[0].last_seen, Some(12));
    assert_eq!(seen[0].duration_ns, Some(SERVES + 2 * STEP));
    assert_eq!(
        (counts.raw.answered, counts.raw.timeouts, counts.pending),
        (1, 0, 0)
    );
}

#[test]
fn a_query_that_times_out_has_its_path() {
    let (seen, counts) = live(&there(0, 7, 3), 6 * SECOND);
    assert_eq!(
        (seen[0].outcome.as_str(), &seen[0].path),
        ("Timeout", &devices(3))
    );
    assert_eq!((counts.raw.timeouts, counts.raw.query_hops), (1, 2));
}

#[test]
fn more_hops_than_there_is_room_for_are_hops() {
    let records = [
        there(0, 7, 12),
        there(SECOND, 7, 12),
        back(SECOND + SERVES, 7, 12, 12),
    ];
    let (seen, counts) = live(&records.concat(), 2 * SECOND);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(
        (seen[0].path.clone(), seen[0].retransmissions),
        (devices(12), 1)
    );
    assert_eq!((counts.raw.query_hops, counts.raw.response_hops), (22, 11));
}

#[test]
fn loopback_is_one_device_with_two_hops() {
    let lo = |netns: u64, hop: usize, back: bool, rec: Rec| {
        at(
            hop,
            back,
            rec.from("127.0.0.1", if back { 53 } else { 40000 }),
        )
        .to("127.0.0.1", if back { 40000 } else { 53 })
        .with(|header| (header.ifindex, header.netns_cookie) = (1, netns))
        .with(|header| {
            (header.hook, header.direction) = match hop {
                0 => (event::HOOK_DEV_QUEUE, event::DIRECTION_EGRESS),
                _ => (event::HOOK_RECEIVE_SKB, event::DIRECTION_INGRESS),
            }
        })
    };
    // Two namespaces at a time, which are two hosts as far as 127.0.0.1 goes.
    let each = |step: fn(u64, bool) -> (usize, Rec), back: bool| -> Vec<Rec> {
        let hops = [step(1, false), step(2, true)];
        let hops = hops.iter();
        hops.flat_map(|(hop, rec)| [5, 6].map(|netns| lo(netns, *hop, back, rec.clone())))
            .collect()
    };
    let records = [
        each(|time, last| (usize::from(last), ask(time * US, 7)), false),
        each(
            |time, last| (usize::from(last), answer((time + 10) * US, 7)),
            true,
        ),
    ]
    .concat();
    let (seen, counts) = live(&records, MS);
    assert_eq!(counts.raw.answered, 2, "{seen:?}");
    for seen in &seen {
        assert_eq!(
            (seen.path.as_slice(), seen.duration_ns),
            (&[1, 1][..], Some(11 * US))
        );
    }
    assert_eq!(
        (
            counts.raw.query_hops,
            counts.raw.response_hops,
            counts.duplicates
        ),
        (2, 2, 0)
    );
    // Over TCP the streams of the two hops are put together each.
    let tcp = |rec: &Rec| {
        let mut rec = rec.clone();
        rec.payload = framed(&rec.payload);
        let len = rec.payload.len() as u32;
        rec.with(|header| (header.wire_len, header.captured_len) = (len, len))
            .segment(1, TCP_ACK)
    };
    let records: Vec<Rec> = records.iter().map(tcp).collect();
    let (seen, counts) = live(&records, MS);
    assert_eq!(
        (
            counts.raw.answered,
            counts.raw.query_hops,
            counts.raw.response_hops
        ),
        (2, 2, 2)
    );
    assert!(seen.iter().all(|seen| seen.path == [1, 1]), "{seen:?}");
}

#[test]
fn an_answer_without_question_finds_its_query_and_has_its_hops() {
    let bare = |rec: &Rec| {
        let mut rec = rec.clone();
        rec.payload = vec![0, 7, 0x81, 0x05, 0, 0, 0, 0, 0, 0, 0, 0];
        rec.with(|header| (header.wire_len, header.captured_len) = (12, 12))
    };
    let replies = back(SERVES, 7, 5, 5);
    let replies: Vec<Rec> = replies.iter().map(bare).collect();
    let (seen, counts) = live(&[there(0, 7, 5), replies].concat(), MS);
    assert_eq!(
        (seen.len(), counts.raw.answered, counts.raw.response_hops),
        (1, 1, 4)
    );
}

#[test]
fn what_is_malformed_is_told_once() {
    let records: Vec<Rec> = (0..5)
        .map(|hop| at(hop, false, Rec::query(hop as u64 * STEP, vec![0; 5])))
        .collect();
    let (seen, counts) = live(&records, MS);
    assert_eq!(
        (seen.len(), counts.raw.malformed, counts.raw.malformed_hops),
        (1, 5, 4)
    );
}

#[test]
fn the_process_is_that_of_the_first_hop() {
    let mut records = vec![announcement(0, 9, 4711, "dig")];
    let hops = [there(1, 7, 5), back(SERVES, 7, 5, 5)].concat();
    let cookie = |rec: &Rec| {
        let first = rec.header.ifindex == 10 && rec.header.direction == event::DIRECTION_EGRESS;
        let cookie = if first { 9 } else { 0 };
        rec.clone().with(|header| header.socket_cookie = cookie)
    };
    records.extend(hops.iter().map(|rec| cookie(rec).bytes()));
    let (seen, counts) = run_bytes(options(), &records, MS);
    assert_eq!(seen[0].process.as_deref(), Some("dig/4711"));
    assert_eq!((counts.owners.known, counts.owners.unknown), (1, 0));
}

/// The copies that a client sends of one query: how far each gets, and how far its response.
type Sent = Vec<(usize, usize)>;

/// What a lookup is to come to: outcome, retransmissions, devices, duration.
type Wanted = (&'static str, u32, Vec<u32>, Option<u64>);

/// The records of a client's copies, one a second, and what they are: the model.
fn model(hops: usize, start: u64, id: u16, sent: &Sent) -> (Vec<Rec>, Vec<Wanted>) {
    let (mut records, mut wanted) = (Vec::new(), Vec::new());
    let (mut first, mut copies, mut far) = (start, 0, 0);
    for (i, (reach, returns)) in sent.iter().enumerate() {
        let time = start + i as u64 * SECOND;
        if copies == 0 {
            (first, far) = (time, 0);
        }
        copies += 1;
        far = far.max(*reach);
        records.extend(there(time, id, *reach));
        let returns = if *reach == hops { *returns } else { 0 };
        let answered = time + hops as u64 * STEP + SERVES;
        records.extend(back(answered, id, hops, returns));
        if returns > 0 {
            let end = answered + (returns as u64 - 1) * STEP;
            wanted.push(("Answered", copies - 1, devices(far), Some(end - first)));
            copies = 0;
        }
        if returns == hops {
            break;
        }
    }
    if copies > 0 {
        wanted.push(("Timeout", copies - 1, devices(far), None));
    }
    (records, wanted)
}

fn came_to(seen: &Seen) -> (&str, u32, Vec<u32>, Option<u64>) {
    (
        &seen.outcome,
        seen.retransmissions,
        seen.path.clone(),
        seen.duration_ns,
    )
}

proptest! {
    #[test]
    fn every_lookup_is_what_the_model_says(
        hops in 1..=8_usize,
        clients in prop::collection::vec(
            (0..50 * MS, prop::collection::vec((1..=8_usize, 0..=8_usize), 1..4)),
            1..12,
        ),
    ) {
        let (mut records, mut wanted) = (Vec::new(), Vec::new());
        for (id, (start, sent)) in clients.iter().enumerate() {
            let cut = |&(reach, returns): &(usize, usize)| (reach.min(hops), returns.min(hops));
            let sent: Sent = sent.iter().map(cut).collect();
            let (more, lookups) = model(hops, *start, id as u16, &sent);
            records.extend(more);
            wanted.extend(lookups);
        }
        records.sort_by_key(|rec| rec.header.time_ns);
        let (seen, counts) = live(&records, 60 * SECOND);
        let mut seen: Vec<_> = seen.iter().map(came_to).collect();
        seen.sort();
        wanted.sort();
        prop_assert_eq!(seen, wanted);
        prop_assert_eq!((counts.raw.orphans, counts.pending), (0, 0));
    }

    #[test]
    fn lost_records_make_no_lookup_more_and_no_answer_less(
        hops in 1..=8_usize,
        kept in prop::collection::vec(any::<bool>(), 16),
    ) {
        let keep = |records: Vec<Rec>, from: usize| -> Vec<Rec> {
            let kept = records.into_iter().zip(&kept[from..]);
            kept.filter(|(_, kept)| **kept).map(|(rec, _)| rec).collect()
        };
        let asked = keep(there(0, 7, hops), 0);
        let answered = keep(back(SERVES, 7, hops, hops), 8);
        let wanted: &[&str] = match (asked.is_empty(), answered.is_empty()) {
            (true, true) => &[],
            (false, true) => &["Timeout"],
            (true, false) => &["Orphan"],
            (false, false) => &["Answered"],
        };
        let (seen, counts) = live(&[asked, answered].concat(), 60 * SECOND);
        let outcomes: Vec<&str> = seen.iter().map(|seen| seen.outcome.as_str()).collect();
        prop_assert_eq!(outcomes, wanted);
        prop_assert_eq!(counts.raw.retransmissions, 0);
    }

    /// Two programs that share no map: each ring is in order, the two are not.
    #[test]
    fn the_order_of_rings_does_not_matter(hops in 1..=8_usize, queue_first: bool) {
        let mut records = [there(0, 7, hops), back(SERVES, 7, hops, hops)].concat();
        records.sort_by_key(|rec| (rec.header.hook == event::HOOK_DEV_QUEUE) != queue_first);
        let (seen, counts) = run(options(), &records, 60 * SECOND);
        prop_assert_eq!(seen.len(), 1, "{:?}", seen);
        prop_assert_eq!(
            came_to(&seen[0]),
            ("Answered", 0, devices(hops), Some(SERVES + (hops as u64 - 1) * STEP))
        );
        prop_assert_eq!(counts.raw.query_hops + counts.raw.response_hops, 2 * (hops as u64 - 1));
    }
}
