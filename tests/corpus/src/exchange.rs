//! Lookups by datagrams: every type, every code, every flag, options, names of every length, and what
//! clients and servers do to each other.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::corpus::{Builder, Ends};
use crate::message::{AA, IN, Message, QNAME, QR, RA, RD, Section, TC, labels, name};
use crate::options;
use crate::rdata;
use crate::rng::Rng;

const MS: u64 = 1_000_000;

pub(crate) fn all(builder: &mut Builder) {
    for _ in 0..4 {
        for &rtype in rdata::TYPES {
            of_type(builder, rtype);
        }
    }
    codes(builder);
    flags(builder);
    edns(builder);
    names(builder);
    chains(builder);
    classes_and_opcodes(builder);
    repetition(builder);
    identity(builder);
    multicast(builder);
}

/// A name that no other exchange asks for.
pub(crate) fn fresh(rng: &mut Rng) -> Vec<u8> {
    let host = format!("n{:x}", rng.word());
    name(&format!("{host}.example.com"))
}

/// Records beside the answers: SOA, NS and glue.
fn beside(rng: &mut Rng, message: Message) -> Message {
    let mut message = message;
    if rng.one_in(3) {
        let soa = rdata::of(rng, 6);
        message = message.record(Section::Authority, &QNAME, (6, IN, 60), &soa);
    }
    if rng.one_in(3) {
        let ns = rdata::of(rng, 2);
        let glue = rng.bytes(4);
        message = message
            .record(Section::Authority, &QNAME, (2, IN, 3600), &ns)
            .record(Section::Additional, &QNAME, (1, IN, 3600), &glue);
    }
    message
}

/// A response with one to three answers of a type.
pub(crate) fn answered(rng: &mut Rng, id: u16, qname: &[u8], rtype: u16) -> Vec<u8> {
    let mut message = Message::response(id, qname, rtype);
    for _ in 0..=rng.below(3) {
        let data = rdata::of(rng, rtype);
        let ttl = rng.pick(&[0, 1, 300, 86_400, 0x7fff_ffff]);
        let owner = if rng.one_in(4) { qname } else { &QNAME };
        message = message.answer(owner, rtype, ttl, &data);
    }
    beside(rng, message).0
}

fn of_type(builder: &mut Builder, rtype: u16) {
    let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
    let query = Message::query(id, &qname, rtype).0;
    let response = answered(&mut builder.rng, id, &qname, rtype);
    builder.lookup(query, response);
}

fn codes(builder: &mut Builder) {
    for code in 0..16_u16 {
        for extended in [None, Some(0), Some(1), Some(0xff)] {
            let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
            let mut response = Message::response(id, &qname, 1).with_flags(code);
            if let Some(extended) = extended {
                response = response.opt(1232, (extended, 0, 0), &[]);
            }
            builder.lookup(Message::query(id, &qname, 1).0, response.0);
        }
    }
}

fn flags(builder: &mut Builder) {
    for _ in 0..80 {
        let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
        // All but QR, opcode and rcode, and TC, which has exchanges of its own.
        let [asked, told] = [builder.rng.short() & 0x05f0, builder.rng.short() & 0x05f0];
        let query = Message::new(id, asked).question(&qname, 28, IN);
        let response = Message::new(id, told | QR).question(&qname, 28, IN);
        builder.lookup(query.0, response.0);
    }
}

fn edns(builder: &mut Builder) {
    for round in 0..120 {
        let rng = &mut builder.rng;
        let (id, qname) = (rng.short(), fresh(rng));
        let size = rng.pick(&[0, 512, 1232, 4096, 65_535]);
        let bits = rng.pick(&[0, 0x8000]);
        let version = u8::from(rng.one_in(10));
        let asked = options::some(rng, false);
        let told = options::some(rng, true);
        let query = Message::query(id, &qname, 1).opt(size, (0, version, bits), &asked);
        let mut response = Message::response(id, &qname, 1).opt(1232, (0, 0, bits), &told);
        if round % 4 == 0 {
            response = response.with_flags(5);
        }
        builder.lookup(query.0, response.0);
    }
    // More than is kept of a query.
    let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
    let padded = options::option(12, &[0; 120]);
    let query = Message::query(id, &qname, 1).opt(1232, (0, 0, 0), &padded);
    builder.lookup(query.0, Message::response(id, &qname, 1).0);
    for broken in options::broken() {
        let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
        let query = Message::query(id, &qname, 1).opt(1232, (0, 0, 0), &broken);
        let response = Message::response(id, &qname, 1).opt(1232, (0, 0, 0), &broken);
        builder.lookup(query.0, response.0);
    }
}

