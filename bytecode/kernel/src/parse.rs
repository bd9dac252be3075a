//! Every packet form that [`crate::fast`] does not know, step by step: VLAN and QinQ tags, devices
//! without a link-layer header, IPv4 options, IPv6 extension headers, fragments. Bounded.

use crate::{
    packet::{
        self, Addresses, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN,
        HeaderWords, IPV4_FRAGMENT_MASK, IPV4_OFFSET_MASK, Transport,
    },
    settings,
    source::Source,
    straight::{bounded, equal, less, minus, select},
};
use dns_trace_event::{FLAG_FRAGMENT, L4_TCP, L4_UDP, Stats};

/// Tags in line that are followed: QinQ.
const VLAN_TAGS_MAX: u32 = 2;
/// Extension headers that are followed: one of each kind.
const EXTENSION_HEADERS_MAX: u32 = 5;

/// Bytes of extension headers that are followed.
const EXTENSIONS_MASK: u32 = 0x7ff;
/// No transport header lies behind this.
const OFFSET_MASK: u32 = 0xfff;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
/// The set of them.
const EXTENSIONS: u64 =
    1 << HOP_BY_HOP | 1 << ROUTING | 1 << FRAGMENT | 1 << AUTHENTICATION | 1 << DESTINATION;

/// The first word of a fragment header: offset, and more fragments (RFC 8200, section 4.5).
const FRAGMENT_OFFSET: u32 = 0xfff8;
const FRAGMENT_MORE: u32 = 1;

/// Where the first thing behind the link-layer header is, and what it is.
#[derive(Clone, Copy)]
pub struct Start {
    /// Offset from the origin of the source.
    pub offset: u32,
    /// Ethertype, host byte order; of a VLAN tag where there is one in line.
    pub ethertype: u16,
}

/// Finds the transport header of a packet on a DNS port; counts what cannot be followed.
#[inline(always)]
pub fn transport<S: Source>(source: &S, start: Start, stats: &mut Stats) -> Option<Transport> {
    let Start { offset, ethertype } = skip_tags(source, start)?;
    let found = match ethertype {
        ETHERTYPE_IPV4 => ipv4(source, offset),
        ETHERTYPE_IPV6 => ipv6(source, offset),
        _ => return None,
    };
    match found {
        Found::Transport(transport) => Some(transport),
        Found::Other => None,
        Found::LaterFragment => {
            stats.later_fragments += 1;
            None
        }
        Found::Malformed => {
            stats.malformed += 1;
            None
        }
        Found::Unparsable => {
            stats.unparsable += 1;
            None
        }
    }
}

/// Follows the tags in line.
///
/// Without branches: one way through for the verifier, which would otherwise follow everything
/// behind once per number of tags. A packet has four bytes there with or without a tag.
#[inline(always)]
fn skip_tags<S: Source>(source: &S, start: Start) -> Option<Start> {
    let Start {
        mut offset,
        mut ethertype,
    } = start;
    let mut followed = 0;
    while followed < VLAN_TAGS_MAX {
        let behind = u16::from_be(source.load(offset + 2)?);
        let tagged = equal(ethertype, ETHERTYPE_VLAN) | equal(ethertype, ETHERTYPE_QINQ);
        ethertype = select(tagged, behind, ethertype);
        offset += tagged * 4;
        followed += 1;
    }
    Some(Start { offset, ethertype })
}

enum Found {
    Transport(Transport),
    Other,
    LaterFragment,
    Malformed,
    Unparsable,
}

/// Without branches, so that the verifier follows TCP and UDP in one go.
#[inline(always)]
fn is_transport(l4: u8) -> bool {
    equal(l4.into(), L4_TCP.into()) | equal(l4.into(), L4_UDP.into()) != 0
}

