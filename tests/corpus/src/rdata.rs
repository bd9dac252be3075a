//! Record data of every type, made up but well formed.

use crate::message::{QNAME, labels, name};
use crate::rng::Rng;

/// The types that are made, by number: all that the reader takes apart, then some that it does not.
pub(crate) const TYPES: &[u16] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 28, 33, 35, 39, 43, 44, 45, 46, 47, 48,
    50, 51, 52, 59, 60, 61, 63, 64, 65,
    257, // beyond: WKS, AFSDB, LOC, KX, CERT, DHCID, CSYNC, SPF, EUI48, URI, unassigned
    11, 18, 29, 36, 37, 49, 62, 99, 108, 256, 65280,
];

/// Types whose names may be compressed (RFC 3597, section 4).
const COMPRESSIBLE: &[u16] = &[2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15];

fn target(rng: &mut Rng, rtype: u16) -> Vec<u8> {
    if COMPRESSIBLE.contains(&rtype) && rng.one_in(2) {
        // A label below the question's name.
        return [&[2, b'n', b'a' + rng.below(26) as u8][..], &QNAME].concat();
    }
    let host = format!("h{}", rng.below(1000));
    labels(&[host.as_bytes(), b"target", b"example"])
}

fn text(rng: &mut Rng) -> Vec<u8> {
    let len = rng.pick(&[0, 1, 5, 40, 255]);
    let text: Vec<u8> = (0..len).map(|_| rng.range(0x20, 0x7f) as u8).collect();
    [&[text.len() as u8][..], &text].concat()
}

fn string(text: &[u8]) -> Vec<u8> {
    [&[text.len() as u8][..], text].concat()
}

/// A bitmap of types (RFC 4034, section 4.1.2): window, length, bits.
fn bitmap(rng: &mut Rng) -> Vec<u8> {
    let mut bits = vec![0, 6, 0x40, 0x01, 0, 0, 0, 0x03];
    bits[2] |= 0x22;
    if rng.one_in(2) {
        bits.extend([1, 1, 0x40]);
    }
    bits
}

/// Data of a type.
pub(crate) fn of(rng: &mut Rng, rtype: u16) -> Vec<u8> {
    match rtype {
        1 => rng.bytes(4),
        28 => rng.bytes(16),
        2..=5 | 7..=9 | 12 | 39 => target(rng, rtype),
        6 => {
            let numbers = rng.bytes(20);
            [target(rng, rtype), target(rng, rtype), numbers].concat()
        }
        10 | 49 | 65280 => {
            let len = rng.range(1, 40) as usize;
            rng.bytes(len)
        }
        11 => [rng.bytes(4), vec![6, 0, 0, 0x20]].concat(),
        13 => [string(b"x86-64"), string(b"Linux")].concat(),
        14 | 17 => [target(rng, rtype), target(rng, rtype)].concat(),
        15 | 18 | 36 => [rng.bytes(2), target(rng, rtype)].concat(),
        16 | 99 => (0..=rng.below(3)).flat_map(|_| text(rng)).collect(),
        29 => [
            vec![0, 0x12, 0x16, 0x13],
            vec![0x80; 4],
            vec![0x7f; 4],
            vec![0, 0x98, 0x96, 0x80],
        ]
        .concat(),
        33 => [rng.bytes(6), target(rng, rtype)].concat(),
        35 => {
            let strings = [
                string(b"U"),
                string(b"E2U+sip"),
                string(b"!^.*$!sip:i@example!"),
            ];
            [rng.bytes(4), strings.concat(), target(rng, rtype)].concat()
        }
        37 => [vec![0, 1], rng.bytes(3), rng.bytes(20)].concat(),
        108 => rng.bytes(6),
        256 => [rng.bytes(4), b"https://example/".to_vec()].concat(),
        257 => [vec![0, 5], b"issue".to_vec(), b"ca.example; a=1".to_vec()].concat(),
        _ => of_dnssec(rng, rtype),
    }
}

fn of_dnssec(rng: &mut Rng, rtype: u16) -> Vec<u8> {
    match rtype {
        43 | 59 => [rng.bytes(2), vec![13, 2], rng.bytes(32)].concat(),
        44 => [vec![4, 2], rng.bytes(32)].concat(),
        45 => {
            let (kind, gateway) = match rng.below(4) {
                0 => (0, vec![]),
                1 => (1, rng.bytes(4)),
                2 => (2, rng.bytes(16)),
                _ => (3, name("gateway.example")),
            };
            [vec![10, kind, 2], gateway, rng.bytes(20)].concat()
        }
        46 => {
            let head = [&[0, 1, 13, 2][..], &3600_u32.to_be_bytes()].concat();
            let times = [
                1_768_000_000_u32.to_be_bytes(),
                1_766_000_000_u32.to_be_bytes(),
            ]
            .concat();
            [head, times, rng.bytes(2), name("example"), rng.bytes(64)].concat()
        }
        47 => [target(rng, rtype), bitmap(rng)].concat(),
        48 | 60 => [vec![1, rng.pick(&[0, 1]), 3, 13], rng.bytes(64)].concat(),
        50 => {
            let salt = rng.below(9) as usize;
            let salt = string(&rng.bytes(salt));
            [vec![1, 1, 0, 10], salt, string(&rng.bytes(20)), bitmap(rng)].concat()
        }
        51 => [vec![1, 0, 0, 10], string(&rng.bytes(4))].concat(),
        52 => [vec![3, 1, 1], rng.bytes(32)].concat(),
        61 => rng.bytes(100),
        62 => [rng.bytes(4), vec![0, 3], bitmap(rng)].concat(),
        63 => [rng.bytes(4), vec![1, 1], rng.bytes(48)].concat(),
        64 | 65 => service(rng),
        _ => vec![],
    }
}

/// SVCB and HTTPS (RFC 9460): alias form, or parameters in their order.
fn service(rng: &mut Rng) -> Vec<u8> {
    if rng.one_in(4) {
        return [vec![0, 0], name("alias.example")].concat();
    }
    let mut data = [
        vec![0, 1],
        if rng.one_in(2) {
            vec![0]
        } else {
            name("svc.example")
        },
    ]
    .concat();
    let addresses = rng.bytes(8);
    let wide = rng.bytes(32);
    let parameters: [(u16, &[u8]); 6] = [
        (1, b"\x02h2\x08http/1.1"),
        (3, &[0x20, 0xfb]),
        (4, &addresses),
        (5, &[0, 3, 1, 2, 3]),
        (6, &wide),
        (667, b"\x01a"),
    ];
    for (key, value) in parameters {
        if rng.one_in(2) {
            data.extend(key.to_be_bytes());
            data.extend((value.len() as u16).to_be_bytes());
            data.extend(value);
        }
    }
    data
}
