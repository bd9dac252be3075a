//! The values of labels: few and known (types, codes, errors, transports), or the first so many that come
//! (servers, names). Index 0 is [`OTHER`] everywhere.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use domain::base::iana::{OptRcode, Rtype};
use hashbrown::HashMap;

use super::{Labels, Measures};
use crate::record::Transport;

/// Everything that has no value of its own.
pub(super) const OTHER: &str = "other";

/// Types of questions.
const TYPES: [(&str, u16); 33] = [
    (OTHER, 0),
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("LOC", 29),
    ("SRV", 33),
    ("NAPTR", 35),
    ("CERT", 37),
    ("DNAME", 39),
    ("DS", 43),
    ("SSHFP", 44),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("IXFR", 251),
    ("AXFR", 252),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
];

/// Response codes.
const RCODES: [(&str, u16); 14] = [
    (OTHER, 0xffff),
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
    ("BADVERS", 16),
    ("BADCOOKIE", 23),
];

/// Errors, as ECS `error.type` has them, see [`crate::lookup::Lookup::error`].
const ERRORS: [&str; 5] = [OTHER, "timeout", "orphan", "evicted", "malformed"];
const TRANSPORTS: [&str; 3] = [OTHER, "udp", "tcp"];

/// Index by number, for numbers up to the last in the table.
const fn indexes<const N: usize>(table: &[(&str, u16)]) -> [u8; N] {
    let mut indexes = [0; N];
    let mut index = 1;
    while index < table.len() {
        indexes[table[index].1 as usize] = index as u8;
        index += 1;
    }
    indexes
}

const TYPE_INDEXES: [u8; 258] = indexes(&TYPES);
const RCODE_INDEXES: [u8; 24] = indexes(&RCODES);

pub(super) fn type_index(qtype: Option<Rtype>) -> u8 {
    let index = qtype.and_then(|qtype| TYPE_INDEXES.get(usize::from(qtype.to_int())));
    index.copied().unwrap_or(0)
}

pub(super) fn rcode_index(rcode: Option<OptRcode>) -> u8 {
    let index = rcode.and_then(|rcode| RCODE_INDEXES.get(usize::from(rcode.to_int())));
    index.copied().unwrap_or(0)
}

pub(super) fn error_index(error: &str) -> u8 {
    let index = ERRORS.iter().position(|known| *known == error);
    index.unwrap_or(0) as u8
}

pub(super) const fn transport_index(transport: Transport) -> u8 {
    match transport {
        Transport::Udp => 1,
        Transport::Tcp => 2,
    }
}

/// Names of the labels of a series of durations.
pub const LABELS: [&str; 5] = ["type", "rcode", "server", "transport", "name"];
/// Names of the labels of a series of errors.
pub const ERROR_LABELS: [&str; 5] = ["type", "error", "server", "transport", "name"];

impl Labels {
    /// The values, in the order of [`LABELS`] or [`ERROR_LABELS`]; the last only where names are a label.
    #[must_use]
    pub fn values<'m>(&self, measures: &'m Measures, errors: bool) -> [Option<&'m str>; 5] {
        let place = usize::from(self.outcome);
        let outcome = if errors {
            ERRORS.get(place).copied()
        } else {
            RCODES.get(place).map(|(text, _)| *text)
        };
        let qtype = TYPES.get(usize::from(self.qtype));
        [
            qtype.map(|(text, _)| *text),
            outcome,
            Some(measures.servers.get(self.server)),
            TRANSPORTS.get(usize::from(self.transport)).copied(),
            measures.names.as_ref().map(|names| names.get(self.name)),
        ]
    }
}

/// The values that have come, for those who read them.
#[derive(Debug)]
pub struct Texts(Box<[OnceLock<Box<str>>]>);

impl Texts {
    /// A value.
    #[must_use]
    pub fn get(&self, index: u16) -> &str {
        let place = usize::from(index).checked_sub(1);
        let text = place.and_then(|place| self.0.get(place)?.get());
        text.map_or(OTHER, |text| text)
    }

    /// How many there are beside `other`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0
            .iter()
            .take_while(|text| text.get().is_some())
            .count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The values that have come, for the one who adds to them.
#[derive(Debug)]
pub(super) struct Slots<K> {
    indexes: HashMap<K, u16>,
    texts: Arc<Texts>,
}

impl<K: Eq + Hash> Slots<K> {
    /// Room for so many.
    pub(super) fn new(most: u16) -> Self {
        Self {
            indexes: HashMap::with_capacity(usize::from(most)),
            texts: Arc::new(Texts((0..most).map(|_| OnceLock::new()).collect())),
        }
    }

    pub(super) fn texts(&self) -> Arc<Texts> {
        Arc::clone(&self.texts)
    }

    /// The index of a value; 0 if it has none.
    pub(super) fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> u16
    where
        K: Borrow<Q>,
    {
        self.indexes.get(key).copied().unwrap_or(0)
    }

    /// The index of a value, which it gets now if there is room.
    pub(super) fn claim<Q>(&mut self, key: &Q, text: impl FnOnce(&Q) -> String) -> u16
    where
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        K: Borrow<Q>,
    {
        let known = self.find(key);
        let taken = self.indexes.len();
        if known > 0 || taken == self.texts.0.len() {
            return known;
        }
        if let Some(place) = self.texts.0.get(taken) {
            // Nobody else sets it.
            let _ = place.set(text(key).into_boxed_str());
        }
        // Counted from 1; there are at most as many as a u16 counts.
        let index = taken as u16 + 1;
        self.indexes.insert(key.to_owned(), index);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_are_named_as_everywhere() {
        for (text, number) in &TYPES[1..] {
            let qtype = Rtype::from_int(*number);
            assert_eq!(qtype.to_string(), *text);
            assert_eq!(TYPES[usize::from(type_index(Some(qtype)))].0, *text);
        }
        for (text, number) in &RCODES[1..] {
            let rcode = OptRcode::masked_from_int(*number);
            assert_eq!(rcode.to_string(), *text);
            assert_eq!(RCODES[usize::from(rcode_index(Some(rcode)))].0, *text);
        }
        for qtype in [Some(3), Some(65_280), None] {
            assert_eq!(type_index(qtype.map(Rtype::from_int)), 0);
        }
        for rcode in [15, 24, 4000] {
            assert_eq!(rcode_index(Some(OptRcode::masked_from_int(rcode))), 0);
        }
    }

    #[test]
    fn later_values_are_other() {
        let mut slots: Slots<Vec<u8>> = Slots::new(2);
        let mut claim = |key: &str| slots.claim(key.as_bytes(), |_| key.to_owned());
        assert_eq!(["a", "b", "a", "c", "b"].map(&mut claim), [1, 2, 1, 0, 2]);
        let texts = slots.texts();
        assert_eq!(
            [0, 1, 2, 3].map(|index| texts.get(index)),
            [OTHER, "a", "b", OTHER]
        );
        assert_eq!(texts.len(), 2);
        let mut none: Slots<Vec<u8>> = Slots::new(0);
        assert_eq!(none.claim(&b"a"[..], |_| String::new()), 0);
    }
}
