//! The reassembler against a model: the stream itself. However it is cut, shuffled, repeated and
//! overlapped, the same messages come out, in order.

use dns_trace::record::Packet;
use dns_trace::tcp::{Streams, TcpCounts};
use dns_trace_event::{L4_TCP, TCP_ACK, TCP_FIN, TCP_SYN};
use domain::base::Rtype;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::records::{Rec, query};

/// A record of TCP.
pub(crate) trait Segment {
    /// Makes it a segment whose first byte has this number.
    fn segment(self, seq: u32, flags: u8) -> Self;
}

impl Segment for Rec {
    fn segment(self, seq: u32, flags: u8) -> Self {
        self.with(|header| {
            header.l4 = L4_TCP;
            header.tcp_seq = seq;
            header.tcp_flags = flags;
        })
    }
}

/// A message as it stands in a stream, after its length.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = message.len() as u16;
    [&length.to_be_bytes()[..], message].concat()
}

/// What came out of segments: messages, whether cut, and when.
pub(crate) type Got = Vec<(Vec<u8>, bool, u64)>;

pub(crate) fn add_up(counts: &TcpCounts) {
    let placed = counts.used + counts.empty + counts.retransmitted;
    let unplaced = counts.no_start + counts.dropped + counts.waiting;
    assert_eq!(counts.segments, placed + unplaced, "{counts:?}");
}

pub(crate) fn run(streams: &mut Streams, records: &[Rec]) -> Got {
    let mut got = Vec::new();
    let mut take = |packet: &Packet<'_>, _: &mut _| {
        got.push((packet.payload.to_vec(), packet.cut, packet.time_ns));
        Ok(())
    };
    for record in records {
        let bytes = record.bytes();
        let packet = Packet::decode(&bytes).unwrap();
        streams.segment(&packet, &mut take).unwrap();
        add_up(&streams.counts());
    }
    got
}

pub(crate) fn syn(isn: u32) -> Rec {
    Rec::query(0, vec![]).segment(isn, TCP_SYN)
}

/// Bytes `from..to` of a stream that starts at `start`.
pub(crate) fn piece(stream: &[u8], start: u32, from: usize, to: usize) -> Rec {
    let seq = start.wrapping_add(from as u32);
    Rec::query(1, stream[from..to].to_vec()).segment(seq, TCP_ACK)
}

/// Where to cut a stream, and what to do with the cuttings.
#[derive(Clone, Debug)]
struct Plan {
    messages: Vec<Vec<u8>>,
    isn: u32,
    cuts: Vec<Index>,
    /// Pieces sent again, with that many bytes more on both sides.
    again: Vec<(Index, usize)>,
    /// Pairs that change places.
    swaps: Vec<(Index, Index)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let message = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..60),
        1 => prop::collection::vec(any::<u8>(), 200..3000),
    ];
    let isn = prop_oneof![any::<u32>(), (0..3000_u32).prop_map(|n| u32::MAX - n)];
    (
        prop::collection::vec(message, 1..8),
        isn,
        prop::collection::vec(any::<Index>(), 0..40),
        prop::collection::vec((any::<Index>(), 0..50_usize), 0..10),
        prop::collection::vec(any::<(Index, Index)>(), 0..60),
    )
        .prop_map(|(messages, isn, cuts, again, swaps)| Plan {
            messages,
            isn,
            cuts,
            again,
            swaps,
        })
}

impl Plan {
    fn stream(&self) -> Vec<u8> {
        self.messages.iter().flat_map(|m| framed(m)).collect()
    }

