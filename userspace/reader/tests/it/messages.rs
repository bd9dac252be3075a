//! Messages told whole: EDNS, counts, protocols, names in Unicode, and where a message breaks.

use dns_trace::interface::Interfaces;
use dns_trace::pipeline::Pipeline;
use dns_trace::sink::json::JsonSink;
use dns_trace::sink::table::{Look, TableSink};
use domain::base::Rtype;
use domain::base::iana::Rcode;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::memory::options;
use crate::records::{Rec, query, response};

pub(crate) fn lines(records: &[Rec]) -> Vec<Value> {
    let mut out = Vec::new();
    let mut sink = JsonSink::new(&mut out, Interfaces::fixed(&[(2, "eth0")])).with_idna(true);
    let mut pipeline = Pipeline::new(options(), &mut sink);
    for record in records {
        pipeline.record(&record.bytes()).unwrap();
    }
    pipeline.advance(u64::MAX).unwrap();
    pipeline.finish().unwrap();
    drop(sink);
    let lines = out.split(|byte| *byte == b'\n').filter(|l| !l.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn line(records: &[Rec]) -> Value {
    let mut lines = lines(records);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// An option: code, length, data.
pub(crate) fn option(code: u16, data: &[u8]) -> Vec<u8> {
    let length = data.len() as u16;
    [&code.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
}

/// Adds an OPT record: DO set, size 1232, and an extended code.
pub(crate) fn with_opt(mut message: Vec<u8>, extended: u8, options: &[Vec<u8>]) -> Vec<u8> {
    let options = options.concat();
    message[11] += 1;
    message.extend([0, 0, 41, 0x04, 0xd0, extended, 0, 0x80, 0]);
    message.extend((options.len() as u16).to_be_bytes());
    message.extend(options);
    message
}

pub(crate) const SUBNET: [u8; 7] = [0, 1, 24, 0, 198, 51, 100];
pub(crate) const COOKIE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

pub(crate) fn ask(options: &[Vec<u8>]) -> Rec {
    Rec::query(1, with_opt(query(7, "a.example", Rtype::A), 0, options))
}

#[test]
fn edns_of_query_and_response() {
    let mut scoped = SUBNET;
    scoped[3] = 20;
    let reply = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    let reply = with_opt(
        reply,
        // BADVERS: 16.
        1,
        &[
            option(8, &scoped),
            option(10, &[&COOKIE[..], &[9; 8]].concat()),
            option(15, &[&[0, 18][..], "not \u{202e}here".as_bytes()].concat()),
            option(15, &[0xff, 0]),
            option(3, b"ns1\x1b"),
            option(12, &[0; 3]),
            option(65001, b"x"),
        ],
    );
    let line = line(&[
        ask(&[option(8, &SUBNET), option(10, &COOKIE)]),
        Rec::response(2, reply),
    ]);
    assert_eq!(line["dns"]["response_code"], "BADVERS");
    assert_eq!(line["dns"]["header_flags"], json!(["RD", "RA", "DO"]));
    assert_eq!(
        line["dns_trace"]["edns"],
        json!({
            "query": {
                "version": 0, "udp_size": 1232, "dnssec_ok": true,
                "client_subnet": {"address": "198.51.100.0", "source_prefix": 24, "scope_prefix": 0},
                "cookie": {"client": "0102030405060708"},
            },
            "response": {
                "version": 0, "udp_size": 1232, "dnssec_ok": true,
                "client_subnet": {"address": "198.51.100.0", "source_prefix": 24, "scope_prefix": 20},
                "cookie": {"client": "0102030405060708", "server": "0909090909090909"},
                "nsid": {"hex": "6e73311b", "text": "ns1\\x1b"},
                "errors": [
                    {"code": 18, "name": "Prohibited", "text": "not \u{202e}here"},
                    {"code": 65280},
                ],
                "options": [
                    {"code": 12, "name": "Padding", "data": "000000"},
                    {"code": 65001, "data": "78"},
                ],
            },
        })
    );
}

#[test]
fn a_query_that_is_never_answered_has_its_edns() {
    let line = line(&[ask(&[option(8, &SUBNET)])]);
    assert_eq!(line["error"]["type"], "timeout");
    let edns = &line["dns_trace"]["edns"];
    assert_eq!(edns["query"]["client_subnet"]["address"], "198.51.100.0");
    assert_eq!(edns["response"], Value::Null);
}

#[test]
fn options_that_do_not_fit_are_counted() {
    let line = line(&[ask(&[option(12, &[0; 200])])]);
    let query = &line["dns_trace"]["edns"]["query"];
    assert_eq!(query["options_left_out"], 204);
    assert_eq!(query["options"], Value::Null);
}

#[test]
fn malformed_options_are_told_as_such() {
    for (options, wanted) in [
        // Family 3; a prefix longer than the address; a cookie of nine octets; no error code.
        (option(8, &[0, 3, 8, 0, 1]), json!("0003080001")),
        (
            option(8, &[0, 1, 33, 0, 1, 2, 3, 4, 5]),
            json!("0001210001 02030405".replace(' ', "")),
        ),
        (option(10, &[0; 9]), json!("000000000000000000")),
        (option(15, &[1]), json!("01")),
    ] {
        let line = line(&[ask(&[options])]);
        let option = &line["dns_trace"]["edns"]["query"]["options"][0];
        assert_eq!(
            (&option["data"], &option["malformed"]),
            (&wanted, &json!(true))
        );
    }
    // What is before the break is told.
    let line = line(&[ask(&[option(3, b"a"), vec![0, 3, 0, 9, 1]])]);
    let query = &line["dns_trace"]["edns"]["query"];
    assert_eq!(query["nsid"]["text"], "a");
    assert_eq!(query["options_broken"], 5);
}

#[test]
fn counts_are_what_the_header_says() {
    let mut reply = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[[192, 0, 2, 1]]);
    reply[9] = 2;
    for ttl in [1, 2] {
        reply.extend([0xc0, 12, 0, 2, 0, 1, 0, 0, 0, ttl, 0, 2, 0xc0, 12]);
    }
    let line = line(&[Rec::response(1, with_opt(reply, 0, &[]))]);
    assert_eq!(
        line["dns_trace"]["counts"],
        json!({"questions": 1, "answers": 1, "authority": 2, "additional": 1})
    );
}

#[test]
fn protocols_are_told_apart() {
    for (port, protocol) in [(53, "dns"), (5353, "mdns"), (5355, "llmnr"), (5300, "dns")] {
        let rec = Rec::query(1, query(7, "a.local", Rtype::A)).to("10.0.0.1", port);
        assert_eq!(line(&[rec])["network"]["protocol"], protocol);
    }
}

#[test]
fn the_bits_of_mdns_are_no_part_of_a_class() {
    let mut ask = query(0, "a.local", Rtype::A);
    let at = ask.len() - 2;
    ask[at] = 0x80;
    let mut reply = response(0, "a.local", Rtype::A, Rcode::NOERROR, &[[192, 0, 2, 1]]);
    let at = reply.len() - 12;
    reply[at] = 0x80;
    let group = |rec: Rec| rec.from("10.0.0.2", 5353).to("224.0.0.251", 5353);
    let lines = lines(&[group(Rec::query(1, ask)), group(Rec::query(2, reply))]);
    assert_eq!(lines[0]["dns"]["question"]["class"], "IN");
    assert_eq!(lines[0]["dns_trace"]["unicast_response"], true);
    assert_eq!(lines[1]["dns"]["answers"][0]["class"], "IN");
    assert_eq!(lines[1]["dns"]["resolved_ip"], json!(["192.0.2.1"]));
    assert_eq!(lines[1]["dns_trace"]["cache_flush"], true);
}

#[test]
fn the_bits_of_llmnr_have_their_own_names() {
    let mut ask = query(7, "host", Rtype::A);
    ask[2] |= 4;
    let line = line(&[Rec::query(1, ask).to("224.0.0.252", 5355)]);
    assert_eq!(line["dns"]["header_flags"], json!(["C", "T"]));
}

#[test]
fn the_reserved_bit_is_told() {
    let mut ask = query(7, "a.example", Rtype::A);
    ask[3] |= 0x40;
    assert_eq!(
        line(&[Rec::query(1, ask)])["dns_trace"]["reserved_bit"],
        true
    );
}

#[test]
fn what_can_be_read_of_a_malformed_message_is_told() {
    // Two questions: the first is readable.
    let mut two = query(7, "a.example", Rtype::MX);
    two[5] = 2;
    two.extend_from_slice(&query(7, "b.example", Rtype::A)[12..]);
    let line_two = line(&[Rec::query(1, two)]);
    assert_eq!(line_two["error"]["type"], "malformed");
    assert_eq!(line_two["dns"]["id"], "7");
    assert_eq!(line_two["dns"]["question"]["name"], "a.example");
    assert_eq!(
        line_two["dns_trace"]["malformed"],
        json!({"section": "question", "index": 1, "offset": 27, "reason": "a second question"})
    );
    // The question is cut: the header is readable.
    let mut cut = query(7, "a.example", Rtype::MX);
    cut.truncate(20);
    let line_cut = line(&[Rec::query(1, cut)]);
    assert_eq!(line_cut["dns"]["header_flags"], json!(["RD"]));
    assert_eq!(line_cut["dns"]["question"], Value::Null);
    assert_eq!(line_cut["dns_trace"]["malformed"]["section"], "question");
    assert_eq!(line_cut["dns_trace"]["malformed"]["offset"], 12);
    // Not even a header.
    let line_short = line(&[Rec::query(1, vec![0; 11])]);
    assert_eq!(line_short["dns"], Value::Null);
    assert_eq!(
        line_short["dns_trace"]["malformed"],
        json!({"section": "header", "index": 0, "offset": 11, "reason": "ends before"})
    );
}

#[test]
fn where_an_answer_breaks_is_told() {
    let ask = || Rec::query(1, query(7, "a.example", Rtype::A));
    let whole = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[[1, 2, 3, 4]; 3]);
    let record = (whole.len() - 27) / 3;
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 1);
    let line_cut = line(&[ask(), Rec::response(2, cut)]);
    assert_eq!(line_cut["dns"]["answers"].as_array().unwrap().len(), 2);
    let fault = &line_cut["dns_trace"]["malformed"];
    assert_eq!(
        (&fault["section"], &fault["index"]),
        (&json!("answer"), &json!(2))
    );
    assert_eq!(fault["offset"], 27 + 2 * record);
    // An A of three bytes.
    let mut wrong = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    wrong[7] = 1;
    wrong.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 3, 192, 0, 2]);
    let line_wrong = line(&[ask(), Rec::response(2, wrong)]);
    let fault = &line_wrong["dns_trace"]["malformed"];
    assert_eq!(fault["reason"], "data contradicts the type");
    assert_eq!(
        (&fault["section"], &fault["offset"]),
        (&json!("answer"), &json!(27))
    );
}

