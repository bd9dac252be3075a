//! Domain names as wire bytes in lower case, in buffers that cost no allocation. Matching and
//! filters compare these, never text.

use std::fmt;

use domain::base::Name;
use domain::base::name::{ParsedName, ToLabelIter, ToName};

/// Longest name (RFC 1035, section 2.3.4), octets with the root label.
pub const NAME_MAX: usize = 255;
/// Longest name that a [`StoredName`] keeps without a box.
const INLINE: usize = 85;

/// Octets that are folded at once.
const CHUNK: usize = 32;
/// Room for a name, in whole chunks.
const ROOM: usize = NAME_MAX.next_multiple_of(CHUNK);

/// A name on the stack.
#[derive(Clone)]
pub struct WireName {
    len: u8,
    bytes: [u8; ROOM],
}

impl WireName {
    /// No name at all, which differs from the root name.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            len: 0,
            bytes: [0; ROOM],
        }
    }

    /// The name in wire format, lower case.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Takes over a name in wire format, and shows it in lower case.
    #[inline]
    pub(crate) fn fill(&mut self, name: &[u8]) -> &[u8] {
        self.len = 0;
        self.push(name);
        self.fold()
    }

    /// Takes over a parsed name, and shows it in wire format.
    pub(crate) fn fill_parsed(&mut self, name: &ParsedName<&[u8]>) -> &[u8] {
        self.len = 0;
        for label in name.iter_labels() {
            // A label's length octet precedes it (RFC 1035, section 3.1); at most 63.
            self.push(&[label.len() as u8]);
            self.push(label.as_slice());
        }
        self.fold()
    }

    /// Length octets are at most 63, below every letter, and what follows the name does not matter: whole
    /// chunks can be folded at once.
    #[inline]
    fn fold(&mut self) -> &[u8] {
        let (chunks, _) = self.bytes.as_chunks_mut::<CHUNK>();
        let used = usize::from(self.len).div_ceil(CHUNK);
        chunks
            .iter_mut()
            .take(used)
            .for_each(|c| c.make_ascii_lowercase());
        self.as_slice()
    }

    /// `domain` lets no name of more than 255 octets pass; were it to, the rest is left out.
    fn push(&mut self, bytes: &[u8]) {
        let at = usize::from(self.len);
        let take = bytes.len().min(NAME_MAX - at);
        self.bytes[at..at + take].copy_from_slice(&bytes[..take]);
        self.len = (at + take) as u8;
    }
}

impl Default for WireName {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireName({})", Presented(self.as_slice()))
    }
}

/// A name kept with a pending lookup: short ones in place, long ones in a box. Other octets are kept
/// where a short name leaves room for all of them, which costs nothing.
#[derive(Clone, Debug)]
pub enum StoredName {
    /// Up to 85 octets.
    Inline {
        /// Octets of the name.
        len: u8,
        /// Octets after it.
        more: u8,
        /// The octets.
        bytes: [u8; INLINE],
    },
    /// Anything longer.
    Boxed(Box<[u8]>),
}

impl StoredName {
    /// Copies a name, and `more` if there is room.
    #[must_use]
    pub fn new(name: &[u8], more: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        let Some((place, rest)) = bytes.split_at_mut_checked(name.len()) else {
            return Self::Boxed(name.into());
        };
        place.copy_from_slice(name);
        let more = match rest.get_mut(..more.len()) {
            Some(place) => {
                place.copy_from_slice(more);
                more.len()
            }
            None => 0,
        };
        Self::Inline {
            len: name.len() as u8,
            more: more as u8,
            bytes,
        }
    }

    /// The name in wire format.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes, .. } => &bytes[..usize::from(*len)],
            Self::Boxed(name) => name,
        }
    }

    /// What else is kept.
    #[must_use]
    pub fn more(&self) -> &[u8] {
        match self {
            Self::Inline { len, more, bytes } => {
                let start = usize::from(*len);
                &bytes[start..start + usize::from(*more)]
            }
            Self::Boxed(_) => &[],
        }
    }
}

const _: () = assert!(size_of::<StoredName>() == 88);

/// Shows wire bytes in presentation format without trailing dot; what is not printable as `\DDD`
/// (RFC 1035, section 5.1), nothing for no name.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a>(pub &'a [u8]);

impl Presented<'_> {
    /// Writes it without the detour of [`fmt::Display`], for sinks that are in a hurry.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_to(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if self.0 == b"\0" {
            return f.write_str(".");
        }
        let mut rest = self.0;
        let mut first = true;
        while let Some((len, tail)) = rest.split_first()
            && *len > 0
            && let Some((label, next)) = tail.split_at_checked(usize::from(*len))
        {
            if !first {
                f.write_str(".")?;
            }
            first = false;
            write_label(f, label)?;
            rest = next;
        }
        Ok(())
    }
}

