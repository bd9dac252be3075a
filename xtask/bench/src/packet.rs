//! Packets that the programs are given.

use dns_trace_tests::lab::packet::{
    IPV4, IPV6, TCP, UDP, VLAN, ethernet, ipv4, ipv6, tag, tcp, udp,
};

use crate::dns;

/// The name in the query whose packet has 75 bytes.
pub(crate) const NAME: &str = "www.example.com";

/// Ethertype of ARP.
const ARP: u16 = 0x0806;
/// PSH and ACK.
const DATA: u8 = 0x18;

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
    let v4 = |protocol, inner: &[u8]| ethernet(IPV4, &ipv4(protocol, inner));
    let v6 = |protocol, inner: &[u8]| ethernet(IPV6, &ipv6(protocol, inner));
    let segment = |destination| tcp(5000, destination, 1, DATA, &other);
    let datagram = udp(5000, 443, &other);
    let tagged = |protocol, inner: &[u8]| ethernet(VLAN, &tag(IPV4, &ipv4(protocol, inner)));
    vec![
        packet("TCP/443", false, v4(TCP, &segment(443))),
        packet("UDP/443", false, v4(UDP, &datagram)),
        packet("TCP/443, IPv6", false, v6(TCP, &segment(443))),
        packet("UDP/443, IPv6", false, v6(UDP, &datagram)),
        packet("TCP/443, VLAN", false, tagged(TCP, &segment(443))),
        packet("UDP/443, VLAN", false, tagged(UDP, &datagram)),
        packet("ARP", false, ethernet(ARP, &[0; 46])),
        packet("query, 75 bytes", true, v4(UDP, &udp_query)),
        packet("response, 300 bytes", true, v4(UDP, &udp_response)),
        packet("query, IPv6", true, v6(UDP, &udp_query)),
        packet("response, IPv6", true, v6(UDP, &udp_response)),
        packet("query, VLAN", true, tagged(UDP, &udp_query)),
        packet("response, VLAN", true, tagged(UDP, &udp_response)),
        packet("TCP/53 segment", true, v4(TCP, &segment(53))),
    ]
}

/// A packet with a query or its response, as the ring is filled with.
pub(crate) fn message(id: u16, is_response: bool) -> Vec<u8> {
    let datagram = if is_response {
        udp(53, 5000, &dns::response(id, NAME))
    } else {
        udp(5000, 53, &dns::query(id, NAME))
    };
    ethernet(IPV4, &ipv4(UDP, &datagram))
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
