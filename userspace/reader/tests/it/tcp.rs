//! Lookups over TCP, from segments to outcomes, and the bounds of the reassembler.

use dns_trace::pipeline::Pipeline;
use dns_trace::tcp::Streams;
use dns_trace_event::{TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};
use domain::base::Rtype;
use domain::base::iana::Rcode;

use crate::memory::{Memory, Seen, options, run};
use crate::records::{CLIENT, Rec, SERVER, query, response};
use crate::streams::{self, Segment as _, framed, piece, syn};

const MS: u64 = 1_000_000;

fn question(id: u16, name: &str) -> Vec<u8> {
    framed(&query(id, name, Rtype::A))
}

fn reply(id: u16, name: &str) -> Vec<u8> {
    framed(&response(
        id,
        name,
        Rtype::A,
        Rcode::NOERROR,
        &[[192, 0, 2, 1]],
    ))
}

/// From the client, by sequence number.
fn up(at_ms: u64, seq: u32, bytes: &[u8]) -> Rec {
    Rec::query(at_ms * MS, bytes.to_vec()).segment(seq, TCP_ACK)
}

/// From the server.
fn down(at_ms: u64, seq: u32, bytes: &[u8]) -> Rec {
    Rec::response(at_ms * MS, bytes.to_vec()).segment(seq, TCP_ACK)
}

fn outcomes(seen: &[Seen]) -> Vec<(&str, &str)> {
    seen.iter()
        .map(|seen| (seen.outcome.as_str(), seen.name.as_str()))
        .collect()
}

#[test]
fn a_whole_connection_is_its_lookups() {
    let (a, b) = (question(1, "a.example"), question(2, "b.example"));
    let both = [reply(2, "b.example"), reply(1, "a.example")].concat();
    let records = [
        up(0, 99, b"").segment(99, TCP_SYN),
        down(1, 499, b"").segment(499, TCP_SYN | TCP_ACK),
        // The length by itself, then a message in two segments, the last first.
        up(2, 100, &a[..2]),
        up(4, 110, &a[10..]),
        up(5, 102, &a[2..10]),
        up(6, 100 + a.len() as u32, &b),
        // Two messages in one and a half segments, a part of them twice.
        down(10, 500, &both[..70]),
        down(12, 540, &both[40..]),
        up(13, 100 + (a.len() + b.len()) as u32, b"").segment(160, TCP_FIN | TCP_ACK),
        down(13, 500 + both.len() as u32, b"").segment(600, TCP_RST),
    ];
    let (seen, counts) = run(options(), &records, 13 * MS);
    assert_eq!(
        outcomes(&seen),
        [("Answered", "b.example"), ("Answered", "a.example")]
    );
    // From the segment that completes the query to the one that completes the response.
    let durations: Vec<_> = seen.iter().map(|seen| seen.duration_ns).collect();
    assert_eq!(durations, [Some(4 * MS), Some(7 * MS)]);
    let tcp = counts.tcp;
    assert_eq!((tcp.segments, tcp.used, tcp.empty), (10, 6, 4));
    assert_eq!(
        (tcp.messages, counts.raw.queries, counts.raw.responses),
        (4, 2, 2)
    );
    assert!(tcp.given_up().iter().all(|(_, number)| *number == 0));
}

#[test]
fn data_may_come_with_the_syn() {
    // TCP Fast Open (RFC 7413): the server may not take it, then it is sent again.
    let a = question(1, "a.example");
    let records = [
        up(0, 99, &a).segment(99, TCP_SYN),
        up(1, 100, &a),
        up(2, 100 + a.len() as u32, &question(2, "b.example")[..10]),
    ];
    let (_, counts) = run(options(), &records, MS);
    assert_eq!((counts.raw.queries, counts.tcp.retransmitted), (1, 1));
    assert_eq!((counts.tcp.used, counts.tcp.unfinished), (2, 1));
}

