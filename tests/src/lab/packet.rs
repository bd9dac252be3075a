//! Packets built by hand, header by header, from the inside out.

/// Ethertype of IPv4.
pub const IPV4: u16 = 0x0800;
/// Ethertype of IPv6.
pub const IPV6: u16 = 0x86dd;
/// Ethertype of a VLAN tag (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;
/// Ethertype of an outer VLAN tag (IEEE 802.1ad).
pub const QINQ: u16 = 0x88a8;

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
/// IPv6 extension header: hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// IPv6 extension header: routing.
pub const ROUTING: u8 = 43;
/// IPv6 extension header: fragment.
pub const FRAGMENT: u8 = 44;
/// IPv6 extension header: authentication (RFC 4302).
pub const AUTHENTICATION: u8 = 51;
/// IPv6 extension header: destination options.
pub const DESTINATION: u8 = 60;

/// Bytes that can be recognised: 0, 1, 2, … 250, 0, …
#[must_use]
pub fn pattern(len: usize) -> Vec<u8> {
    (0..=250u8).cycle().take(len).collect()
}

/// A UDP datagram whose length field says `payload` plus `lie` bytes.
#[must_use]
pub fn udp_lying(source: u16, destination: u16, payload: &[u8], lie: i32) -> Vec<u8> {
    let len = i32::try_from(payload.len() + 8).unwrap_or(i32::MAX) + lie;
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    let mut packet = Vec::new();
    for word in [source, destination, len, 0] {
        packet.extend(word.to_be_bytes());
    }
    packet.extend(payload);
    packet
}

/// A UDP datagram.
#[must_use]
pub fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    udp_lying(source, destination, payload, 0)
}

/// A TCP segment with four bytes of options.
#[must_use]
pub fn tcp(source: u16, destination: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(source.to_be_bytes());
    packet.extend(destination.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend([6 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend([1; 4]);
    packet.extend(payload);
    packet
}

/// An IPv4 packet from 10.0.0.1 to 10.0.0.2 with `options` bytes of options.
#[must_use]
pub fn ipv4_with(protocol: u8, fragment: u16, options: u8, inner: &[u8]) -> Vec<u8> {
    let header = 20 + usize::from(options);
    let mut packet = vec![0x45 + options / 4, 0];
    packet.extend(
        u16::try_from(header + inner.len())
            .unwrap_or(0)
            .to_be_bytes(),
    );
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(vec![1; usize::from(options)]);
    packet.extend(inner);
    packet
}

/// An IPv4 packet without options.
#[must_use]
pub fn ipv4(protocol: u8, inner: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, 0, 0, inner)
}

/// An IPv6 packet from fd00::1 to fd00::2.
#[must_use]
pub fn ipv6(next: u8, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(inner.len()).unwrap_or(0).to_be_bytes());
    packet.extend([next, 64]);
    for last in [1, 2] {
        packet.push(0xfd);
        packet.extend([0; 14]);
        packet.push(last);
    }
    packet.extend(inner);
    packet
}

/// An extension header of `units` more units than the least, in the unit of its kind.
#[must_use]
pub fn extension(kind: u8, next: u8, units: u8, inner: &[u8]) -> Vec<u8> {
    let len = if kind == AUTHENTICATION {
        (usize::from(units) + 2) * 4
    } else {
        (usize::from(units) + 1) * 8
    };
    let mut packet = vec![next, units];
    packet.resize(len, 0);
    packet.extend(inner);
    packet
}

/// A fragment header: offset in units of 8 bytes, and whether more fragments follow.
#[must_use]
pub fn fragment(next: u8, offset: u16, more: bool, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![next, 0];
    packet.extend((offset << 3 | u16::from(more)).to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    packet.extend(inner);
    packet
}

/// An Ethernet frame.
#[must_use]
pub fn ethernet(ethertype: u16, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![2; 12];
    packet.extend(ethertype.to_be_bytes());
    packet.extend(inner);
    packet
}

/// A VLAN tag in line; its own ethertype stands in what is around it.
#[must_use]
pub fn tag(ethertype: u16, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x20, 5];
    packet.extend(ethertype.to_be_bytes());
    packet.extend(inner);
    packet
}
