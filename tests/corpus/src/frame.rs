//! Packets to Ethernet frames.

use std::net::{IpAddr, SocketAddr};

use crate::corpus::{Packet, Transport};

const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const UDP: u8 = 17;
const TCP: u8 = 6;

/// The frame of a packet.
pub(crate) fn ethernet(packet: &Packet) -> Vec<u8> {
    let (protocol, segment) = transport(packet);
    let (from, to) = if packet.from_client {
        (CLIENT_MAC, SERVER_MAC)
    } else {
        (SERVER_MAC, CLIENT_MAC)
    };
    let (ethertype, ip) = match (packet.source.ip(), packet.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = (20 + segment.len()) as u16;
            let mut header = vec![0x45, 0];
            header.extend(length.to_be_bytes());
            header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            (0x0800_u16, header)
        }
        (source, destination) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend((segment.len() as u16).to_be_bytes());
            header.extend([protocol, 64]);
            header.extend(octets(source));
            header.extend(octets(destination));
            (0x86dd, header)
        }
    };
    [&to[..], &from, &ethertype.to_be_bytes(), &ip, &segment].concat()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn transport(packet: &Packet) -> (u8, Vec<u8>) {
    let ports = [
        packet.source.port().to_be_bytes(),
        packet.destination.port().to_be_bytes(),
    ]
    .concat();
    let (protocol, mut segment, at) = match packet.transport {
        Transport::Udp => {
            let length = (8 + packet.payload.len()) as u16;
            (
                UDP,
                [&ports[..], &length.to_be_bytes(), &[0, 0]].concat(),
                6,
            )
        }
        Transport::Tcp { seq, ack, flags } => {
            let numbers = [seq.to_be_bytes(), ack.to_be_bytes()].concat();
            let rest = [0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
            (TCP, [&ports[..], &numbers, &rest].concat(), 16)
        }
    };
    segment.extend_from_slice(&packet.payload);
    let sum = checksum(&[
        &pseudo(packet.source, packet.destination, protocol, segment.len()),
        &segment,
    ]);
    segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    (protocol, segment)
}

fn pseudo(source: SocketAddr, destination: SocketAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = [octets(source.ip()), octets(destination.ip())].concat();
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// The Internet checksum (RFC 1071) of parts of even length but the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            let word = [pair[0], pair.get(1).copied().unwrap_or(0)];
            sum += u32::from(u16::from_be_bytes(word));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