/// Names at the borders of what is allowed, and with octets that are no letters.
fn names(builder: &mut Builder) {
    let long = [b'x'; 63];
    let four = |last: usize| labels(&[&long, &long, &long, &long[..last]]);
    let many: Vec<&[u8]> = vec![b"a"; 127];
    let mut all = vec![
        labels(&[]),
        name("a"),
        labels(&[&long]),
        // 255 octets, 254, and 127 labels.
        four(61),
        four(60),
        labels(&many),
        name("_dns.resolver.arpa"),
        name("xn--bcher-kva.example"),
        name("UPPER.Example.COM"),
        name("1.0.0.127.in-addr.arpa"),
    ];
    for octet in [
        0_u8, 0x1b, b' ', b'"', b'.', b'\\', b';', b'(', b'@', b'$', 0x7f, 0x80, 0xff,
    ] {
        all.push(labels(&[&[b'a', octet, b'b'], b"odd", b"example"]));
    }
    all.push(labels(&["b\u{fc}cher".as_bytes(), b"example"]));
    for qname in all {
        let id = builder.rng.short();
        let response = Message::response(id, &qname, 1).address([192, 0, 2, 1]);
        builder.lookup(Message::query(id, &qname, 1).0, response.0);
        // As an owner of its own and as data.
        let response = Message::response(id, &qname, 5).answer(&QNAME, 5, 9, &qname);
        builder.lookup(Message::query(id, &qname, 5).0, response.0);
    }
}

/// CNAMEs to an address, a DNAME, and a chain that ends nowhere.
fn chains(builder: &mut Builder) {
    for length in 1..12_u8 {
        let rng = &mut builder.rng;
        let (id, qname) = (rng.short(), fresh(rng));
        let mut response = Message::response(id, &qname, 1);
        let mut owner = QNAME.to_vec();
        for step in 0..length {
            let target = labels(&[&[b'c', b'a' + step], b"chain", b"example"]);
            response = response.answer(&owner, 5, 60, &target);
            owner = target;
        }
        if length % 3 != 0 {
            response = response.answer(&owner, 1, 60, &[192, 0, 2, length]);
        }
        builder.lookup(Message::query(id, &qname, 1).0, response.0);
    }
    let (id, qname) = (builder.rng.short(), name("www.old.example"));
    let response = Message::response(id, &qname, 28)
        .answer(&name("old.example"), 39, 60, &name("new.example"))
        .answer(&QNAME, 5, 0, &name("www.new.example"))
        .answer(&name("www.new.example"), 28, 60, &[1; 16]);
    builder.lookup(Message::query(id, &qname, 28).0, response.0);
}

fn classes_and_opcodes(builder: &mut Builder) {
    for class in [0, 2, 3, 4, 77, 254, 255, 0x8001, 0xffff] {
        let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
        let query = Message::new(id, RD).question(&qname, 16, class);
        let response = Message::new(id, QR).question(&qname, 16, class).record(
            Section::Answer,
            &QNAME,
            (16, class, 0),
            b"\x05abcde",
        );
        builder.lookup(query.0, response.0);
    }
    for rtype in [0, 100, 249, 252, 255, 0xfffe, 0xffff] {
        let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
        builder.lookup(
            Message::query(id, &qname, rtype).0,
            Message::response(id, &qname, rtype).0,
        );
    }
    for opcode in 0..16_u16 {
        let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
        let bits = opcode << 11;
        builder.lookup(
            Message::new(id, bits).question(&qname, 6, IN).0,
            Message::new(id, bits | QR | AA).question(&qname, 6, IN).0,
        );
    }
}

/// Queries sent again, answered twice, never, or without having been asked.
fn repetition(builder: &mut Builder) {
    for again in 1..5_u64 {
        for answered in [true, false] {
            let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
            let (ends, at) = builder.begin(false);
            for step in 0..=again {
                builder.udp(
                    ends,
                    at + step * 700 * MS,
                    true,
                    Message::query(id, &qname, 1).0,
                );
            }
            if answered {
                let response = Message::response(id, &qname, 1).address([192, 0, 2, 1]);
                builder.udp(ends, at + again * 700 * MS + 3 * MS, false, response.0);
            }
        }
    }
    for _ in 0..20 {
        let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
        let response = Message::response(id, &qname, 1).address([192, 0, 2, 2]).0;
        // Unanswered; unasked; asked once more after the answer.
        let (ends, at) = builder.begin(true);
        builder.udp(ends, at, true, Message::query(id, &qname, 1).0);
        let (ends, at) = builder.begin(true);
        builder.udp(ends, at, false, response.clone());
        let (ends, at) = builder.lookup(Message::query(id, &qname, 1).0, response.clone());
        builder.udp(ends, at + 9 * MS, true, Message::query(id, &qname, 1).0);
        builder.udp(ends, at + 12 * MS, false, response);
    }
    // The same answer twice.
    for _ in 0..6 {
        let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
        let response = Message::response(id, &qname, 1).address([192, 0, 2, 3]).0;
        let (ends, at) = builder.lookup(Message::query(id, &qname, 1).0, response.clone());
        builder.udp(ends, at + MS, false, response);
    }
    builder.pause(6_000 * MS);
}

