//! Writes JSON into a buffer: constants as they are, numbers and addresses without formatting
//! machinery. A line costs a third of what a general serializer takes for it, and lines are most
//! of what the reader does.

use std::fmt::{self, Write as _};
use std::mem;
use std::net::IpAddr;
use std::ops::Range;

use domain::base::name::ToName as _;

use crate::message::Name;
use crate::name::{Presented, PresentedParsed, is_plain};

/// Numbers of an octet as text with a dot behind, and their digits.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([0; 4], 0); 256];
    let mut number = 0;
    while number < octets.len() {
        let (hundreds, tens, ones) = (number / 100, number / 10 % 10, number % 10);
        let [hundreds, tens, ones] = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8];
        octets[number] = match number {
            100.. => ([hundreds, tens, ones, b'.'], 3),
            10.. => ([tens, ones, b'.', 0], 2),
            _ => ([ones, b'.', 0, 0], 1),
        };
        number += 1;
    }
    octets
};

/// JSON text, one object after the other.
#[derive(Debug)]
pub(crate) struct Out {
    bytes: Vec<u8>,
    /// Where addresses were written that are to be written again.
    noted: Vec<Range<usize>>,
}

impl Out {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            noted: Vec::with_capacity(16),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Takes text that is JSON already.
    #[inline(always)]
    pub(crate) fn raw(&mut self, json: &str) {
        self.bytes.extend_from_slice(json.as_bytes());
    }

    /// The inside of a string: ASCII without quotes, backslashes and control characters.
    #[inline(always)]
    pub(crate) fn ascii<const N: usize>(&mut self, text: &[u8; N]) {
        self.bytes.extend_from_slice(text);
    }

    /// The inside of a string: what `write` writes.
    #[inline]
    pub(crate) fn text(&mut self, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        // Writing into a vector does not fail; what displays itself may, and then ends early.
        let _ = write(&mut Escaped(&mut self.bytes));
    }

    #[inline]
    pub(crate) fn number(&mut self, number: impl Into<u64>) {
        let number = number.into();
        match u8::try_from(number) {
            Ok(octet) => {
                let (text, digits) = OCTETS[usize::from(octet)];
                self.padded(&text, digits.into());
            }
            Err(_) => self.raw(itoa::Buffer::new().format(number)),
        }
    }

    /// The first `len` octets of a few: to copy all of them takes less than to copy so many.
    #[inline]
    fn padded<const N: usize>(&mut self, text: &[u8; N], len: usize) {
        let end = self.bytes.len() + len;
        self.bytes.extend_from_slice(text);
        self.bytes.truncate(end);
    }

    /// The inside of a string: a name in wire format, as [`Presented`] shows it. Nearly every name is plain.
    #[inline]
    pub(crate) fn name(&mut self, wire: &[u8]) {
        let start = self.bytes.len();
        if self.plain_name(wire).is_none() {
            self.bytes.truncate(start);
            self.text(|text| Presented(wire).write_to(text));
        }
    }

    /// A name of a message, likewise.
    #[inline]
    pub(crate) fn owner(&mut self, name: Name<'_>) {
        match name {
            Name::Plain(wire) => self.name(wire),
            Name::Parsed(name) => match name.as_flat_slice() {
                Some(wire) => self.name(wire),
                None => self.text(|text| PresentedParsed(name).write_to(text)),
            },
        }
    }

    /// Copies a name at once and puts dots where labels begin; `None` where there is more to do.
    #[inline]
    fn plain_name(&mut self, wire: &[u8]) -> Option<()> {
        let [first, text @ .., 0] = wire else {
            return None;
        };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        let text = self.bytes.get_mut(start..)?;
        let (mut begin, mut len) = (0, usize::from(*first));
        loop {
            let end = begin + len;
            let label = text.get(begin..end)?;
            if len == 0 || !is_plain(label) {
                return None;
            }
            let Some(octet) = text.get_mut(end) else {
                return Some(());
            };
            len = usize::from(mem::replace(octet, b'.'));
            begin = end + 1;
        }
    }

    /// The inside of a string: octets in hexadecimal.
    pub(super) fn hex(&mut self, octets: &[u8]) {
        for octet in octets {
            self.bytes
                .extend_from_slice(&[hex(octet >> 4), hex(octet & 0xf)]);
        }
    }

