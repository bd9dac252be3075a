//! What the three libraries refuse: the other half of the choice, beside speed.

use std::fmt::Write as _;

use dns_trace::message::Decoded;
use dns_trace::name::WireName;
use domain::base::Rtype;
use domain::base::iana::Rcode;

use crate::records::response;

/// A response with one answer given as bytes.
fn with_answer(answer: &[u8]) -> Vec<u8> {
    let mut message = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    message[7] = 1;
    message.extend_from_slice(answer);
    message
}

fn vectors() -> Vec<(&'static str, Vec<u8>)> {
    let whole = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1];
    let with = |at: usize, bytes: &[u8]| {
        let mut answer = whole;
        answer[at..at + bytes.len()].copy_from_slice(bytes);
        with_answer(&answer)
    };
    // Starts where the answer does, at offset 27, and points there.
    let pointing = |to: u8| with(0, &[0xc0, to]);
    let mut too_long = response(7, "a.example", Rtype::A, Rcode::NOERROR, &[])[..12].to_vec();
    for _ in 0..5 {
        too_long.push(63);
        too_long.extend([b'a'; 63]);
    }
    too_long.extend([0, 0, 1, 0, 1]);
    vec![
        ("well formed", with_answer(&whole)),
        ("pointer to itself", pointing(27)),
        ("pointer forward", pointing(40)),
        ("name of 321 octets", too_long),
        (
            "bytes after the end",
            [with_answer(&whole), vec![0; 3]].concat(),
        ),
        ("second answer missing", {
            let mut message = with_answer(&whole);
            message[7] = 2;
            message
        }),
        ("answer cut short", with_answer(&whole[..14])),
        ("unknown type 65280", with(2, &[0xff, 0])),
        ("unknown class 77", with(4, &[0, 77])),
        (
            "A of three bytes",
            with_answer(&[&whole[..11], &[3, 192, 0, 2]].concat()),
        ),
        ("header only", vec![0, 7, 0x81, 5, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("unassigned opcode 9", {
            let mut message = with_answer(&whole);
            message[2] |= 9 << 3;
            message
        }),
        ("http", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
    ]
}

#[test]
fn what_libraries_refuse() {
    let mut table = format!(
        "{:24}{:36}{:16}{}\n",
        "", "domain, as used here", "hickory-proto", "simple-dns"
    );
    for (name, bytes) in vectors() {
        let ours = match Decoded::decode(&bytes, false, &mut WireName::new()) {
            Ok(message) if message.wrong_data => format!("{} answers, wrong data", message.answers),
            Ok(message) if message.complete => format!("whole, {} answers", message.answers),
            Ok(message) => format!("question and {} answers", message.answers),
            Err(error) => format!("refused: {error}"),
        };
        let verdict = |taken: bool| if taken { "whole" } else { "refused" };
        let hickory = verdict(hickory_proto::op::Message::from_vec(&bytes).is_ok());
        let simple = verdict(simple_dns::Packet::parse(&bytes).is_ok());
        writeln!(table, "{name:24}{ours:36}{hickory:16}{simple}").unwrap();
    }
    insta::assert_snapshot!(table);
}