impl fmt::Display for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

/// Shows a name of a message, which may be compressed, likewise.
#[derive(Clone, Copy, Debug)]
pub struct PresentedParsed<'a>(pub ParsedName<&'a [u8]>);

impl PresentedParsed<'_> {
    /// As [`Presented::write_to`].
    ///
    /// # Errors
    /// The writer's.
    pub fn write_to(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if let Some(flat) = self.0.as_flat_slice() {
            return Presented(flat).write_to(f);
        }
        for (i, label) in self
            .0
            .iter_labels()
            .filter(|label| !label.is_root())
            .enumerate()
        {
            if i > 0 {
                f.write_str(".")?;
            }
            write_label(f, label.as_slice())?;
        }
        Ok(())
    }
}

impl fmt::Display for PresentedParsed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

/// Bytes that stand for themselves.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        plain[byte as usize] =
            !matches!(byte, b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$');
        byte += 1;
    }
    plain
};

/// Whether a label stands for itself, in presentation format as well as inside a string of JSON.
pub(crate) fn is_plain(label: &[u8]) -> bool {
    label.iter().all(|byte| PLAIN[usize::from(*byte)])
}

/// Writes a label in runs of plain bytes, which is several times faster than byte by byte.
fn write_label(f: &mut impl fmt::Write, label: &[u8]) -> fmt::Result {
    let mut rest = label;
    while !rest.is_empty() {
        let run = rest.iter().position(|byte| !PLAIN[usize::from(*byte)]);
        let run = run.unwrap_or(rest.len());
        let (run, tail) = rest.split_at(run);
        f.write_str(str::from_utf8(run).map_err(|_| fmt::Error)?)?;
        rest = tail;
        if let Some((byte, tail)) = tail.split_first() {
            if byte.is_ascii_graphic() {
                write!(f, "\\{}", char::from(*byte))?;
            } else {
                write!(f, "\\{byte:03}")?;
            }
            rest = tail;
        }
    }
    Ok(())
}

/// A name that others are under.
#[derive(Clone, Debug)]
pub struct Suffix(Vec<u8>);

impl Suffix {
    /// Parses presentation format, with or without the trailing dot.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name: Name<Vec<u8>> = text.parse().map_err(|error| format!("{error}"))?;
        Ok(Self(name.as_slice().to_ascii_lowercase()))
    }

    /// Whether a lower-case wire name is this name or below it.
    #[must_use]
    pub fn covers(&self, name: &[u8]) -> bool {
        let Some(start) = name.len().checked_sub(self.0.len()) else {
            return false;
        };
        if name[start..] != self.0[..] {
            return false;
        }
        // The bytes agree; now they must begin at a label.
        let mut at = 0;
        while at < start {
            at += 1 + usize::from(name[at]);
        }
        at == start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_matches_whole_labels_only() {
        let suffix = Suffix::parse("Example.COM").unwrap();
        assert!(suffix.covers(b"\x07example\x03com\x00"));
        assert!(suffix.covers(b"\x03www\x07example\x03com\x00"));
        assert!(!suffix.covers(b"\x0amyexample7\x03com\x00"));
        // The suffix's bytes, but inside a label.
        assert!(!suffix.covers(b"\x0ax\x07example\x03com\x00"));
        assert!(!suffix.covers(b"\x03com\x00"));
        assert!(!suffix.covers(b""));
        assert!(Suffix::parse(".").unwrap().covers(b"\x03com\x00"));
        assert!(Suffix::parse("a..b").is_err());
    }

    #[test]
    fn presentation_escapes_what_is_not_printable() {
        assert_eq!(
            Presented(b"\x03a\x1bb\x03com\x00").to_string(),
            r"a\027b.com"
        );
        assert_eq!(Presented(b"\x00").to_string(), ".");
        assert_eq!(Presented(b"").to_string(), "");
    }

    #[test]
    fn long_names_are_boxed() {
        let name = [b'a'; 200];
        assert_eq!(StoredName::new(&name, b"more").as_slice(), name);
        assert_eq!(StoredName::new(&name, b"more").more(), b"");
        assert!(matches!(
            StoredName::new(&name[..INLINE + 1], b""),
            StoredName::Boxed(_)
        ));
        assert!(matches!(
            StoredName::new(&name[..INLINE], b""),
            StoredName::Inline { .. }
        ));
    }

    #[test]
    fn more_is_kept_whole_or_not_at_all() {
        let name = [b'a'; INLINE - 3];
        for (more, kept) in [(&b"123"[..], &b"123"[..]), (b"1234", b""), (b"", b"")] {
            let stored = StoredName::new(&name, more);
            assert_eq!((stored.as_slice(), stored.more()), (&name[..], kept));
        }
    }
}
