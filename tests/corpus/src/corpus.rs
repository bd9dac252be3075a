//! The packets: lookups of every kind between clients and servers that differ from one to the next, so
//! that every exchange can be told from all others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::message::{Message, name};
use crate::rng::Rng;
use crate::{exchange, pathologies, streams};

/// DNS.
pub(crate) const DNS: u16 = 53;
/// Between two exchanges, nanoseconds at most.
const PACE_NS: u64 = 2_000_000;

/// How a packet travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A segment.
    Tcp {
        /// Sequence number of the first octet.
        seq: u32,
        /// Next octet that is expected from the other end.
        ack: u32,
        /// Flags as in the header (RFC 9293, section 3.1).
        flags: u8,
    },
}

/// FIN.
pub const FIN: u8 = 1;
/// SYN.
pub const SYN: u8 = 2;
/// RST.
pub const RST: u8 = 4;
/// PSH.
pub const PSH: u8 = 8;
/// ACK.
pub const ACK: u8 = 16;

/// One packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Nanoseconds from the start of the corpus.
    pub time_ns: u64,
    /// Where from.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// How.
    pub transport: Transport,
    /// What.
    pub payload: Vec<u8>,
    /// Sent by the client.
    pub from_client: bool,
}

impl Packet {
    /// The client's end.
    #[must_use]
    pub const fn client(&self) -> SocketAddr {
        if self.from_client {
            self.source
        } else {
            self.destination
        }
    }
}

/// The seed of the corpus that tests use.
pub const SEED: u64 = 0x0d15_7ace;
/// What is asked last of all, and never answered.
pub const LAST: &str = "last.example.com";

/// Makes the packets of a seed, in order of time.
#[must_use]
pub fn packets(seed: u64) -> Vec<Packet> {
    let mut builder = Builder {
        rng: Rng::new(seed),
        packets: Vec::new(),
        now_ns: 1_000_000_000,
        exchanges: 0,
    };
    exchange::all(&mut builder);
    streams::all(&mut builder);
    pathologies::all(&mut builder);
    builder.pause(100_000_000);
    let (ends, at) = builder.begin(false);
    builder.udp(ends, at, true, Message::query(1, &name(LAST), 1).0);
    let mut packets = builder.packets;
    packets.sort_by_key(|packet| packet.time_ns);
    packets
}

/// Both ends of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
}

/// The corpus while it grows.
pub(crate) struct Builder {
    pub(crate) rng: Rng,
    packets: Vec<Packet>,
    now_ns: u64,
    exchanges: u32,
}

impl Builder {
    /// A client that has not been there before, and when its exchange begins.
    pub(crate) fn begin(&mut self, v6: bool) -> (Ends, u64) {
        self.exchanges += 1;
        let [_, a, b, c] = self.exchanges.to_be_bytes();
        let (client, server) = if v6 {
            let client = Ipv6Addr::from([
                0xfd09,
                0,
                0,
                0,
                0,
                1,
                u16::from(a),
                u16::from_be_bytes([b, c]),
            ]);
            let server = Ipv6Addr::from([0xfd09, 0, 0, 0, 0, 0, 0, 0x53]);
            (IpAddr::V6(client), IpAddr::V6(server))
        } else {
            let client = Ipv4Addr::new(10, 9 + a, b, c);
            (IpAddr::V4(client), IpAddr::V4(Ipv4Addr::new(10, 8, 0, 53)))
        };
        self.now_ns += self.rng.range(1_000, PACE_NS);
        let port = self.rng.range(10_000, 60_000) as u16;
        let ends = Ends {
            client: SocketAddr::new(client, port),
            server: SocketAddr::new(server, DNS),
        };
        (ends, self.now_ns)
    }

    /// Nothing happens for so long, nanoseconds.
    pub(crate) const fn pause(&mut self, time_ns: u64) {
        self.now_ns += time_ns;
    }

    /// Time from a query to its response.
    pub(crate) fn latency(&mut self) -> u64 {
        self.rng.range(10_000, 30_000_000)
    }

    pub(crate) fn packet(&mut self, packet: Packet) {
        self.packets.push(packet);
    }

    pub(crate) fn udp(&mut self, ends: Ends, time_ns: u64, from_client: bool, payload: Vec<u8>) {
        let (source, destination) = if from_client {
            (ends.client, ends.server)
        } else {
            (ends.server, ends.client)
        };
        self.packet(Packet {
            time_ns,
            source,
            destination,
            transport: Transport::Udp,
            payload,
            from_client,
        });
    }

    /// A query and its response by datagrams.
    pub(crate) fn lookup(&mut self, query: Vec<u8>, response: Vec<u8>) -> (Ends, u64) {
        let v6 = self.rng.one_in(2);
        let (ends, at) = self.begin(v6);
        self.udp(ends, at, true, query);
        let later = at + self.latency();
        self.udp(ends, later, false, response);
        (ends, later)
    }
}
