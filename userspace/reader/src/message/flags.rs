//! What a message says in single bits.

/// A bit of header, EDNS or question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bit {
    /// Authoritative answer; in LLMNR, conflict (RFC 4795, section 2.1.1).
    Aa,
    /// Truncated.
    Tc,
    /// Recursion desired; in LLMNR, tentative.
    Rd,
    /// Recursion available.
    Ra,
    /// Authentic data (RFC 4035, section 3.2.3).
    Ad,
    /// Checking disabled (RFC 4035, section 3.2.2).
    Cd,
    /// DNSSEC OK, of EDNS (RFC 3225).
    Do,
    /// The reserved bit of the header (RFC 1035, section 4.1.1), which has to be clear.
    Reserved,
    /// The question may be answered by unicast (RFC 6762, section 5.4).
    UnicastResponse,
    /// There is an OPT record.
    Edns,
    /// The message cannot be read to its end.
    Broken,
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

/// Any of the bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    pub(super) fn new(bits: &[(Bit, bool)]) -> Self {
        let or = |all, &(bit, set): &(Bit, bool)| all | u16::from(set) << bit as u8;
        Self(bits.iter().fold(0, or))
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
