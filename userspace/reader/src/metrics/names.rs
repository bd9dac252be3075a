//! Names as a label: whole, or the part of them that somebody has registered.

use std::sync::Arc;

use clap::ValueEnum;
use psl::Psl as _;

use super::labels::{Slots, Texts};
use crate::name::Presented;

/// What of a name is the label's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum NamePart {
    /// What was registered: example.co.uk for www.example.co.uk, by the Public Suffix List.
    #[default]
    Registered,
    /// The whole name.
    Whole,
}

/// The names that have a value of their own.
#[derive(Debug)]
pub(super) struct Names {
    slots: Slots<Vec<u8>>,
    part: NamePart,
}

impl Names {
    pub(super) fn new(most: u16, part: NamePart) -> Self {
        Self {
            slots: Slots::new(most),
            part,
        }
    }

    pub(super) fn texts(&self) -> Arc<Texts> {
        self.slots.texts()
    }

    /// The index of a name in wire format, which it gets now if it may and there is room.
    pub(super) fn index(&mut self, name: &[u8], may_claim: bool) -> u16 {
        let part = match self.part {
            NamePart::Whole => name,
            NamePart::Registered => registered(name),
        };
        if may_claim && !part.is_empty() {
            self.slots.claim(part, |part| Presented(part).to_string())
        } else {
            self.slots.find(part)
        }
    }
}

/// The public suffix of a lower-case name in wire format, and one label more if there is one.
fn registered(name: &[u8]) -> &[u8] {
    // 255 octets hold at most 127 labels and the root (RFC 1035, section 3.1).
    let mut starts = [0_u8; 128];
    let mut number = 0;
    let mut at = 0;
    while let Some(length @ 1..) = name.get(at).copied()
        && let Some(start) = starts.get_mut(number)
    {
        *start = at as u8;
        number += 1;
        at += 1 + usize::from(length);
    }
    let starts = starts.get(..number).unwrap_or_default();
    let label = |start: &u8| {
        let start = usize::from(*start);
        let length = usize::from(name.get(start).copied().unwrap_or(0));
        name.get(start + 1..start + 1 + length).unwrap_or_default()
    };
    // The list counts octets of text: labels, and dots between them.
    let suffix = psl::List.find(starts.iter().rev().map(label)).len;
    let mut octets = 0;
    for start in starts.iter().rev() {
        octets += label(start).len() + 1;
        if octets > suffix + 1 {
            return name.get(usize::from(*start)..).unwrap_or_default();
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in text.split('.').filter(|label| !label.is_empty()) {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        wire
    }

    #[test]
    fn what_was_registered() {
        for (name, part) in [
            ("www.example.com", "example.com"),
            ("example.com", "example.com"),
            ("com", "com"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("x.y.kube.internal", "kube.internal"),
            ("localhost", "localhost"),
            (".", "."),
        ] {
            assert_eq!(registered(&wire(name)), wire(part), "{name}");
        }
        // A dot within a label is no end of it.
        let name = b"\x07www.exa\x05ample\x03com\x00";
        assert_eq!(registered(name), b"\x05ample\x03com\x00");
        let most: Vec<u8> = [1, b'a'].repeat(127).into_iter().chain([0]).collect();
        assert_eq!(registered(&most), b"\x01a\x01a\x00");
        assert_eq!(registered(b""), b"");
    }

    #[test]
    fn names_that_do_not_exist_take_no_room() {
        let mut names = Names::new(1, NamePart::Registered);
        assert_eq!(names.index(&wire("made.up.test"), false), 0);
        assert_eq!(names.index(&wire("www.example.com"), true), 1);
        assert_eq!(names.index(&wire("ftp.example.com"), false), 1);
        assert_eq!(names.index(&wire("example.net"), true), 0);
        assert_eq!(names.texts().get(1), "example.com");
        let mut names = Names::new(1, NamePart::Whole);
        assert_eq!(names.index(&wire("www.example.com"), true), 1);
        assert_eq!(names.index(&wire("ftp.example.com"), true), 0);
    }
}