#[test]
fn a_query_with_a_broken_end_is_told() {
    let mut ask = with_opt(query(7, "a.example", Rtype::A), 0, &[option(3, b"a")]);
    ask.truncate(ask.len() - 1);
    let line = line(&[Rec::query(1, ask)]);
    assert_eq!(line["dns_trace"]["query_malformed"], true);
    assert_eq!(line["error"]["type"], "timeout");
}

#[test]
fn names_are_shown_in_both_forms() {
    let reply = response(
        7,
        "www.xn--bcher-kva.example",
        Rtype::A,
        Rcode::NOERROR,
        &[[1; 4]; 2],
    );
    let line = line(&[Rec::response(1, reply)]);
    assert_eq!(line["dns"]["question"]["name"], "www.xn--bcher-kva.example");
    assert_eq!(
        line["dns_trace"]["idna"],
        json!([{"ascii": "www.xn--bcher-kva.example", "unicode": "www.b\u{fc}cher.example"}])
    );
}

fn table(width: usize, idna: bool, records: &[Rec]) -> String {
    let mut out = Vec::new();
    let look = Look {
        width: Some(width),
        colour: false,
        zone: TimeZone::UTC,
    };
    let mut sink = TableSink::new(&mut out, look).with_idna(idna);
    let mut pipeline = Pipeline::new(options(), &mut sink);
    for record in records {
        pipeline.record(&record.bytes()).unwrap();
    }
    pipeline.finish().unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_table_says_why_a_lookup_failed() {
    let failed = |rcode| {
        let reply = response(7, "a.example", Rtype::A, rcode, &[]);
        let reply = with_opt(
            reply,
            0,
            &[option(15, b"\0\x12no \x1b[2J"), option(15, &[0, 9])],
        );
        table(200, false, &[Rec::response(1, reply)])
    };
    let text = failed(Rcode::REFUSED);
    assert!(
        text.contains(r"[Prohibited: no \027[2J] [DNSKEY Missing]"),
        "{text}"
    );
    assert!(!failed(Rcode::NOERROR).contains("Prohibited"));
}

#[test]
fn the_table_shows_harmless_names_only() {
    let shown = |name: &str, width, idna| {
        let reply = response(7, name, Rtype::A, Rcode::NOERROR, &[[1; 4]]);
        table(width, idna, &[Rec::response(1, reply)])
    };
    let text = shown("xn--bcher-kva.example", 220, true);
    assert!(text.contains("xn--bcher-kva.example "), "{text}");
    assert!(text.contains("[b\u{fc}cher.example] 1.1.1.1"), "{text}");
    assert!(
        text.lines().all(|l| l.trim_end().chars().count() <= 220),
        "{text}"
    );
    // Not asked for; no room; from right to left.
    assert!(shown("xn--bcher-kva.example", 220, false).is_ascii());
    assert!(!shown("xn--bcher-kva.example", 130, true).contains('\u{fc}'));
    assert!(shown("xn--4dbrk0ce.example", 220, true).is_ascii());
}
