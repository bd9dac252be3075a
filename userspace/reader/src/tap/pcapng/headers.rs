//! Headers of IP, UDP and TCP, made anew from what a record says. What it does not say (identification, time to live,
//! acknowledgement, window, options) has a value that makes nobody suspicious, and the section
//! header says that all of this is so.

use std::net::IpAddr;

use dns_trace_event::{TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN};
use etherparse::{IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};

use crate::record::{Packet, Transport, address};

/// Time to live and hop limit: what hosts send with.
const HOPS: u8 = 64;

/// Source and destination, of one family.
enum Ends {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

impl Ends {
    fn of(packet: &Packet<'_>) -> Self {
        match (address(packet.source), address(packet.destination)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Self::V4(source.octets(), destination.octets())
            }
            _ => Self::V6(packet.source, packet.destination),
        }
    }
}

/// Appends the headers of IP and transport. Lengths are those of the packet, checksums are right where
/// all of the payload is there, and otherwise 0, "not computed".
pub(super) fn write(packet: &Packet<'_>, out: &mut Vec<u8>) {
    let ends = Ends::of(packet);
    let (protocol, length) = match packet.transport {
        Transport::Udp => (IpNumber::UDP, UdpHeader::LEN),
        Transport::Tcp => (IpNumber::TCP, TcpHeader::MIN_LEN),
    };
    ip(
        &ends,
        protocol,
        length as u64 + u64::from(packet.wire_len),
        out,
    );
    match packet.transport {
        Transport::Udp => out.extend_from_slice(&udp(packet, &ends).to_bytes()),
        Transport::Tcp => out.extend_from_slice(&tcp(packet, &ends).to_bytes()),
    }
}

/// A length that a header cannot say is 0: the kernel's way for packets that the device will cut
/// (BIG TCP).
fn field(length: u64) -> u16 {
    u16::try_from(length).unwrap_or(0)
}

fn ip(ends: &Ends, protocol: IpNumber, length: u64, out: &mut Vec<u8>) {
    match *ends {
        Ends::V4(source, destination) => {
            let mut header = Ipv4Header {
                total_len: field(length + Ipv4Header::MIN_LEN as u64),
                // Of a packet that is not to be fragmented the identification says nothing
                // (RFC 6864, section 4.1).
                dont_fragment: true,
                time_to_live: HOPS,
                protocol,
                source,
                destination,
                ..Ipv4Header::default()
            };
            header.header_checksum = header.calc_header_checksum();
            out.extend_from_slice(&header.to_bytes());
        }
        Ends::V6(source, destination) => {
            let header = Ipv6Header {
                payload_length: field(length),
                next_header: protocol,
                hop_limit: HOPS,
                source,
                destination,
                ..Ipv6Header::default()
            };
            out.extend_from_slice(&header.to_bytes());
        }
    }
}

fn is_whole(packet: &Packet<'_>) -> bool {
    packet.payload.len() as u64 == u64::from(packet.wire_len)
}

fn udp(packet: &Packet<'_>, ends: &Ends) -> UdpHeader {
    let mut header = UdpHeader {
        source_port: packet.source_port,
        destination_port: packet.destination_port,
        length: field(UdpHeader::LEN as u64 + u64::from(packet.wire_len)),
        checksum: 0,
    };
    if is_whole(packet) {
        let checksum = match *ends {
            Ends::V4(from, to) => header.calc_checksum_ipv4_raw(from, to, packet.payload),
            Ends::V6(from, to) => header.calc_checksum_ipv6_raw(from, to, packet.payload),
        };
        header.checksum = checksum.unwrap_or(0);
    }
    header
}

fn tcp(packet: &Packet<'_>, ends: &Ends) -> TcpHeader {
    let has = |flag| packet.tcp_flags & flag != 0;
    let mut header = TcpHeader {
        fin: has(TCP_FIN),
        syn: has(TCP_SYN),
        rst: has(TCP_RST),
        psh: has(TCP_PSH),
        ack: has(TCP_ACK),
        ..TcpHeader::new(
            packet.source_port,
            packet.destination_port,
            packet.tcp_seq,
            u16::MAX,
        )
    };
    if is_whole(packet) {
        let checksum = match *ends {
            Ends::V4(from, to) => header.calc_checksum_ipv4_raw(from, to, packet.payload),
            Ends::V6(from, to) => header.calc_checksum_ipv6_raw(from, to, packet.payload),
        };
        header.checksum = checksum.unwrap_or(0);
    }
    header
}
