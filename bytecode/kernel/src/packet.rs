//! What is known of a packet once its headers have been read.

use crate::straight::{forgotten, less, lesser, minus};
use dns_trace_event::{FLAG_FRAGMENT, L4_TCP, L4_UDP, Stats, TCP_FIN, TCP_RST, TCP_SYN};

pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
pub const ETHERTYPE_VLAN: u16 = 0x8100;
pub const ETHERTYPE_QINQ: u16 = 0x88a8;

/// More fragments, or an offset other than 0 (RFC 791, section 3.1), in host byte order.
pub const IPV4_FRAGMENT_MASK: u16 = 0x3fff;
pub const IPV4_OFFSET_MASK: u16 = 0x1fff;

const UDP_HEADER: u32 = 8;
const TCP_HEADER_MIN: u32 = 20;

/// Source and destination port of the word that they make up in the packet.
#[inline(always)]
pub fn ports(word: u32) -> (u16, u16) {
    let word = u32::from_be(word);
    ((word >> 16) as u16, word as u16)
}

/// Addresses in the form of the record: network byte order, IPv4 as IPv4-mapped.
#[derive(Clone, Copy)]
pub struct Addresses {
    pub source: [u64; 2],
    pub destination: [u64; 2],
}

impl Addresses {
    /// From two IPv4 addresses in network byte order, as read from the header.
    #[inline(always)]
    pub fn v4(source: u32, destination: u32) -> Self {
        Self {
            source: [0, mapped(source)],
            destination: [0, mapped(destination)],
        }
    }
}

/// Second half of an IPv4-mapped address: two bytes of 0, two of 0xff, the address.
#[inline(always)]
fn mapped(address: u32) -> u64 {
    #[cfg(target_endian = "little")]
    return (u64::from(address) << 32) | 0xffff_0000;
    #[cfg(target_endian = "big")]
    return u64::from(address) | 0x0000_ffff_0000_0000;
}

/// A packet on a DNS port, its transport header not yet looked at.
#[derive(Clone, Copy)]
pub struct Transport {
    pub addresses: Addresses,
    /// IP protocol number: TCP or UDP.
    pub l4: u8,
    /// `FLAG_FRAGMENT` or 0.
    pub flags: u8,
    pub source_port: u16,
    pub destination_port: u16,
    /// Offset of the transport header in the packet.
    pub offset: u32,
    /// Bytes from the transport header to the end of the IP packet by the IP header; 0 where the
    /// header does not say (BIG TCP, jumbograms).
    pub ip_len: u32,
    /// What [`Transport::payload`] needs of the transport header.
    pub words: HeaderWords,
}

/// Payload of a packet and what its transport header said.
#[derive(Clone, Copy)]
pub struct Payload {
    pub offset: u32,
    /// Length by the headers.
    pub wire_len: u32,
    /// Length that is there to be copied.
    pub available: u32,
    pub tcp_seq: u32,
    pub tcp_flags: u8,
}

/// Words of a transport header: bytes 4..8, and bytes 12..16 of TCP (0 for UDP), host byte order.
#[derive(Clone, Copy)]
pub struct HeaderWords {
    pub second: u32,
    pub fourth: u32,
}

impl Addresses {
    #[inline(always)]
    fn forgotten(&self, unknown: u64) -> Self {
        let forgotten =
            |halves: [u64; 2]| [forgotten(halves[0], unknown), forgotten(halves[1], unknown)];
        Self {
            source: forgotten(self.source),
            destination: forgotten(self.destination),
        }
    }
}

impl Payload {
    /// See [`straight::forgotten`](crate::straight::forgotten).
    #[inline(always)]
    pub fn forgotten(&self, unknown: u64) -> Self {
        let forgotten = |value: u32| forgotten(value.into(), unknown) as u32;
        Self {
            offset: forgotten(self.offset),
            wire_len: forgotten(self.wire_len),
            available: forgotten(self.available),
            tcp_seq: forgotten(self.tcp_seq),
            tcp_flags: forgotten(self.tcp_flags.into()) as u8,
        }
    }
}

impl Transport {
    /// See [`straight::forgotten`](crate::straight::forgotten). Of the header, only what is written down.
    #[inline(always)]
    pub fn forgotten(&self, unknown: u64) -> Self {
        Self {
            addresses: self.addresses.forgotten(unknown),
            l4: forgotten(self.l4.into(), unknown) as u8,
            flags: forgotten(self.flags.into(), unknown) as u8,
            source_port: forgotten(self.source_port.into(), unknown) as u16,
            destination_port: forgotten(self.destination_port.into(), unknown) as u16,
            ..*self
        }
    }

    /// Finds the payload, or counts why there is none to report. `packet_len` is the length of the
    /// whole packet from the same origin as `offset`.
    #[inline(always)]
    pub fn payload(&self, packet_len: u32, stats: &mut Stats) -> Option<Payload> {
        let in_packet = minus(packet_len, self.offset);
        // All of the packet if the IP header does not say.
        let ip_len = self.ip_len | (in_packet & less(self.ip_len, 1));
        let there = lesser(ip_len, in_packet);
        let payload = if self.l4 == L4_UDP {
            self.udp(there)
        } else {
            self.tcp(ip_len, there)
        };
        let Some(payload) = payload else {
            stats.malformed += 1;
            return None;
        };
        if self.l4 == L4_TCP
            && payload.wire_len == 0
            && payload.tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST) == 0
        {
            stats.bare_acks += 1;
            return None;
        }
        Some(payload)
    }

    /// RFC 768. A length that exceeds the packet is a contradiction, but for a first fragment.
    #[inline(always)]
    fn udp(&self, there: u32) -> Option<Payload> {
        let udp_len = self.words.second >> 16;
        if udp_len < UDP_HEADER || (udp_len > there && self.flags & FLAG_FRAGMENT == 0) {
            return None;
        }
        Some(Payload {
            offset: self.offset + UDP_HEADER,
            wire_len: udp_len - UDP_HEADER,
            available: minus(lesser(udp_len, there), UDP_HEADER),
            tcp_seq: 0,
            tcp_flags: 0,
        })
    }

    /// RFC 9293, section 3.1.
    #[inline(always)]
    fn tcp(&self, ip_len: u32, there: u32) -> Option<Payload> {
        let header = (self.words.fourth >> 28) * 4;
        if header < TCP_HEADER_MIN || header > there {
            return None;
        }
        Some(Payload {
            offset: self.offset + header,
            wire_len: ip_len - header,
            available: there - header,
            tcp_seq: self.words.second,
            tcp_flags: (self.words.fourth >> 16) as u8,
        })
    }
}