/// RFC 791, section 3.1. The header is read at once: each read is a call.
#[inline(always)]
fn ipv4<S: Source>(source: &S, offset: u32) -> Found {
    let Some(words) = source.load::<[u32; 5]>(offset) else {
        return Found::Unparsable;
    };
    let first = u32::from_be(words[0]);
    let l4 = (u32::from_be(words[2]) >> 16) as u8;
    let header = ((first >> 24) & 0xf) * 4;
    if first >> 28 != 4 || header < 20 {
        return Found::Unparsable;
    }
    if !is_transport(l4) {
        return Found::Other;
    }
    let fragment = u32::from_be(words[1]) as u16 & IPV4_FRAGMENT_MASK;
    if fragment & IPV4_OFFSET_MASK != 0 {
        return Found::LaterFragment;
    }
    let (from, to) = (words[3], words[4]);
    let total = first & 0xffff;
    at_ports(
        source,
        Transport {
            addresses: Addresses::v4(from, to),
            l4,
            flags: less(0, fragment.into()) as u8 & FLAG_FRAGMENT,
            source_port: 0,
            destination_port: 0,
            words: HeaderWords {
                second: 0,
                fourth: 0,
            },
            offset: offset + header,
            ip_len: minus(total, header),
        },
    )
}

/// RFC 8200, sections 3 and 4; the authentication header is RFC 4302, section 2.
#[inline(always)]
fn ipv6<S: Source>(source: &S, start: u32) -> Found {
    let Some(header) = source.load::<[u64; 5]>(start) else {
        return Found::Unparsable;
    };
    let first = u64::from_be(header[0]);
    let payload_len = (first >> 16) as u16;
    let mut next = (first >> 8) as u8;
    if first >> 60 != 6 {
        return Found::Unparsable;
    }
    let mut fragment_flag = 0;
    let mut extensions = 0u32;
    let mut followed = 0;
    while followed < EXTENSION_HEADERS_MAX && is_extension(next) {
        let Some(head) = source
            .load::<u32>(start + 40 + extensions)
            .map(u32::from_be)
        else {
            return Found::Unparsable;
        };
        let fragment = equal(next.into(), FRAGMENT.into());
        let authentication = equal(next.into(), AUTHENTICATION.into());
        if bounded(head & FRAGMENT_OFFSET & 0u32.wrapping_sub(fragment)) != 0 {
            return Found::LaterFragment;
        }
        fragment_flag |= head & FRAGMENT_MORE & fragment;
        // In units of 8 bytes, not counting the first; of 4 bytes, less 2; always 8 bytes.
        let unit = 8 - 8 * fragment - 4 * authentication;
        extensions += 8 + ((head >> 16) & 0xff) * unit;
        if extensions > EXTENSIONS_MASK {
            return Found::Unparsable;
        }
        // Changes nothing, but gives the verifier one range for every way through the loop, so that
        // it follows one of them and not all.
        extensions = bounded(extensions) & EXTENSIONS_MASK;
        next = (head >> 24) as u8;
        followed += 1;
    }
    if is_extension(next) {
        return Found::Unparsable;
    }
    if !is_transport(next) {
        return Found::Other;
    }
    at_ports(
        source,
        Transport {
            addresses: Addresses {
                source: [header[1], header[2]],
                destination: [header[3], header[4]],
            },
            l4: next,
            flags: fragment_flag as u8 * FLAG_FRAGMENT,
            source_port: 0,
            destination_port: 0,
            words: HeaderWords {
                second: 0,
                fourth: 0,
            },
            offset: start + 40 + extensions,
            ip_len: minus(payload_len.into(), extensions),
        },
    )
}

#[inline(always)]
fn is_extension(next: u8) -> bool {
    bounded((EXTENSIONS >> (next & 63)) as u32 & 1 & less(next.into(), 64)) != 0
}

/// Reads what is wanted of the transport header. Its length is judged later, when it is known to be
/// on a DNS port: UDP has 8 bytes at least, TCP 20.
#[inline(always)]
fn at_ports<S: Source>(source: &S, transport: Transport) -> Found {
    let transport = Transport {
        // Changes nothing, see the loop of [`ipv6`].
        offset: bounded(transport.offset) & OFFSET_MASK,
        ..transport
    };
    let Some(words) = source.load::<[u32; 2]>(transport.offset) else {
        return Found::Unparsable;
    };
    if !settings::is_dns(words[0]) {
        return Found::Other;
    }
    let (source_port, destination_port) = packet::ports(words[0]);
    // Bytes 4..8 once more for UDP, which needs no other: one way through instead of two.
    let at = 4 + 8 * equal(transport.l4.into(), L4_TCP.into());
    let Some(fourth) = source.load::<u32>(transport.offset + at) else {
        return Found::Malformed;
    };
    Found::Transport(Transport {
        source_port,
        destination_port,
        words: HeaderWords {
            second: u32::from_be(words[1]),
            fourth: u32::from_be(fourth),
        },
        ..transport
    })
}