    fn segments(&self, stream: &[u8]) -> Vec<Rec> {
        let start = self.isn.wrapping_add(1);
        let mut cuts: Vec<usize> = self.cuts.iter().map(|at| at.index(stream.len())).collect();
        // A record carries 4096 bytes at most.
        cuts.extend((0..stream.len()).step_by(3900));
        cuts.push(stream.len());
        cuts.sort_unstable();
        cuts.dedup();
        let mut ranges: Vec<(usize, usize)> = cuts.windows(2).map(|w| (w[0], w[1])).collect();
        for (which, more) in &self.again {
            let (from, to) = ranges[which.index(ranges.len())];
            ranges.push((from.saturating_sub(*more), (to + more).min(stream.len())));
        }
        for (a, b) in &self.swaps {
            let len = ranges.len();
            ranges.swap(a.index(len), b.index(len));
        }
        let pieces = ranges
            .iter()
            .map(|&(from, to)| piece(stream, start, from, to));
        std::iter::once(syn(self.isn)).chain(pieces).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_same_messages_come_out_in_order(plan in plan()) {
        let stream = plan.stream();
        let mut segments = plan.segments(&stream);
        let start = plan.isn.wrapping_add(1);
        let fin = start.wrapping_add(stream.len() as u32);
        segments.push(Rec::query(9, vec![]).segment(fin, TCP_FIN | TCP_ACK));
        let mut streams = Streams::new();
        let got = run(&mut streams, &segments);
        let got: Vec<_> = got.into_iter().map(|(message, cut, _)| (message, cut)).collect();
        let wanted: Vec<_> = plan.messages.iter().map(|m| (m.clone(), false)).collect();
        prop_assert_eq!(got, wanted);
        let counts = streams.counts();
        let given_up = counts.given_up_gap + counts.given_up_cut_off + counts.given_up_evicted;
        prop_assert_eq!((given_up, counts.no_start, counts.dropped, counts.waiting), (0, 0, 0, 0));
        prop_assert_eq!(streams.bytes(), 0);
        // Sent once more after the end, nothing comes out twice.
        prop_assert_eq!(run(&mut streams, &segments[1..]), vec![]);
    }

    /// Records cut by a snap length, others lost: what comes out are messages of the stream in
    /// order, marked if they are not whole.
    #[test]
    fn what_is_missing_harms_nothing_else(
        sizes in prop::collection::vec(0..400_usize, 1..12),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
        snap in 1..600_usize,
        lost in prop::collection::vec(any::<Index>(), 0..3),
    ) {
        let messages: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(id, size)| {
            let mut message = query(id as u16, "a.example", Rtype::A);
            message.extend(vec![0xff; *size]);
            message
        }).collect();
        let plan = Plan { messages, isn: 7, cuts, again: vec![], swaps: vec![] };
        let stream = plan.stream();
        let mut segments = plan.segments(&stream);
        for which in lost {
            let at = which.index(segments.len());
            if at > 0 {
                segments.remove(at);
            }
        }
        for segment in &mut segments {
            if segment.payload.len() > snap {
                *segment = segment.clone().cut(snap);
            }
        }
        let mut streams = Streams::new();
        let mut got = run(&mut streams, &segments);
        streams.expire(u64::MAX, &mut |packet, _| {
            got.push((packet.payload.to_vec(), packet.cut, packet.time_ns));
            Ok(())
        }).unwrap();
        let mut rest = plan.messages.iter();
        for (message, cut, _) in &got {
            let same = |whole: &&Vec<u8>| if *cut { whole.starts_with(message) } else { *whole == message };
            prop_assert!(rest.any(|whole| same(&whole)), "{message:?} {cut}");
        }
        let intact = segments.iter().all(|segment| segment.header.flags == 0);
        if intact && segments.len() == plan.segments(&stream).len() {
            prop_assert_eq!(got.len(), plan.messages.len());
        }
        let counts = streams.counts();
        let cut = got.iter().filter(|(_, cut, _)| *cut).count() as u64;
        prop_assert_eq!((counts.truncated, counts.waiting), (cut, 0));
        add_up(&streams.counts());
    }

    #[test]
    fn anything_is_survived_within_bounds(
        steps in prop::collection::vec(
            (0..3_u8, any::<u8>(), prop_oneof![0..300_u32, any::<u32>()],
             prop::collection::vec(any::<u8>(), 0..80), prop_oneof![Just(0_u32), any::<u32>()], 0..3_u64),
            0..200,
        ),
    ) {
        let mut now = 0;
        let mut streams = Streams::new();
        for (who, flags, seq, payload, more, time) in steps {
            now += time * 400_000_000;
            let rec = Rec::query(now, payload).segment(seq, flags);
            let rec = rec.with(|header| {
                header.source_port = u16::from(who);
                header.wire_len = header.captured_len.saturating_add(more);
                header.flags = u8::from(more > 0);
            });
            run(&mut streams, &[rec]);
        }
        streams.expire(u64::MAX, &mut |_, _| Ok(())).unwrap();
        add_up(&streams.counts());
        prop_assert!(streams.bytes() <= 8 << 20);
    }
}