#[test]
fn with_several_rings_a_long_response_waits_for_its_query() {
    let mut options = options();
    options.hold_ns = 200 * MS;
    let mut reply = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[[192, 0, 2, 1]]);
    reply.resize(60_000, 0);
    let reply = framed(&reply);
    let at = |i: usize| (i * 4000, ((i + 1) * 4000).min(reply.len()));
    let one = |port: u16| {
        let segments = (0..=15).map(&at);
        let down = |(from, to): (usize, usize)| {
            let rec = down(10, 1 + from as u32, &reply[from..to]);
            rec.with(|header| header.destination_port = port)
        };
        segments.map(down).collect::<Vec<_>>()
    };
    let ask = up(5, 1, &question(7, "a.example"));
    let (seen, _) = run(options.clone(), &[one(40000), vec![ask]].concat(), 0);
    assert_eq!(outcomes(&seen), [("Answered", "a.example")]);
    assert_eq!(seen[0].duration_ns, Some(5 * MS));
    // 4 MiB hold 69 of them; the others are orphans at once.
    let many: Vec<Rec> = (1..=80).flat_map(one).collect();
    let (seen, counts) = run(options.clone(), &many, 10 * MS);
    assert_eq!((seen.len(), counts.raw.orphans), (80, 80));
    let mut memory = Memory::default();
    let mut pipeline = Pipeline::new(options, &mut memory);
    for record in &many {
        pipeline.record(&record.bytes()).unwrap();
    }
    assert_eq!(pipeline.counts().raw.orphans, 80 - 69);
}

#[test]
fn udp_and_tcp_do_not_answer_each_other() {
    let records = [
        Rec::query(0, query(1, "a.example", Rtype::A)),
        down(1, 500, &reply(1, "a.example")),
    ];
    let (seen, counts) = run(options(), &records, MS);
    assert_eq!(outcomes(&seen), [("Orphan", "a.example")]);
    assert_eq!(counts.pending, 1);
}

#[test]
fn a_connection_is_taken_up_in_its_middle() {
    let (a, b) = (question(1, "a.example"), question(2, "b.example"));
    let records = [
        // The end of something, which begins no message.
        up(1, 1000, &a[9..]),
        up(2, 2000, &b),
        // Sent again.
        up(3, 2000, &b),
        down(4, 70_000, &reply(2, "b.example")),
    ];
    let (seen, counts) = run(options(), &records, 4 * MS);
    assert_eq!(outcomes(&seen), [("Answered", "b.example")]);
    assert_eq!((counts.tcp.no_start, counts.tcp.retransmitted), (1, 1));
    assert_eq!(counts.raw.retransmissions, 0);
}

#[test]
fn a_lone_length_has_to_be_borne_out() {
    let a = question(1, "a.example");
    let (seen, _) = run(
        options(),
        &[up(1, 10, &a[..2]), up(2, 12, &a[2..])],
        6000 * MS,
    );
    assert_eq!(outcomes(&seen), [("Timeout", "a.example")]);
    let (seen, counts) = run(
        options(),
        &[
            up(1, 10, b"GE"),
            up(2, 12, b"T / HTTP/1.1\r\n\r\n"),
            up(3, 30, &a),
        ],
        6000 * MS,
    );
    assert_eq!(outcomes(&seen), [("Timeout", "a.example")]);
    assert_eq!((counts.tcp.used, counts.tcp.no_start), (2, 1));
}

#[test]
fn a_truncated_capture_costs_the_rest_of_one_message() {
    let addresses = [[192, 0, 2, 1]; 300];
    let long = framed(&response(
        1,
        "a.example",
        Rtype::A,
        Rcode::NOERROR,
        &addresses,
    ));
    let stream = [long, reply(2, "b.example")].concat();
    let last = stream.len() - 20;
    let records = [
        up(
            0,
            1,
            &[question(1, "a.example"), question(2, "b.example")].concat(),
        ),
        // One super-segment, of which 4096 bytes are captured; it ends within the next message.
        Rec::response(5 * MS, stream[..4800].to_vec())
            .segment(1, TCP_ACK)
            .cut(4096),
        down(6, 4801, &stream[4800..last]),
        down(9, 1 + last as u32, &stream[last..]),
    ];
    let (seen, counts) = run(options(), &records, 9 * MS);
    assert_eq!(
        outcomes(&seen),
        [("Answered", "a.example"), ("Answered", "b.example")]
    );
    assert_eq!((seen[0].truncated, seen[0].error), (true, None));
    assert_eq!(
        (seen[1].truncated, seen[1].duration_ns),
        (false, Some(9 * MS))
    );
    assert_eq!((counts.tcp.truncated, counts.tcp.given_up_gap), (1, 0));
}

