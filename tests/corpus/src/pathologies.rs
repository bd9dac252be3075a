//! Messages that should not be.

use crate::corpus::Builder;
use crate::exchange::fresh;
use crate::message::{IN, Message, QNAME, QR, RD, Section, labels, name};

/// A record of class IN for three seconds, with its head given.
fn record(owner: &[u8], rtype: u16, length: u16, data: &[u8]) -> Vec<u8> {
    let head = [
        rtype.to_be_bytes(),
        IN.to_be_bytes(),
        [0, 0],
        [0, 3],
        length.to_be_bytes(),
    ]
    .concat();
    [owner, &head, data].concat()
}

pub(crate) fn all(builder: &mut Builder) {
    for _ in 0..3 {
        answers(builder);
        queries(builder);
    }
    sizes(builder);
    noise(builder);
}

/// Answers after a good question.
fn answers(builder: &mut Builder) {
    let qname = fresh(&mut builder.rng);
    let whole = record(&QNAME, 1, 4, &[192, 0, 2, 1]);
    // Where the answer begins.
    let at = (12 + qname.len() + 4) as u8;
    let pointing = |to: u8| record(&[0xc0, to], 1, 4, &[192, 0, 2, 1]);
    let long = [b'y'; 63];
    let too_long = labels(&[&long, &long, &long, &long]);
    let cases: Vec<(u16, Vec<u8>)> = vec![
        // Pointers: to itself, forward, into the header, beyond the end, two to each other, none after.
        (1, pointing(at)),
        (1, pointing(at + 30)),
        (1, pointing(0)),
        (1, record(&[0xff, 0xff], 1, 4, &[192, 0, 2, 1])),
        (1, [&[0xc0, at + 2, 0xc0, at][..], &whole[2..]].concat()),
        (1, vec![0xc0]),
        // Labels: of a reserved kind, an extended one, longer than the message, a name too long.
        (1, record(&[0x80, 1, 0], 1, 4, &[192, 0, 2, 1])),
        (1, record(&[0x41, 1, 0], 1, 4, &[192, 0, 2, 1])),
        (1, vec![60, b'a', b'b']),
        (1, record(&too_long, 1, 4, &[192, 0, 2, 1])),
        // Cut: in the owner, the head, the data; promised and not there; more than promised.
        (1, vec![]),
        (1, whole[..1].to_vec()),
        (1, whole[..7].to_vec()),
        (1, whole[..14].to_vec()),
        (3, [whole.clone(), whole.clone()].concat()),
        (1, [whole.clone(), vec![0; 7]].concat()),
        (1, [whole.clone(), whole.clone()].concat()),
        // Lengths that contradict the type.
        (1, record(&QNAME, 1, 3, &[192, 0, 2])),
        (1, record(&QNAME, 1, 5, &[192, 0, 2, 1, 9])),
        (1, record(&QNAME, 1, 0, &[])),
        (1, record(&QNAME, 28, 4, &[192, 0, 2, 1])),
        (1, record(&QNAME, 15, 1, &[0])),
        (1, record(&QNAME, 6, 4, &[0, 0, 0, 0])),
        (1, record(&QNAME, 16, 3, &[9, b'a', b'b'])),
        (1, record(&QNAME, 5, 3, &[0xc0, 12, 9])),
        (1, record(&QNAME, 33, 5, &[0, 1, 0, 1, 0])),
        (1, record(&QNAME, 1, 0xffff, &[192, 0, 2, 1])),
        // A TTL with its top bit (RFC 2181, section 8).
        (
            1,
            [
                &QNAME[..],
                &[0, 1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 4, 1, 2, 3, 4],
            ]
            .concat(),
        ),
        // The last broken, the first good.
        (2, [whole.clone(), whole[..9].to_vec()].concat()),
    ];
    for (count, bytes) in cases {
        let id = builder.rng.short();
        let response = Message::response(id, &qname, 1)
            .with_count(Section::Answer, count)
            .raw(&bytes);
        builder.lookup(Message::query(id, &qname, 1).0, response.0);
    }
    // Broken beyond the answers.
    for section in [Section::Authority, Section::Additional] {
        let id = builder.rng.short();
        let response = Message::response(id, &qname, 1).address([192, 0, 2, 9]);
        let response = response.with_count(section, 1).raw(&whole[..9]);
        builder.lookup(Message::query(id, &qname, 1).0, response.0);
    }
}

fn queries(builder: &mut Builder) {
    let qname = fresh(&mut builder.rng);
    let long = [b'z'; 63];
    let too_long = labels(&[&long, &long, &long, &long]);
    let id = builder.rng.short();
    let two = Message::query(id, &qname, 1).question(&name("second.example"), 15, IN);
    let cases = [
        // No question; two; more than there are; a name too long, cut, in a loop.
        Message::new(id, RD),
        two.clone(),
        Message::query(id, &qname, 1).with_count(Section::Question, 9),
        Message::query(id, &too_long, 1),
        Message::query(id, &qname, 1).cut(3),
        Message::query(id, &qname, 1).cut(9),
        Message::new(id, RD).with_count(Section::Question, 1),
        Message::new(id, RD).question(&[0xc0, 12], 1, IN),
        Message::new(id, RD).question(&[1, b'a', 0xc0, 12], 1, IN),
        Message::new(id, RD).question(&[0xc0, 40], 1, IN),
        // Octets behind; an answer in a query; an OPT cut off.
        Message::query(id, &qname, 1).raw(&[0; 5]),
        Message::query(id, &qname, 1).address([1, 2, 3, 4]),
        Message::query(id, &qname, 1)
            .opt(1232, (0, 0, 0), &[0, 3, 0, 1, 9])
            .cut(2),
        Message::query(id, &qname, 1)
            .opt(1232, (0, 0, 0), &[])
            .opt(512, (0, 0, 0x8000), &[]),
    ];
    for query in cases {
        let v6 = builder.rng.one_in(2);
        let (ends, at) = builder.begin(v6);
        builder.udp(ends, at, true, query.0);
    }
    let response =
        Message::new(id, QR | 1)
            .question(&qname, 1, IN)
            .question(&name("second.example"), 15, IN);
    builder.lookup(two.0, response.0);
    builder.lookup(Message::new(id, RD).0, Message::new(id, QR | 1).0);
}

/// Datagrams around the largest record of the ring, and the largest there is.
fn sizes(builder: &mut Builder) {
    for octets in [4095, 4096, 4097, 9000, 60_000] {
        let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
        let mut response = Message::response(id, &qname, 1);
        while octets - response.0.len() >= 32 {
            response = response.address([10, 0, 0, 1]);
        }
        // An unassigned type fills it up.
        let rest = octets - response.0.len() - 12;
        let response = response.answer(&QNAME, 65_280, 1, &vec![7; rest]);
        builder.lookup(Message::query(id, &qname, 1).0, response.0);
    }
}

/// What is no DNS at all.
fn noise(builder: &mut Builder) {
    let mut all: Vec<Vec<u8>> = (1..14).map(|len| builder.rng.bytes(len)).collect();
    all.push(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec());
    all.extend((0..30).map(|_| {
        let len = builder.rng.range(14, 300) as usize;
        builder.rng.bytes(len)
    }));
    for bytes in all {
        let from_client = builder.rng.one_in(2);
        let (ends, at) = builder.begin(false);
        builder.udp(ends, at, from_client, bytes);
    }
}
