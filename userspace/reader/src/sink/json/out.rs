//! Writes JSON into a buffer: constants as they are, numbers and addresses without formatting
//! machinery. A line costs a third of what a general serializer takes for it, and lines are most
//! of what the reader does.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

/// JSON text, one object after the other.
#[derive(Debug)]
pub(crate) struct Out(Vec<u8>);

impl Out {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes text that is JSON already.
    #[inline(always)]
    pub(crate) fn raw(&mut self, json: &str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    /// The inside of a string: what `write` writes.
    #[inline]
    pub(crate) fn text(&mut self, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        // Writing into a vector does not fail; what displays itself may, and then ends early.
        let _ = write(&mut Escaped(&mut self.0));
    }

    #[inline]
    pub(crate) fn number(&mut self, number: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(number));
    }

    /// The inside of a string: octets in hexadecimal.
    pub(super) fn hex(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0
                .extend_from_slice(&[hex(octet >> 4), hex(octet & 0xf)]);
        }
    }

    #[inline]
    pub(crate) fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                self.number(a);
                for octet in [b, c, d] {
                    self.0.push(b'.');
                    self.number(octet);
                }
            }
            IpAddr::V6(address) => {
                self.text(|text| write!(text, "{address}"));
            }
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

    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Out)) -> serde_json::Value {
        let mut out = Out::with_capacity(0);
        out.raw("\"");
        write(&mut out);
        out.raw("\"");
        serde_json::from_slice(out.as_bytes()).unwrap()
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
        fn addresses_are_those_of_the_library(v4: u32, v6: u128) {
            for address in [IpAddr::V4(Ipv4Addr::from(v4)), IpAddr::V6(v6.into())] {
                prop_assert_eq!(written(|out| out.address(address)), address.to_string());
            }
        }
    }
}