#[test]
fn a_length_that_is_not_captured_loses_the_framing_until_a_start() {
    let first = [question(1, "a.example"), question(2, "b.example")].concat();
    let records = [
        up(0, 0, b"").segment(0, TCP_SYN),
        up(1, 1, &first).cut(question(1, "a.example").len()),
        up(2, 1 + first.len() as u32, &question(3, "c.example")),
    ];
    let (seen, counts) = run(options(), &records, 6000 * MS);
    assert_eq!(
        outcomes(&seen),
        [("Timeout", "a.example"), ("Timeout", "c.example")]
    );
    assert_eq!((counts.tcp.given_up_gap, counts.tcp.used), (1, 2));
}

#[test]
fn a_segment_that_never_comes_is_waited_for_a_second() {
    let a = question(1, "a.example");
    let records = [
        up(0, 0, b"").segment(0, TCP_SYN),
        up(1, 1 + a.len() as u32, &question(2, "b.example")),
    ];
    let (seen, counts) = run(options(), &records, 1000 * MS);
    assert_eq!(
        (seen.len(), counts.tcp.waiting, counts.raw.queries),
        (0, 1, 0)
    );
    let (_, counts) = run(options(), &records, 1001 * MS);
    assert_eq!((counts.tcp.waiting, counts.raw.queries), (0, 1));
    assert_eq!(counts.tcp.given_up_gap, 1);
}

#[test]
fn a_connection_that_ends_within_a_message_is_counted() {
    let a = question(1, "a.example");
    for (flags, seq) in [(TCP_FIN | TCP_ACK, 11), (TCP_RST, 11), (TCP_SYN, 70_000)] {
        let records = [
            up(0, 0, b"").segment(0, TCP_SYN),
            up(1, 1, &a[..10]),
            up(2, 0, b"").segment(seq, flags),
        ];
        let (seen, counts) = run(options(), &records, 2 * MS);
        assert_eq!((seen.len(), counts.tcp.given_up_cut_off), (0, 1), "{flags}");
    }
}

#[test]
fn a_port_used_again_is_a_new_connection() {
    let a = question(1, "a.example");
    let connection = |isn: u32, at: u64| {
        [
            up(at, isn, b"").segment(isn, TCP_SYN),
            up(at, isn, b"").segment(isn, TCP_SYN),
            up(at, isn.wrapping_add(1), &a),
            up(at, 0, b"").segment(isn.wrapping_add(1 + a.len() as u32), TCP_FIN),
        ]
    };
    let records = [connection(u32::MAX - 5, 0), connection(30, 1)].concat();
    let (_, counts) = run(options(), &records, MS);
    assert_eq!((counts.raw.queries, counts.raw.retransmissions), (2, 1));
    assert_eq!(counts.tcp.given_up_cut_off, 0);
}

