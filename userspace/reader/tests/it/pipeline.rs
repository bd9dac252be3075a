//! What becomes of queries and responses.

use dns_trace::bundle::FEW;
use dns_trace::name::Suffix;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::sink::Silent;
use dns_trace_event as event;
use domain::base::Rtype;
use domain::base::iana::{OptRcode, Rcode};

use crate::memory::{Seen, options, run};
use crate::records::{Rec, query, response};
use crate::streams::Segment as _;

const MS: u64 = 1_000_000;

fn ask(at_ms: u64, id: u16, name: &str) -> Rec {
    Rec::query(at_ms * MS, query(id, name, Rtype::A))
}

fn answer(at_ms: u64, id: u16, name: &str) -> Rec {
    Rec::response(
        at_ms * MS,
        response(id, name, Rtype::A, Rcode::NOERROR, &[[192, 0, 2, 1]]),
    )
}

fn outcomes(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|seen| seen.outcome.as_str()).collect()
}

#[test]
fn latency_is_kernel_time() {
    let records = [
        ask(1000, 7, "www.example.com"),
        answer(1012, 7, "www.example.com"),
    ];
    let (seen, counts) = run(options(), &records, 1012 * MS);
    assert_eq!(outcomes(&seen), ["Answered"]);
    assert_eq!(seen[0].duration_ns, Some(12 * MS));
    assert_eq!(seen[0].name, "www.example.com");
    assert_eq!(
        (counts.raw.lookups, counts.raw.answered, counts.pending),
        (1, 1, 0)
    );
}

#[test]
fn spelling_in_capitals_matches() {
    let records = [
        ask(1, 7, "wWw.ExAmPle.com"),
        answer(2, 7, "www.EXAMPLE.com"),
    ];
    let (seen, _) = run(options(), &records, 0);
    assert_eq!(outcomes(&seen), ["Answered"]);
    assert_eq!(seen[0].name, "www.example.com");
}

#[test]
fn another_id_name_type_or_port_does_not_match() {
    for other in [
        answer(2, 8, "a.example"),
        answer(2, 7, "b.example"),
        Rec::response(
            2 * MS,
            response(7, "a.example", Rtype::AAAA, Rcode::NOERROR, &[]),
        ),
        answer(2, 7, "a.example").to("10.0.0.2", 40001),
        answer(2, 7, "a.example").from("10.0.0.3", 53),
        answer(2, 7, "a.example").with(|header| header.ifindex = 3),
        answer(2, 7, "a.example").with(|header| header.netns_cookie = 9),
        answer(2, 7, "a.example").with(|header| header.hook = event::HOOK_DEV_QUEUE),
    ] {
        let (seen, counts) = run(options(), &[ask(1, 7, "a.example"), other], 2 * MS);
        assert_eq!(outcomes(&seen), ["Orphan"]);
        assert_eq!(seen[0].error, Some("orphan"));
        assert_eq!(counts.pending, 1);
    }
}

#[test]
fn the_time_out_falls_due_at_five_seconds() {
    let (seen, counts) = run(options(), &[ask(1000, 7, "a.example")], 5999 * MS);
    assert_eq!((outcomes(&seen).len(), counts.pending), (0, 1));
    let (seen, counts) = run(options(), &[ask(1000, 7, "a.example")], 6000 * MS);
    assert_eq!(outcomes(&seen), ["Timeout"]);
    assert_eq!(seen[0].error, Some("timeout"));
    assert_eq!((counts.raw.timeouts, counts.pending), (1, 0));
}

#[test]
fn a_late_response_is_late_however_late_the_reader_is() {
    let records = [ask(1000, 7, "a.example"), answer(6001, 7, "a.example")];
    let (seen, _) = run(options(), &records, 6001 * MS);
    assert_eq!(outcomes(&seen), ["Timeout", "Orphan"]);
}

#[test]
fn a_query_sent_again_is_one_lookup() {
    let records = [
        ask(0, 7, "a.example"),
        ask(1000, 7, "a.example"),
        ask(2000, 7, "a.example"),
        answer(2010, 7, "a.example"),
    ];
    let (seen, counts) = run(options(), &records, 0);
    assert_eq!(outcomes(&seen), ["Answered"]);
    assert_eq!(seen[0].retransmissions, 2);
    assert_eq!(seen[0].duration_ns, Some(2010 * MS));
    assert_eq!((counts.raw.queries, counts.raw.retransmissions), (3, 2));
}

