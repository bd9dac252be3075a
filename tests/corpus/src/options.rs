//! EDNS options, well formed and not.

use crate::rng::Rng;

/// One option: code, length, data.
pub(crate) fn option(code: u16, data: &[u8]) -> Vec<u8> {
    let len = data.len() as u16;
    [&code.to_be_bytes()[..], &len.to_be_bytes(), data].concat()
}

fn subnet(rng: &mut Rng, scope: u8) -> Vec<u8> {
    if rng.one_in(2) {
        let [a, b, c] = [rng.word(), rng.word(), rng.word()].map(|w| w as u8);
        return match rng.pick(&[0_u8, 8, 24, 32]) {
            0 => vec![0, 1, 0, scope],
            8 => vec![0, 1, 8, scope, a],
            24 => vec![0, 1, 24, scope, a, b, c],
            bits => vec![0, 1, bits, scope, a, b, c, 7],
        };
    }
    [
        vec![0, 2, 56, scope],
        vec![0x20, 0x01, 0x0d, 0xb8],
        rng.bytes(3),
    ]
    .concat()
}

/// Well-formed options, those of a response or of a query.
pub(crate) fn some(rng: &mut Rng, response: bool) -> Vec<u8> {
    let mut options = Vec::new();
    if rng.one_in(2) {
        let scope = if response { rng.pick(&[0, 16, 24]) } else { 0 };
        options.push(option(8, &subnet(rng, scope)));
    }
    if rng.one_in(2) {
        let server = if response { rng.pick(&[8, 16, 32]) } else { 0 };
        options.push(option(10, &rng.bytes(8 + server)));
    }
    if rng.one_in(2) {
        let id: &[u8] = if response { b"ns1.example" } else { b"" };
        options.push(option(3, id));
    }
    if response {
        for _ in 0..rng.below(3) {
            let words: &[u8] = rng.pick(&[&b""[..], b"no key", b"because"]);
            let code = rng.pick(&[0_u16, 3, 9, 18, 22, 30, 49152]);
            options.push(option(15, &[&code.to_be_bytes()[..], words].concat()));
        }
    }
    for (code, len) in [(11, 2), (12, 30), (5, 3), (65001, 5)] {
        if rng.one_in(4) {
            options.push(option(code, &rng.bytes(len)));
        }
    }
    options.concat()
}

/// Options whose data contradicts their code, or that are cut off.
pub(crate) fn broken() -> Vec<Vec<u8>> {
    vec![
        option(8, &[0, 3, 8, 0, 1]),
        option(8, &[0, 1, 33, 0, 1, 2, 3, 4, 5]),
        option(8, &[0, 1]),
        option(10, &[1; 7]),
        option(10, &[1; 9]),
        option(10, &[1; 41]),
        option(15, &[1]),
        vec![0, 3, 0],
        vec![0, 3, 0, 9, 1],
        [option(3, b"ns"), vec![0xff]].concat(),
    ]
}
