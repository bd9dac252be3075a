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

/// The inside of a string (RFC 8259, section 7).
#[derive(Debug)]
pub(crate) struct Escaped<'a>(&'a mut Vec<u8>);

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

impl fmt::Write for Escaped<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| is_special(*byte)) {
            let (run, tail) = rest.split_at(at);
            self.0.extend_from_slice(run);
            match tail[0] {
                byte @ (b'"' | b'\\') => self.0.extend_from_slice(&[b'\\', byte]),
                byte => {
                    let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
                    let escape = [b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 0xf)];
                    self.0.extend_from_slice(&escape);
                }
            }
            rest = &tail[1..];
        }
        self.0.extend_from_slice(rest);
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
        fn addresses_are_those_of_the_library(v4: u32, v6: u128) {
            for address in [IpAddr::V4(Ipv4Addr::from(v4)), IpAddr::V6(v6.into())] {
                prop_assert_eq!(written(|out| out.address(address)), address.to_string());
            }
        }
    }
}