#[test]
fn a_response_without_question_finds_the_only_query() {
    // A header alone: REFUSED.
    let bare = |id: u16| {
        let [high, low] = id.to_be_bytes();
        Rec::response(2 * MS, vec![high, low, 0x81, 0x05, 0, 0, 0, 0, 0, 0, 0, 0])
    };
    let (seen, _) = run(options(), &[ask(1, 7, "a.example"), bare(7)], 0);
    assert_eq!(outcomes(&seen), ["Answered"]);
    assert_eq!(seen[0].name, "a.example");
    // Two candidates: no guess.
    let records = [ask(1, 7, "a.example"), ask(1, 7, "b.example"), bare(7)];
    let (seen, counts) = run(options(), &records, 0);
    assert_eq!(outcomes(&seen), ["Orphan"]);
    assert_eq!(counts.pending, 2);
}

#[test]
fn the_oldest_makes_room_and_is_named() {
    let records: Vec<Rec> = (0..17)
        .map(|id| ask(u64::from(id), id, "a.example"))
        .collect();
    let (seen, counts) = run(options(), &records, 0);
    assert_eq!(outcomes(&seen), ["Evicted"]);
    assert_eq!((counts.raw.evicted, counts.pending), (1, 16));
}

#[test]
fn many_questions_under_one_id_do_not_make_a_long_list() {
    let mut options = options();
    options.max_pending = 1000;
    let records: Vec<Rec> = (0..100)
        .map(|i| ask(i, 7, &format!("n{i}.example")))
        .collect();
    let (_, counts) = run(options, &records, 0);
    assert_eq!((counts.raw.evicted, counts.pending), (84, 16));
}

#[test]
fn loopback_shows_a_packet_once() {
    let lo = |rec: Rec, direction| {
        rec.with(|header| {
            header.ifindex = 1;
            header.direction = direction;
        })
    };
    let both = |rec: Rec| {
        [
            lo(rec.clone(), event::DIRECTION_EGRESS),
            lo(rec, event::DIRECTION_INGRESS),
        ]
    };
    let records = [
        both(ask(1, 7, "a.example")),
        both(answer(2, 7, "a.example")),
    ]
    .concat();
    let (seen, counts) = run(options(), &records, 0);
    assert_eq!(outcomes(&seen), ["Answered"]);
    assert_eq!(
        (
            counts.duplicates,
            counts.raw.retransmissions,
            counts.raw.orphans
        ),
        (2, 0, 0)
    );
    // Where only the way in is watched, it counts.
    let records = [ask(1, 7, "a.example"), answer(2, 7, "a.example")]
        .map(|rec| lo(rec, event::DIRECTION_INGRESS));
    let (seen, _) = run(options(), &records, 0);
    assert_eq!(outcomes(&seen), ["Answered"]);
}

#[test]
fn with_several_rings_a_response_waits_for_its_query() {
    let mut options = options();
    options.hold_ns = 200 * MS;
    let records = [answer(1010, 7, "a.example"), ask(1000, 7, "a.example")];
    let (seen, counts) = run(options.clone(), &records, 1100 * MS);
    assert_eq!(outcomes(&seen), ["Answered"]);
    assert_eq!(seen[0].duration_ns, Some(10 * MS));
    assert_eq!(counts.raw.orphans, 0);
    // In vain.
    let (seen, _) = run(options.clone(), &[answer(1010, 7, "a.example")], 1210 * MS);
    assert_eq!(outcomes(&seen), ["Orphan"]);
    // A query sent after the response is not its query.
    let records = [answer(1010, 7, "a.example"), ask(1011, 7, "a.example")];
    let (seen, counts) = run(options, &records, 1300 * MS);
    assert_eq!(outcomes(&seen), ["Orphan"]);
    assert_eq!(counts.pending, 1);
}

