//! The common packet by direct access: Ethernet, IPv4 without options or IPv6 without extension
//! headers; with a VLAN tag in line, or without a link-layer header, only what is no DNS. This is the
//! route of nearly all traffic that is not DNS, so it reads as little as possible and decides early;
//! everything unusual goes to [`crate::parse`].

use crate::{
    packet::{
        self, Addresses, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN,
        HeaderWords, IPV4_FRAGMENT_MASK, Transport,
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
const TAG: usize = 4;
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
/// Ethertype of a VLAN tag, likewise.
const TAGGED: u32 = word(ETHERTYPE_VLAN, 0);
const ETHERTYPE_MASK: u32 = word(0xffff, 0);
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
    // Ethertype and what follows it at once: traffic that is not DNS pays for every instruction here.
    // SAFETY: checked above.
    let word: u32 = unsafe { read(data, 12) };
    // SAFETY: likewise.
    if len.is_some_and(|len| unsafe { may_be_headless(data, len) }) {
        return other(!may_hold_ip(word) && is_other_headless(data, end));
    }
    if word & PLAIN_IPV4_MASK == PLAIN_IPV4 {
        ipv4(data, end)
    } else if word & ETHERTYPE_MASK == PLAIN_IPV6 {
        ipv6(data, end)
    } else {
        other(word & ETHERTYPE_MASK == TAGGED && is_other_tagged(data, end))
    }
}

/// What is uncommon ends here only if it is no DNS. A program that knew how to report it here as well would be
/// half as long again.
#[inline(always)]
fn other(is_other: bool) -> Verdict {
    if is_other {
        Verdict::Other
    } else {
        Verdict::Unsure
    }
}

/// Whether a frame with one VLAN tag in line is plain behind it, and no DNS.
#[inline(always)]
fn is_other_tagged(data: usize, end: usize) -> bool {
    const IP: usize = ETHERNET + TAG;
    if data + IP + 2 > end {
        return false;
    }
    // SAFETY: checked above.
    let word: u32 = unsafe { read(data, IP - 2) };
    if word & PLAIN_IPV4_MASK == PLAIN_IPV4 {
        is_other_ipv4::<IP>(data, end)
    } else {
        word & ETHERTYPE_MASK == PLAIN_IPV6 && is_other_ipv6::<IP>(data, end)
    }
}

/// Whether a packet that may begin with its IP header is plain and no DNS if it does. A frame that holds an IP
/// packet must not come here, see [`may_hold_ip`].
#[inline(always)]
fn is_other_headless(data: usize, end: usize) -> bool {
    if data + 1 > end {
        return false;
    }
    // SAFETY: checked above.
    if unsafe { read::<u8>(data, 0) } == IPV4_PLAIN {
        is_other_ipv4::<0>(data, end)
    } else {
        is_other_ipv6::<0>(data, end)
    }
}

/// Whether what lies at an offset, IPv4 without options, is whole and on other ports.
#[inline(always)]
fn is_other_ipv4<const IP: usize>(data: usize, end: usize) -> bool {
    if data + IP + IPV4 + PORTS > end {
        return false;
    }
    // SAFETY: checked above.
    let (fragment, ports) = unsafe { (read::<u32>(data, IP + 6), read(data, IP + IPV4)) };
    fragment & FRAGMENT == 0 && !settings::is_dns(ports)
}

/// Whether what lies at an offset, IPv6, has no extension headers and is on other ports.
#[inline(always)]
fn is_other_ipv6<const IP: usize>(data: usize, end: usize) -> bool {
    if data + IP + IPV6 + PORTS > end {
        return false;
    }
    // SAFETY: checked above.
    let (l4, ports) = unsafe { (read::<u8>(data, IP + 6), read(data, IP + IPV6)) };
    l4 == ICMPV6 || ((l4 == L4_TCP || l4 == L4_UDP) && !settings::is_dns(ports))
}

/// Whether a word that begins with an ethertype says that the frame holds what [`crate::parse`] looks into.
#[inline(always)]
fn may_hold_ip(word: u32) -> bool {
    let ethertype = word & ETHERTYPE_MASK;
    ethertype == self::word(ETHERTYPE_IPV4, 0)
        || ethertype == PLAIN_IPV6
        || ethertype == TAGGED
        || ethertype == self::word(ETHERTYPE_QINQ, 0)
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
