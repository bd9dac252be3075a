//! What a message says in single bits.

/// A bit of header, EDNS or question. Those of the header stand where the header has them (RFC 1035, section
/// 4.1.1), the others where it has QR and opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bit {
    /// Authoritative answer; in LLMNR, conflict (RFC 4795, section 2.1.1).
    Aa = 10,
    /// Truncated.
    Tc = 9,
    /// Recursion desired; in LLMNR, tentative.
    Rd = 8,
    /// Recursion available.
    Ra = 7,
    /// Authentic data (RFC 4035, section 3.2.3).
    Ad = 5,
    /// Checking disabled (RFC 4035, section 3.2.2).
    Cd = 4,
    /// DNSSEC OK, of EDNS (RFC 3225).
    Do = 15,
    /// The reserved bit of the header (RFC 1035, section 4.1.1), which has to be clear.
    Reserved = 6,
    /// The question may be answered by unicast (RFC 6762, section 5.4).
    UnicastResponse = 14,
    /// There is an OPT record.
    Edns = 13,
    /// The message cannot be read to its end.
    Broken = 12,
}

/// The bits that ECS `dns.header_flags` has names for.
const NAMED: [(Bit, &str); 7] = [
    (Bit::Aa, "AA"),
    (Bit::Tc, "TC"),
    (Bit::Rd, "RD"),
    (Bit::Ra, "RA"),
    (Bit::Ad, "AD"),
    (Bit::Cd, "CD"),
    (Bit::Do, "DO"),
];

/// The bits of an LLMNR header.
const NAMED_LLMNR: [(Bit, &str); 3] = [(Bit::Aa, "C"), (Bit::Tc, "TC"), (Bit::Rd, "T")];

/// The bits of a header: AA to CD.
const HEADER: u16 = 0x07f0;

/// Any of the bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Those of the second word of a header.
    pub(super) const fn of_header(word: u16) -> Self {
        Self(word & HEADER)
    }

    /// Together with one more bit, if it is set.
    pub(super) const fn with(self, bit: Bit, set: bool) -> Self {
        Self(self.0 | (set as u16) << bit as u8)
    }

    /// Whether a bit is set.
    #[must_use]
    pub const fn has(self, bit: Bit) -> bool {
        self.0 & 1 << bit as u8 != 0
    }

    /// Names of the header flags that are set, as ECS spells them; LLMNR has its own.
    pub fn names(self, llmnr: bool) -> impl Iterator<Item = &'static str> {
        let named: &[(Bit, &str)] = if llmnr { &NAMED_LLMNR } else { &NAMED };
        let set = named.iter().filter(move |(bit, _)| self.has(*bit));
        set.map(|(_, name)| *name)
    }
}