    #[inline]
    pub(crate) fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                let mut text = [0; 16];
                let mut end = 0;
                for octet in address.octets() {
                    let (number, digits) = OCTETS[usize::from(octet)];
                    text[end..end + 4].copy_from_slice(&number);
                    end += usize::from(digits) + 1;
                }
                // Without the last dot.
                self.padded(&text, end - 1);
            }
            IpAddr::V6(address) => {
                self.text(|text| write!(text, "{address}"));
            }
        }
    }

    /// An address, which [`Self::noted`] writes again.
    #[inline]
    pub(super) fn note(&mut self, address: IpAddr) {
        let start = self.bytes.len();
        self.address(address);
        self.noted.push(start..self.bytes.len());
    }

    /// Forgets what was noted.
    pub(super) fn forget(&mut self) {
        self.noted.clear();
    }

    /// The addresses that were noted, as strings with commas between them.
    pub(super) fn noted(&mut self) {
        for (i, range) in self.noted.iter().enumerate() {
            self.bytes
                .extend_from_slice(if i > 0 { &b",\""[..] } else { b"\"" });
            self.bytes.extend_from_within(range.clone());
            self.bytes.push(b'"');
        }
    }
}

/// The inside of a string (RFC 8259, section 7), in ASCII: nothing that a terminal could take for a
/// command or for a change of direction, in whatever language it is.
#[derive(Debug)]
pub(crate) struct Escaped<'a>(&'a mut Vec<u8>);

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte >= 0x7f || byte == b'"' || byte == b'\\'
}

const fn hex(digit: u8) -> u8 {
    b"0123456789abcdef"[(digit & 0xf) as usize]
}

impl Escaped<'_> {
    fn special(&mut self, c: char) {
        if let '"' | '\\' = c {
            self.0.extend_from_slice(&[b'\\', c as u8]);
            return;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let [high, low] = unit.to_be_bytes();
            let digits = [high >> 4, high, low >> 4, low].map(hex);
            self.0.extend_from_slice(b"\\u");
            self.0.extend_from_slice(&digits);
        }
    }
}

impl fmt::Write for Escaped<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(is_special) {
            let (run, tail) = rest.split_at(at);
            self.0.extend_from_slice(run.as_bytes());
            let mut chars = tail.chars();
            if let Some(c) = chars.next() {
                self.special(c);
            }
            rest = chars.as_str();
        }
        self.0.extend_from_slice(rest.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use domain::base::name::ParsedName;
    use domain::dep::octseq::Parser;
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Out)) -> serde_json::Value {
        let mut out = Out::with_capacity(0);
        out.raw("\"");
        write(&mut out);
        out.raw("\"");
        serde_json::from_slice(out.as_bytes()).unwrap()
    }

    /// Names, most of them whole, of octets of which many are plain.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![9 => b'a'..=b'z', 1 => any::<u8>()];
        let label = prop::collection::vec(octet, 1..20);
        let name = prop::collection::vec(label, 0..5).prop_map(|labels| {
            let with_length = |label: &Vec<u8>| [&[label.len() as u8], &label[..]].concat();
            let mut wire: Vec<u8> = labels.iter().flat_map(with_length).collect();
            wire.push(0);
            wire
        });
        prop_oneof![9 => name, 1 => Just(Vec::new())]
    }

    proptest! {
        #[test]
        fn any_string_comes_back(text: String) {
            prop_assert_eq!(written(|out| out.text(|s| s.write_str(&text))), text);
        }

        #[test]
        fn any_string_is_printable_ascii(text: String) {
            let mut out = Out::with_capacity(0);
            out.text(|s| s.write_str(&text));
            prop_assert!(out.as_bytes().iter().all(|b| (b' '..=b'~').contains(b)));
        }

        #[test]
        fn names_are_those_that_are_presented(wire in name(), parsed: bool) {
            let mut slow = Out::with_capacity(0);
            slow.text(|text| Presented(&wire).write_to(text));
            let mut fast = Out::with_capacity(0);
            match ParsedName::parse(&mut Parser::from_ref(&wire[..])) {
                Ok(name) if parsed => fast.owner(Name::Parsed(name)),
                _ => fast.name(&wire),
            }
            prop_assert_eq!(fast.as_bytes(), slow.as_bytes());
        }

        #[test]
        fn numbers_are_those_of_the_library(small: u8, number: u64) {
            for number in [small.into(), u64::from(small) << 1, number] {
                prop_assert_eq!(written(|out| out.number(number)), number.to_string());
            }
        }

        #[test]
        fn addresses_are_those_of_the_library(v4: u32, v6: u128) {
            for address in [IpAddr::V4(Ipv4Addr::from(v4)), IpAddr::V6(v6.into())] {
                prop_assert_eq!(written(|out| out.address(address)), address.to_string());
            }
        }
    }
}