#[test]
fn a_zone_transfer_is_one_lookup() {
    let message = |id| {
        framed(&response(
            id,
            "example",
            Rtype::AXFR,
            Rcode::NOERROR,
            &[[1; 4]],
        ))
    };
    // Further messages may leave their question out: header and one record at the root.
    let mut bare = vec![0, 7, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    bare.extend([0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 1]);
    let all = [message(7), message(7), framed(&bare), message(8)].concat();
    let records = [
        up(0, 1, &framed(&query(7, "example", Rtype::AXFR))),
        down(5, 1, &all),
    ];
    let (seen, counts) = run(options(), &records, 5 * MS);
    assert_eq!(
        outcomes(&seen),
        [("Answered", "example"), ("Orphan", "example")]
    );
    assert_eq!((counts.raw.axfr_messages, counts.raw.axfr_records), (2, 2));
    assert_eq!(counts.raw.responses, 4);
}

#[test]
fn a_retry_continues_its_truncated_answer() {
    let mut truncated = response(1, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    truncated[2] |= 2;
    let udp = |truncated: &[u8]| {
        [
            Rec::query(0, query(1, "a.example", Rtype::A)),
            Rec::response(MS, truncated.to_vec()),
        ]
    };
    let tcp = |at: u64, port: u16, name: &str| {
        let ask = up(at, 1, &question(9, name)).from(CLIENT, port);
        let answer = down(at + 1, 1, &reply(9, name)).to(CLIENT, port);
        [ask.to(SERVER, 53), answer]
    };
    let retries = |records: &[Rec]| {
        let (seen, counts) = run(options(), records, 0);
        assert!(
            seen.iter().all(|seen| seen.outcome == "Answered"),
            "{seen:?}"
        );
        let marked = seen.iter().filter(|seen| seen.retry).count() as u64;
        assert_eq!(counts.raw.retries_of_truncated, marked);
        seen.iter().map(|seen| seen.retry).collect::<Vec<_>>()
    };
    let once = [udp(&truncated), tcp(2, 50000, "a.example")].concat();
    assert_eq!(retries(&once), [false, true]);
    // It is followed up once, soon, and for its own question.
    let twice = [&once[..], &tcp(4, 50001, "a.example")].concat();
    assert_eq!(retries(&twice), [false, true, false]);
    let late = [udp(&truncated), tcp(5002, 50000, "a.example")].concat();
    assert_eq!(retries(&late), [false, false]);
    let other = [udp(&truncated), tcp(2, 50000, "b.example")].concat();
    assert_eq!(retries(&other), [false, false]);
    truncated[2] &= !2;
    let whole = [udp(&truncated), tcp(2, 50000, "a.example")].concat();
    assert_eq!(retries(&whole), [false, false]);
}

#[test]
fn what_waits_is_bounded() {
    let stream = vec![0xff; 200_000];
    let mut streams = Streams::new();
    streams::run(&mut streams, &[syn(0)]);
    for i in 1..60 {
        streams::run(
            &mut streams,
            &[piece(&stream, 1, i * 3000, i * 3000 + 2900)],
        );
        assert!(
            streams.bytes() < 2 * 65_537 + 128 * 64,
            "{}",
            streams.bytes()
        );
    }
    assert!(streams.counts().given_up_gap > 0);
    // Small ones are bounded by their number.
    let mut streams = Streams::new();
    streams::run(&mut streams, &[syn(0)]);
    for i in 1..1000 {
        streams::run(&mut streams, &[piece(&stream, 1, i * 3, i * 3 + 1)]);
        assert!(streams.counts().waiting <= 128);
    }
}

#[test]
fn the_longest_silent_connections_make_room() {
    // Each is within a message of 65535 bytes; 8 MiB hold about 2000 of them.
    let mut streams = Streams::new();
    let start = [&[0xff; 2][..], &query(1, "a.example", Rtype::A), &[0; 4000]].concat();
    for port in 1..3000 {
        let rec = up(1, 1, &start).with(|header| header.source_port = port);
        streams::run(&mut streams, &[rec]);
        assert!(streams.bytes() <= 8 << 20);
    }
    let evicted = streams.counts().given_up_evicted;
    assert!((900..1500).contains(&evicted), "{evicted}");
    // And 4096 of them in number: 8192 directions.
    let mut streams = Streams::new();
    for port in 1..=9000 {
        let rec = up(1, 1, &start[..20]).with(|header| header.source_port = port);
        streams::run(&mut streams, &[rec]);
    }
    assert_eq!(streams.counts().given_up_evicted, 9000 - 8192);
}