/// What makes a response that of a query: not its id alone.
fn identity(builder: &mut Builder) {
    for _ in 0..10 {
        let rng = &mut builder.rng;
        let (id, one, other) = (rng.short(), fresh(rng), fresh(rng));
        // Two questions under one id, answered in the other order.
        let (ends, at) = builder.begin(false);
        builder.udp(ends, at, true, Message::query(id, &one, 1).0);
        builder.udp(ends, at + MS, true, Message::query(id, &other, 1).0);
        builder.udp(ends, at + 2 * MS, false, Message::response(id, &other, 1).0);
        builder.udp(ends, at + 3 * MS, false, Message::response(id, &one, 1).0);
        // An answer to another question: a forgery, or a late one.
        let (ends, at) = builder.begin(false);
        builder.udp(ends, at, true, Message::query(id, &one, 1).0);
        builder.udp(ends, at + MS, false, Message::response(id, &other, 1).0);
        // Other capitals, as 0x20 makes them.
        let mut upper = one.clone();
        upper[1..].make_ascii_uppercase();
        builder.lookup(
            Message::query(id, &upper, 1).0,
            Message::response(id, &one, 1).0,
        );
        // REFUSED, with nothing but a header.
        builder.lookup(Message::query(id, &one, 1).0, Message::new(id, QR | 5).0);
    }
}

const MDNS: u16 = 5353;
const LLMNR: u16 = 5355;

fn multicast(builder: &mut Builder) {
    let group4 = |port| {
        let last = if port == MDNS { 251 } else { 252 };
        SocketAddr::from((Ipv4Addr::new(224, 0, 0, last), port))
    };
    let group6 = SocketAddr::from((Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb), MDNS));
    for round in 0..20_u8 {
        let host = labels(&[&[b'h', b'a' + round], b"local"]);
        let service = name("_ipp._tcp.local");
        let v6 = round % 2 == 1;
        let (ends, at) = builder.begin(v6);
        let group = if v6 { group6 } else { group4(MDNS) };
        let client = SocketAddr::new(ends.client.ip(), MDNS);
        let peer = Ends {
            client,
            server: group,
        };
        let several = Message::new(0, 0)
            .question(&host, 1, 0x8001)
            .question(&service, 12, IN)
            .question(&host, 28, IN);
        builder.udp(peer, at, true, several.0);
        let reply = Message::new(0, QR | AA)
            .record(
                Section::Answer,
                &host,
                (1, 0x8001, 120),
                &[169, 254, 0, round],
            )
            .record(Section::Answer, &service, (12, IN, 4500), &host);
        let (ends, at) = builder.begin(v6);
        let server = SocketAddr::new(ends.client.ip(), MDNS);
        let peer = Ends {
            client: group,
            server,
        };
        builder.udp(peer, at, false, reply.0);
    }
    for round in 0..10_u8 {
        let qname = labels(&[&[b'l', b'a' + round]]);
        let id = builder.rng.short();
        for (port, set) in [(LLMNR, 0), (LLMNR, AA), (MDNS, 0)] {
            let (ends, at) = builder.begin(false);
            let client = ends.client;
            let group = group4(port);
            builder.udp(
                Ends {
                    client,
                    server: group,
                },
                at,
                true,
                Message::new(id, 0).question(&qname, 1, IN).0,
            );
            let member = SocketAddr::from((Ipv4Addr::new(10, 8, 7, round), port));
            let reply = Message::new(id, QR | set)
                .question(&qname, 1, IN)
                .address([10, 8, 7, round]);
            builder.udp(
                Ends {
                    client,
                    server: member,
                },
                at + MS,
                false,
                reply.0,
            );
        }
    }
}

/// Truncated, then asked over TCP: for the streams.
pub(crate) fn truncated(id: u16, qname: &[u8]) -> [Vec<u8>; 2] {
    [
        Message::query(id, qname, 16).0,
        Message::response(id, qname, 16).with_flags(TC | RA).0,
    ]
}
