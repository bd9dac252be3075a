//! Bytes and text in a fixed room, so that keeping them costs no allocation and copying a table of them is
//! copying memory.

use std::borrow::Borrow;
use std::fmt;

/// At most so many bytes. As a [`fmt::Write`] it takes printable ASCII as it is, every other byte as `\DDD`,
/// and ends with an error when it is full: nothing that a terminal could act on gets in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    len: u8,
    cut: bool,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    const FITS: () = assert!(N <= u8::MAX as usize);

    /// The bytes as they are; what is too long is cut.
    #[must_use]
    pub fn new(from: &[u8]) -> Self {
        let mut text = Self::default();
        for byte in from {
            text.push(*byte);
        }
        text
    }

    /// What a value shows, cut where the room ends.
    #[must_use]
    pub fn shown(value: impl fmt::Display) -> Self {
        let mut text = Self::default();
        // An error means that it is full.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{value}"));
        text
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The text; nothing if these bytes are none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_slice()).unwrap_or_default()
    }

    /// Whether something did not fit.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    fn push(&mut self, byte: u8) {
        match self.bytes.get_mut(usize::from(self.len)) {
            Some(place) => {
                *place = byte;
                self.len += 1;
            }
            None => self.cut = true,
        }
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        let () = Self::FITS;
        Self {
            len: 0,
            cut: false,
            bytes: [0; N],
        }
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({})", self.as_slice().escape_ascii())
    }
}

impl<const N: usize> Borrow<[u8]> for Text<N> {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte.is_ascii_graphic() || byte == b' ' {
                self.push(byte);
            } else {
                let digit = |of: u8| b'0' + byte / of % 10;
                for byte in [b'\\', digit(100), digit(10), digit(1)] {
                    self.push(byte);
                }
            }
            if self.cut {
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_harmless() {
        let text = Text::<40>::shown("a\u{1b}[2J\u{202e}日");
        assert_eq!(
            text.as_str(),
            r"a\027[2J\226\128\174\230\151\165"[..32].to_owned()
        );
        assert!(!text.is_cut());
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let text = Text::<4>::shown("abcdef");
        assert_eq!((text.as_str(), text.is_cut()), ("abcd", true));
        let text = Text::<255>::new(&[7; 255]);
        assert_eq!((text.as_slice().len(), text.is_cut()), (255, false));
    }
}
