//! Packets that the programs are given.

use crate::dns;

/// The name in the query whose packet has 75 bytes.
pub(crate) const NAME: &str = "www.example.com";

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const VLAN: u16 = 0x8100;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A packet and what our programs do with it.
pub(crate) struct Packet {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// From the Ethernet header on.
    pub(crate) bytes: Vec<u8>,
    /// Whether it is captured.
    pub(crate) is_dns: bool,
}

/// What a TCX program is measured with.
pub(crate) fn all() -> Vec<Packet> {
    let query = dns::query(7, NAME);
    let mut response = dns::response(7, NAME);
    response.resize(258, 0);
    let udp_query = udp(5000, 53, &query);
    let udp_response = udp(53, 5000, &response);
    let other = [7; 60];
    let packet = |name, is_dns, bytes| Packet {
        name,
        bytes,
        is_dns,
    };
    vec![
        packet("TCP/443", false, ipv4(TCP, &tcp(5000, 443, &other))),
        packet("UDP/443", false, ipv4(UDP, &udp(5000, 443, &other))),
        packet("TCP/443, IPv6", false, ipv6(TCP, &tcp(5000, 443, &other))),
        packet("UDP/443, IPv6", false, ipv6(UDP, &udp(5000, 443, &other))),
        packet("ARP", false, ethernet(ARP, &[0; 46])),
        packet("query, 75 bytes", true, ipv4(UDP, &udp_query)),
        packet("response, 300 bytes", true, ipv4(UDP, &udp_response)),
        packet("query, IPv6", true, ipv6(UDP, &udp_query)),
        packet("response, IPv6", true, ipv6(UDP, &udp_response)),
        packet("query, VLAN", true, tagged(&ipv4(UDP, &udp_query))),
        packet("TCP/53 segment", true, ipv4(TCP, &tcp(5000, 53, &other))),
    ]
}

/// A packet with a query or its response, as the ring is filled with.
pub(crate) fn message(id: u16, is_response: bool) -> Vec<u8> {
    if is_response {
        ipv4(UDP, &udp(53, 5000, &dns::response(id, NAME)))
    } else {
        ipv4(UDP, &udp(5000, 53, &dns::query(id, NAME)))
    }
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

fn ethernet(ethertype: u16, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![2; 12];
    packet.extend(ethertype.to_be_bytes());
    packet.extend(inner);
    packet
}

/// The frame with a VLAN tag in line.
fn tagged(frame: &[u8]) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12);
    let mut packet = addresses.to_vec();
    packet.extend(VLAN.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(rest);
    packet
}

fn ipv4(protocol: u8, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(length(20 + inner.len()));
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(inner);
    ethernet(IPV4, &packet)
}

fn ipv6(next: u8, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length(inner.len()));
    packet.extend([next, 64]);
    packet.extend([0xfd; 32]);
    packet.extend(inner);
    ethernet(IPV6, &packet)
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(source.to_be_bytes());
    packet.extend(destination.to_be_bytes());
    packet.extend(length(8 + payload.len()));
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

/// A segment with PSH and ACK.
fn tcp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(source.to_be_bytes());
    packet.extend(destination.to_be_bytes());
    packet.extend([0, 0, 0, 1, 0, 0, 0, 2, 5 << 4, 0x18, 1, 1, 0, 0, 0, 0]);
    packet.extend(payload);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_named() {
        let size = |name| all().iter().find(|p| p.name == name).unwrap().bytes.len();
        assert_eq!(size("query, 75 bytes"), 75);
        assert_eq!(size("response, 300 bytes"), 300);
    }
}