#[test]
fn multicast_is_no_error() {
    let group = |rec: Rec| rec.to("224.0.0.252", 5355);
    let reply = answer(9, 7, "host").from("10.0.0.9", 5355);
    let (seen, _) = run(options(), &[group(ask(1, 7, "host")), reply], 0);
    assert_eq!(outcomes(&seen), ["Answered"]);
    let (seen, counts) = run(options(), &[group(ask(1, 7, "host"))], 6000 * MS);
    assert_eq!((outcomes(&seen), seen[0].error), (vec!["Multicast"], None));
    assert_eq!((counts.raw.timeouts, counts.raw.multicast), (0, 1));
    // mDNS between peers: id 0, several questions, answers to everybody.
    let ask = ask(1, 0, "host.local")
        .from("10.0.0.2", 5353)
        .to("224.0.0.251", 5353);
    let tell = answer(2, 0, "host.local")
        .from("10.0.0.9", 5353)
        .to("224.0.0.251", 5353);
    let (seen, _) = run(options(), &[ask, tell], 0);
    assert_eq!(outcomes(&seen), ["Multicast", "Announcement"]);
    assert!(seen.iter().all(|seen| seen.error.is_none()));
}

#[test]
fn what_is_no_message_is_counted_and_shown() {
    for payload in [
        vec![],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 11],
        vec![0xff; 64],
    ] {
        let (seen, counts) = run(options(), &[Rec::query(1, payload)], 0);
        assert_eq!(outcomes(&seen), ["Malformed"]);
        assert_eq!(seen[0].error, Some("malformed"));
        assert_eq!((counts.raw.malformed, counts.raw.lookups), (1, 0));
    }
}

#[test]
fn an_answer_that_breaks_off_is_marked() {
    let mut payload = response(
        7,
        "a.example",
        Rtype::A,
        Rcode::NOERROR,
        &[[192, 0, 2, 1], [192, 0, 2, 2]],
    );
    payload.truncate(payload.len() - 3);
    let broken = Rec::response(2 * MS, payload.clone());
    let (seen, counts) = run(options(), &[ask(1, 7, "a.example"), broken], 0);
    assert_eq!(
        (outcomes(&seen), seen[0].error),
        (vec!["Answered"], Some("malformed"))
    );
    assert_eq!(counts.raw.malformed_answers, 1);
    // Cut by the snap length it is no fault of the server.
    let whole = response(
        7,
        "a.example",
        Rtype::A,
        Rcode::NOERROR,
        &[[192, 0, 2, 1], [192, 0, 2, 2]],
    );
    let cut = Rec::response(2 * MS, whole).cut(payload.len());
    let (seen, counts) = run(options(), &[ask(1, 7, "a.example"), cut], 0);
    assert_eq!((outcomes(&seen), seen[0].error), (vec!["Answered"], None));
    assert_eq!(counts.raw.malformed_answers, 0);
}

#[test]
fn an_answer_of_the_wrong_length_is_marked() {
    // An A of three bytes, an MX whose exchange has no end.
    for (qtype, data) in [(Rtype::A, &[192, 0, 2][..]), (Rtype::MX, &[0, 10, 3, b'a'])] {
        let mut payload = response(7, "a.example", qtype, Rcode::NOERROR, &[]);
        payload[7] = 1;
        payload.extend([0xc0, 12]);
        payload.extend(qtype.to_int().to_be_bytes());
        payload.extend([0, 1, 0, 0, 0, 9, 0, data.len() as u8]);
        payload.extend(data);
        let records = [
            Rec::query(MS, query(7, "a.example", qtype)),
            Rec::response(2 * MS, payload.clone()),
        ];
        let (seen, counts) = run(options(), &records, 0);
        assert_eq!(
            (outcomes(&seen), seen[0].error),
            (vec!["Answered"], Some("malformed"))
        );
        assert_eq!(counts.raw.malformed_answers, 1);
        let mut name = dns_trace::name::WireName::new();
        let decoded = dns_trace::message::Decoded::decode(&payload, false, &mut name).unwrap();
        assert_eq!((decoded.answers, decoded.addresses), (1, 0));
        let record = decoded.answer_records().next().unwrap();
        let shown = dns_trace::sink::rdata::Data(record).to_string();
        assert!(
            shown.starts_with(&format!("\\# {} ", data.len())),
            "{shown}"
        );
    }
}

#[test]
fn old_and_alien_records_stay_out() {
    let mut options = options();
    options.start_ns = 5 * MS;
    let alien = ask(9, 1, "a.example").with(|header| header.abi = 99);
    let (seen, counts) = run(options, &[ask(4, 1, "old.example"), alien], 0);
    assert_eq!(seen, []);
    assert_eq!((counts.stale, counts.undecodable), (1, 1));
}

