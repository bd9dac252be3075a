//! Encrypted DNS on its own port: DNS over TLS (RFC 7858, section 3.1), over QUIC (RFC 9250, section
//! 4.1.1) and over DTLS (RFC 8094, section 3.1). What is asked there cannot be seen; that somebody asks
//! can, and is counted, so that a silent trace is not taken for a quiet host. DNS over HTTPS looks like
//! any other HTTPS, but [`bootstrap`] knows lookups that lead there.
//!
//! The kernel part captures the port only if `load --ports` names it.

use dns_trace_event::{TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};
use lru::LruCache;
use serde::Serialize;

use crate::record::{Packet, Transport};

pub mod bootstrap;

use bootstrap::Bootstraps;

/// The port of all three.
pub const PORT: u16 = 853;
/// Most connections remembered; the one that has been silent longest makes room.
const CONNECTIONS_MAX: usize = 8192;
/// A client's port over UDP that was silent for so long belongs to another connection, nanoseconds of
/// kernel time. Implementations of QUIC give up an idle connection after 30 s (RFC 9000, section 10.1,
/// leaves it to them).
const IDLE_NS: u64 = 60_000_000_000;

/// Counters of encrypted DNS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EncryptedCounts {
    /// Packets on port 853; those of TCP that only acknowledge are left out by the kernel part.
    pub packets: u64,
    /// Connections over TCP: DNS over TLS. One that had begun before is counted at its first data.
    pub tcp_connections: u64,
    /// Clients' ports over UDP: DNS over QUIC, or over DTLS. One that was silent for 60 s is counted
    /// anew.
    pub udp_connections: u64,
    /// Connections that had to make room; one of them is counted again if it goes on.
    pub forgotten: u64,
    /// Lookups that lead to encrypted DNS, on any port.
    pub bootstraps: Bootstraps,
}

/// Both ends of a connection, as one hook sees it, or as all devices of a host do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    netns_cookie: u64,
    ifindex: u32,
    host_wide: bool,
    transport: Transport,
    client: ([u8; 16], u16),
    server: ([u8; 16], u16),
}

impl Key {
    fn of(packet: &Packet<'_>) -> Self {
        let source = (packet.source, packet.source_port);
        let destination = (packet.destination, packet.destination_port);
        let from_server = match (packet.source_port, packet.destination_port) {
            // Either may be the client; what counts is that both ways are one connection.
            (PORT, PORT) => source > destination,
            (source, _) => source == PORT,
        };
        let (client, server) = if from_server {
            (destination, source)
        } else {
            (source, destination)
        };
        let (netns_cookie, ifindex) = packet.place();
        Self {
            netns_cookie,
            ifindex,
            host_wide: packet.hook.host_wide(),
            transport: packet.transport,
            client,
            server,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    last_ns: u64,
    /// Sequence number of the client's SYN, if it was seen.
    syn: Option<u32>,
    ended: bool,
}

/// Connections that have been counted.
#[derive(Debug)]
pub struct Encrypted {
    connections: LruCache<Key, Connection>,
    counts: EncryptedCounts,
}

/// Whether a packet belongs here.
#[must_use]
pub const fn is_encrypted(packet: &Packet<'_>) -> bool {
    packet.source_port == PORT || packet.destination_port == PORT
}

impl Encrypted {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connections: LruCache::unbounded(),
            counts: EncryptedCounts::default(),
        }
    }

    /// The counters.
    #[must_use]
    pub const fn counts(&self) -> EncryptedCounts {
        self.counts
    }

    /// Takes in a packet.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.counts.packets += 1;
        let key = Key::of(packet);
        match packet.transport {
            Transport::Udp => self.datagram(key, packet.time_ns),
            Transport::Tcp => self.segment(key, packet),
        }
    }

    fn datagram(&mut self, key: Key, time_ns: u64) {
        if let Some(connection) = self.connections.get_mut(&key) {
            let silent = time_ns.saturating_sub(connection.last_ns);
            connection.last_ns = connection.last_ns.max(time_ns);
            self.counts.udp_connections += u64::from(silent > IDLE_NS);
            return;
        }
        self.counts.udp_connections += 1;
        self.remember(key, time_ns, None);
    }

    fn segment(&mut self, key: Key, packet: &Packet<'_>) {
        let has = |flag| packet.tcp_flags & flag != 0;
        let syn = (has(TCP_SYN) && !has(TCP_ACK)).then_some(packet.tcp_seq);
        let ends = has(TCP_FIN) || has(TCP_RST);
        let new = match self.connections.get_mut(&key) {
            // A SYN sent again has the same number.
            Some(connection) => syn.is_some_and(|seq| connection.syn != Some(seq)),
            // The end of a connection is none.
            None => !ends || packet.wire_len > 0,
        };
        if new {
            self.counts.tcp_connections += 1;
            self.remember(key, packet.time_ns, syn);
        }
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.last_ns = packet.time_ns;
            connection.ended |= ends;
        }
    }

    fn remember(&mut self, key: Key, last_ns: u64, syn: Option<u32>) {
        let connection = Connection {
            last_ns,
            syn,
            ended: false,
        };
        self.connections.put(key, connection);
        if self.connections.len() > CONNECTIONS_MAX
            && let Some((_, connection)) = self.connections.pop_lru()
        {
            self.counts.forgotten += u64::from(!connection.ended);
        }
    }
}

impl Default for Encrypted {
    fn default() -> Self {
        Self::new()
    }
}
