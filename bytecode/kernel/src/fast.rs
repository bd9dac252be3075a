//! The common packet by direct access: Ethernet, IPv4 without options or IPv6 without extension
//! headers, no VLAN tag in line. This is the route of nearly all traffic that is not DNS, so it
//! reads as little as possible and decides early; everything unusual goes to [`crate::parse`].

use crate::{
    packet::{
        self, Addresses, ETHERTYPE_IPV4, ETHERTYPE_IPV6, HeaderWords, IPV4_FRAGMENT_MASK, Transport,
    },
    settings,
};
use dns_trace_event::{L4_TCP, L4_UDP};

/// Result of a look at the packet.
pub enum Verdict {
    /// Not DNS.
    Other,
    /// DNS.
    Dns(Transport),
    /// Not one of the common forms: parse it step by step.
    Unsure,
}

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const PORTS: usize = 4;
const UDP_HEADER: usize = 8;
const TCP_HEADER_MIN: usize = 20;
const ICMPV6: u8 = 58;
/// Version 4, five words of header.
const IPV4_PLAIN: u8 = 0x45;
/// Ethertype and first byte of a plain IPv4 header, as they follow one another.
const PLAIN_IPV4: u32 = word(ETHERTYPE_IPV4, IPV4_PLAIN);
const PLAIN_IPV4_MASK: u32 = word(0xffff, 0xff);
/// Ethertype of IPv6, likewise.
const PLAIN_IPV6: u32 = word(ETHERTYPE_IPV6, 0);
const PLAIN_IPV6_MASK: u32 = word(0xffff, 0);
/// Fragment bits of an IPv4 header, in the word that they begin.
const FRAGMENT: u32 = word(IPV4_FRAGMENT_MASK, 0);

/// What a load of a word gives that begins with a number in network byte order, and a byte.
const fn word(number: u16, byte: u8) -> u32 {
    let [first, second] = number.to_be_bytes();
    u32::from_ne_bytes([first, second, byte, 0])
}

/// # Safety
/// `data + offset` must be inside the packet for the size of `T`, by a check that the verifier saw.
#[inline(always)]
unsafe fn read<T>(data: usize, offset: usize) -> T {
    // SAFETY: by the contract above; packets are not aligned.
    unsafe { core::ptr::read_unaligned((data + offset) as *const T) }
}

/// Looks at the packet between `data` and `end` (linear part). `len` tells the length of the whole packet
/// where it may have no Ethernet header.
#[inline(always)]
pub fn classify(data: usize, end: usize, len: Option<impl FnOnce() -> u32>) -> Verdict {
    if data + ETHERNET + IPV4 + PORTS > end {
        return Verdict::Unsure;
    }
    // SAFETY: checked above.
    if len.is_some_and(|len| unsafe { may_be_headless(data, len) }) {
        return Verdict::Unsure;
    }
    // Ethertype and what follows it at once: traffic that is not DNS pays for every instruction here.
    // SAFETY: checked above.
    let word: u32 = unsafe { read(data, 12) };
    if word & PLAIN_IPV4_MASK == PLAIN_IPV4 {
        ipv4(data, end)
    } else if word & PLAIN_IPV6_MASK == PLAIN_IPV6 {
        ipv6(data, end)
    } else {
        Verdict::Unsure
    }
}

/// Whether the packet may begin with its IP header, whose addresses can look like an ethertype. No
/// device's address begins with 0x45, which would be a group's; some begin with 6, but only a header
/// has its length behind that.
///
/// # Safety
/// The first 38 bytes must be inside the packet, by a check that the verifier saw.
#[inline(always)]
unsafe fn may_be_headless(data: usize, len: impl FnOnce() -> u32) -> bool {
    // SAFETY: by the contract above.
    let (first, payload) = unsafe { (read::<u8>(data, 0), read::<u16>(data, 4)) };
    // Most devices' addresses begin with neither 4 nor 6, and are done with one comparison.
    first & 0xd0 == 0x40
        && (first == IPV4_PLAIN
            || (first >> 4 == 6 && u32::from(u16::from_be(payload)) + IPV6 as u32 == len()))
}

#[inline(always)]
fn ipv4(data: usize, end: usize) -> Verdict {
    // SAFETY: `classify` has checked Ethernet, IPv4 and ports.
    unsafe {
        if read::<u32>(data, ETHERNET + 6) & FRAGMENT != 0 {
            return Verdict::Unsure;
        }
        // The ports before the protocol: what has none there is no DNS either way.
        let ports = read(data, ETHERNET + IPV4);
        if !settings::is_dns(ports) {
            return Verdict::Other;
        }
        let (source_port, destination_port) = packet::ports(ports);
        let l4: u8 = read(data, ETHERNET + 9);
        if l4 != L4_TCP && l4 != L4_UDP {
            return Verdict::Other;
        }
        let Some(words) = words(data + ETHERNET + IPV4, end, l4) else {
            return Verdict::Unsure;
        };
        let total = u32::from(u16::from_be(read(data, ETHERNET + 2)));
        Verdict::Dns(Transport {
            addresses: Addresses::v4(read(data, ETHERNET + 12), read(data, ETHERNET + 16)),
            l4,
            flags: 0,
            source_port,
            destination_port,
            offset: (ETHERNET + IPV4) as u32,
            words,
            ip_len: total.saturating_sub(IPV4 as u32),
        })
    }
}

#[inline(always)]
fn ipv6(data: usize, end: usize) -> Verdict {
    if data + ETHERNET + IPV6 + PORTS > end {
        return Verdict::Unsure;
    }
    // SAFETY: checked above.
    unsafe {
        let l4: u8 = read(data, ETHERNET + 6);
        if l4 != L4_TCP && l4 != L4_UDP {
            return if l4 == ICMPV6 {
                Verdict::Other
            } else {
                Verdict::Unsure
            };
        }
        let ports = read(data, ETHERNET + IPV6);
        if !settings::is_dns(ports) {
            return Verdict::Other;
        }
        let (source_port, destination_port) = packet::ports(ports);
        let Some(words) = words(data + ETHERNET + IPV6, end, l4) else {
            return Verdict::Unsure;
        };
        Verdict::Dns(Transport {
            addresses: Addresses {
                source: [read(data, ETHERNET + 8), read(data, ETHERNET + 16)],
                destination: [read(data, ETHERNET + 24), read(data, ETHERNET + 32)],
            },
            l4,
            flags: 0,
            source_port,
            destination_port,
            offset: (ETHERNET + IPV6) as u32,
            words,
            ip_len: u32::from(u16::from_be(read(data, ETHERNET + 4))),
        })
    }
}

/// Reads the wanted words of the transport header at `transport`; `None` if the linear part ends
/// before it does.
#[inline(always)]
fn words(transport: usize, end: usize, l4: u8) -> Option<HeaderWords> {
    if transport + UDP_HEADER > end {
        return None;
    }
    // SAFETY: checked above.
    let second = unsafe { read(transport, 4) };
    let fourth = if l4 == L4_TCP {
        if transport + TCP_HEADER_MIN > end {
            return None;
        }
        // SAFETY: checked above.
        unsafe { read(transport, 12) }
    } else {
        0
    };
    Some(HeaderWords {
        second: u32::from_be(second),
        fourth: u32::from_be(fourth),
    })
}