#[test]
fn filters_hide_but_count() {
    let records = [
        ask(1000, 1, "www.example.com"),
        answer(1001, 1, "www.example.com"),
        ask(1000, 2, "www.example.net"),
        Rec::response(
            1050 * MS,
            response(2, "www.example.net", Rtype::A, Rcode::NXDOMAIN, &[]),
        ),
        ask(1000, 3, "mail.example.com"),
        Rec::response(
            1050 * MS,
            response(3, "mail.example.com", Rtype::A, Rcode::SERVFAIL, &[]),
        ),
        ask(1000, 4, "gone.example.org"),
    ];
    let shown = |change: &dyn Fn(&mut dns_trace::filter::Filter)| {
        let mut options = options();
        change(&mut options.filter);
        let (seen, counts) = run(options, &records, 7000 * MS);
        assert_eq!((counts.raw.lookups, counts.shown), (4, seen.len() as u64));
        seen.into_iter().map(|seen| seen.name).collect::<Vec<_>>()
    };
    assert_eq!(
        shown(&|f| f.names = vec![Suffix::parse("example.com").unwrap()]),
        ["www.example.com", "mail.example.com"]
    );
    assert_eq!(
        shown(&|f| f.failures = true),
        ["mail.example.com", "gone.example.org"]
    );
    assert_eq!(
        shown(&|f| f.rcodes = vec![OptRcode::NXDOMAIN]),
        ["www.example.net"]
    );
    assert_eq!(shown(&|f| f.types = vec![Rtype::MX]), [""; 0]);
    assert_eq!(
        shown(&|f| f.min_latency_ns = Some(10 * MS)),
        ["www.example.net", "mail.example.com"]
    );
    assert_eq!(
        shown(&|f| f.clients = vec!["10.0.0.0/24".parse().unwrap()]).len(),
        4
    );
    assert_eq!(
        shown(&|f| f.servers = vec!["10.1.0.0/16".parse().unwrap()]).len(),
        0
    );
}

#[test]
fn the_count_is_exact() {
    let mut options = options();
    options.count = Some(2);
    let records: Vec<Rec> = (0..5)
        .flat_map(|id| [ask(1, id, "a.example"), answer(2, id, "a.example")])
        .collect();
    let (seen, counts) = run(options, &records, 0);
    assert_eq!((seen.len(), counts.shown, counts.raw.lookups), (2, 2, 5));
}

#[test]
fn a_response_alone_by_choice_is_no_orphan() {
    let selected = |select| answer(2, 7, "a.example").with(|header| header.select = select);
    for select in [event::SELECT_RESPONSES, event::SELECT_FAILURES] {
        let (seen, counts) = run(options(), &[selected(select)], 0);
        assert_eq!((outcomes(&seen), seen[0].error), (vec!["Response"], None));
        assert_eq!(
            (
                counts.raw.responses_only,
                counts.raw.orphans,
                counts.raw.lookups
            ),
            (1, 0, 1)
        );
    }
    let (seen, _) = run(options(), &[selected(event::SELECT_ALL)], 0);
    assert_eq!(outcomes(&seen), ["Orphan"]);
    let (_, counts) = run(options(), &[selected(9)], 0);
    assert_eq!(counts.undecodable, 1);
}

/// With so many queries pending the index is large enough to be looked into long before.
#[test]
fn looking_ahead_changes_nothing() {
    const PENDING: usize = 40_000;
    let asks = (0..PENDING as u16).map(|id| ask(0, id, "a.example"));
    let replies = (0..PENDING as u16).map(|id| answer(1, id, "a.example"));
    // Not all records are datagrams, or packets.
    let segment = ask(1, 7, "a.example").segment(1, event::TCP_SYN);
    let records = asks.chain([segment]).chain(replies.rev());
    let mut bytes: Vec<_> = records.map(|rec| rec.bytes()).collect();
    bytes.insert(PENDING, vec![0; 4]);
    let options = Options {
        max_pending: PENDING,
        ..options()
    };
    let mut silent = Silent;
    let mut pipeline = Pipeline::new(options, &mut silent);
    for few in bytes.chunks(FEW) {
        let ahead = pipeline.look_ahead_at(few);
        for (record, ahead) in few.iter().zip(ahead) {
            pipeline.take(record, ahead).unwrap();
        }
    }
    let counts = pipeline.counts();
    assert_eq!(counts.raw.answered, PENDING as u64);
    assert_eq!((counts.tcp.segments, counts.undecodable), (1, 1));
}
