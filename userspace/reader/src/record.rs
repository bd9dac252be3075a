//! Records of the ring, decoded from bytes that may be anything: every length and every number is
//! checked before it is believed. Nothing here knows DNS.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use dns_trace_event as event;
use event::{Kind, OwnerRecord, PacketHeader};
use thiserror::Error;
use zerocopy::FromBytes;

use crate::process::Comm;

/// Why a record cannot be decoded. The kernel program never writes such a record; one means that
/// the reader and the program disagree about the contract.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// Fewer bytes than a header.
    #[error("record of {0} bytes is shorter than its header")]
    Short(usize),
    /// Another version of the contract.
    #[error("record of ABI {0}, this reader speaks {abi}", abi = event::ABI_VERSION)]
    Abi(u16),
    /// No `KIND_*`.
    #[error("record of unknown kind {0}")]
    Kind(u8),
    /// A header field holds a number that the contract does not name.
    #[error("record with unknown {field} {value}")]
    Field {
        /// Name of the field in [`PacketHeader`].
        field: &'static str,
        /// Its value.
        value: u8,
    },
    /// `captured_len` points beyond the record or is more than `wire_len`.
    #[error("record claims {claimed} bytes of payload where {room} fit")]
    Payload {
        /// The claim.
        claimed: u32,
        /// What the record or the packet holds.
        room: usize,
    },
}

/// Where a packet was seen, as the contract's `HOOK_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Hook {
    /// TCX.
    Tcx = event::HOOK_TCX,
    /// tc with a clsact queueing discipline.
    Tc = event::HOOK_TC,
    /// XDP.
    Xdp = event::HOOK_XDP,
    /// Tracepoint `net:net_dev_queue`.
    DevQueue = event::HOOK_DEV_QUEUE,
    /// Tracepoint `net:netif_receive_skb`.
    ReceiveSkb = event::HOOK_RECEIVE_SKB,
}

impl Hook {
    const fn from_wire(value: u8) -> Option<Self> {
        Some(match value {
            event::HOOK_TCX => Self::Tcx,
            event::HOOK_TC => Self::Tc,
            event::HOOK_XDP => Self::Xdp,
            event::HOOK_DEV_QUEUE => Self::DevQueue,
            event::HOOK_RECEIVE_SKB => Self::ReceiveSkb,
            _ => return None,
        })
    }

    /// Name in output and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Tc => "tc",
            Self::Xdp => "xdp",
            Self::DevQueue => "net_dev_queue",
            Self::ReceiveSkb => "netif_receive_skb",
        }
    }

    /// Whether the hook watches the whole host rather than one device. Query and response are
    /// matched within one such family only: seen by both, a message would be taken for a
    /// retransmission of itself.
    #[must_use]
    pub const fn host_wide(self) -> bool {
        matches!(self, Self::DevQueue | Self::ReceiveSkb)
    }
}

/// Which way the packet went through the device, as the contract's `DIRECTION_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// The device received it.
    Ingress = event::DIRECTION_INGRESS,
    /// The device sends it.
    Egress = event::DIRECTION_EGRESS,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }

    /// As the records of ECS have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// Which messages the kernel part captures, as the contract's `SELECT_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Select {
    /// Every one.
    #[default]
    All = event::SELECT_ALL,
    /// Of datagrams, responses.
    Responses = event::SELECT_RESPONSES,
    /// Of datagrams, responses that tell of a failure.
    Failures = event::SELECT_FAILURES,
}

impl Select {
    const fn from_wire(value: u8) -> Option<Self> {
        Some(match value {
            event::SELECT_ALL => Self::All,
            event::SELECT_RESPONSES => Self::Responses,
            event::SELECT_FAILURES => Self::Failures,
            _ => return None,
        })
    }
}

/// Transport of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    /// A datagram: one message.
    Udp = event::L4_UDP,
    /// A segment of a stream.
    Tcp = event::L4_TCP,
}

impl Transport {
    /// ECS `network.transport`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// A record of any kind.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// A socket and its process.
    Owner(Owner),
}

impl<'a> Record<'a> {
    /// Decodes a record.
    ///
    /// # Errors
    /// [`RecordError`] for bytes that no program of this contract writes.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let [abi @ .., kind] = bytes
            .first_chunk::<3>()
            .ok_or(RecordError::Short(bytes.len()))?;
        let abi = u16::from_ne_bytes(*abi);
        if abi != event::ABI_VERSION {
            return Err(RecordError::Abi(abi));
        }
        match Kind::from_wire(*kind).ok_or(RecordError::Kind(*kind))? {
            Kind::Packet => Packet::decode(bytes).map(Self::Packet),
            Kind::Owner => Owner::decode(bytes).map(Self::Owner),
        }
    }
}

/// A socket and the process that sends through it, as an owner program saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time_ns: u64,
    /// Cookie of the socket, as in [`Packet::socket_cookie`].
    pub socket_cookie: u64,
    /// Cgroup v2 id of the process.
    pub cgroup_id: u64,
    /// Process id, in the initial namespace.
    pub pid: u32,
    /// Real user id, likewise.
    pub uid: u32,
    /// Name of the process.
    pub name: Comm,
}

impl Owner {
    fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let short = |_| RecordError::Short(bytes.len());
        let (record, _) = OwnerRecord::read_from_prefix(bytes).map_err(short)?;
        Ok(Self {
            time_ns: record.time_ns,
            socket_cookie: record.socket_cookie,
            cgroup_id: record.cgroup_id,
            pid: record.pid,
            uid: record.uid,
            name: Comm::new(record.comm),
        })
    }
}

/// One packet, as a capture program saw it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time_ns: u64,
    /// Where it was seen.
    pub hook: Hook,
    /// Which way it went.
    pub direction: Direction,
    /// How it travelled.
    pub transport: Transport,
    /// Cookie of the device's network namespace, 0 if unknown.
    pub netns_cookie: u64,
    /// Cookie of the socket that sent it, 0 if there is none or the hook cannot tell.
    pub socket_cookie: u64,
    /// Cgroup v2 id of that socket, 0 likewise.
    pub cgroup_id: u64,
    /// Index of the device in that namespace.
    pub ifindex: u32,
    /// Source address as in the record: IPv6 or IPv4-mapped.
    pub source: [u8; 16],
    /// Destination address, likewise.
    pub destination: [u8; 16],
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// TCP sequence number of the first byte of payload, or of the SYN; 0 for UDP.
    pub tcp_seq: u32,
    /// Union of the contract's `TCP_*`; 0 for UDP.
    pub tcp_flags: u8,
    /// Bytes of payload on the wire.
    pub wire_len: u32,
    /// It stands for so many lookups: one in so many is captured. At least 1.
    pub sample: u16,
    /// What the kernel part leaves out of each lookup.
    pub select: Select,
    /// The payload is shorter than on the wire, or the rest travels in later fragments.
    pub cut: bool,
    /// Transport payload.
    pub payload: &'a [u8],
}

/// The loopback device has this index in every network namespace (`LOOPBACK_IFINDEX`).
pub const LOOPBACK_IFINDEX: u32 = 1;

impl<'a> Packet<'a> {
    /// Where it came from.
    #[must_use]
    pub const fn from(&self) -> Endpoint {
        Endpoint {
            address: self.source,
            port: self.source_port,
        }
    }

    /// Where it goes.
    #[must_use]
    pub const fn to(&self) -> Endpoint {
        Endpoint {
            address: self.destination,
            port: self.destination_port,
        }
    }

    /// Network namespace and device within which messages are of one lookup. To a host-wide hook that
    /// is the host, and both are 0; but what stays within a namespace is that namespace's.
    #[must_use]
    pub fn place(&self) -> (u64, u32) {
        if !self.hook.host_wide() {
            return (self.netns_cookie, self.ifindex);
        }
        let stays = self.ifindex == LOOPBACK_IFINDEX
            || address(self.source).is_loopback()
            || address(self.destination).is_loopback();
        (if stays { self.netns_cookie } else { 0 }, 0)
    }

    /// Decodes a record.
    ///
    /// # Errors
    /// [`RecordError`] for bytes that no program of this contract writes.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let short = || RecordError::Short(bytes.len());
        let (header, rest) = PacketHeader::read_from_prefix(bytes).map_err(|_| short())?;
        if header.abi != event::ABI_VERSION {
            return Err(RecordError::Abi(header.abi));
        }
        if header.kind != event::KIND_PACKET {
            return Err(RecordError::Kind(header.kind));
        }
        let claimed = header.captured_len;
        let beyond = |room| RecordError::Payload { claimed, room };
        if claimed > header.wire_len {
            return Err(beyond(header.wire_len as usize));
        }
        let payload = rest
            .get(..claimed as usize)
            .ok_or_else(|| beyond(rest.len()))?;
        let unknown = |field, value| RecordError::Field { field, value };
        Ok(Self {
            time_ns: header.time_ns,
            hook: Hook::from_wire(header.hook).ok_or_else(|| unknown("hook", header.hook))?,
            direction: match header.direction {
                event::DIRECTION_INGRESS => Direction::Ingress,
                event::DIRECTION_EGRESS => Direction::Egress,
                other => return Err(unknown("direction", other)),
            },
            transport: match header.l4 {
                event::L4_UDP => Transport::Udp,
                event::L4_TCP => Transport::Tcp,
                other => return Err(unknown("l4", other)),
            },
            netns_cookie: header.netns_cookie,
            socket_cookie: header.socket_cookie,
            cgroup_id: header.cgroup_id,
            ifindex: header.ifindex,
            source: header.source,
            destination: header.destination,
            source_port: header.source_port,
            destination_port: header.destination_port,
            tcp_seq: header.tcp_seq,
            tcp_flags: header.tcp_flags,
            wire_len: header.wire_len,
            sample: header.sample.max(1),
            select: Select::from_wire(header.select)
                .ok_or_else(|| unknown("select", header.select))?,
            cut: header.flags & (event::FLAG_TRUNCATED | event::FLAG_FRAGMENT) != 0,
            payload,
        })
    }
}

/// The address of 16 bytes of a record: IPv4 where it is IPv4-mapped.
#[must_use]
pub fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

/// An address as in a record, and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// IPv6 or IPv4-mapped.
    pub address: [u8; 16],
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// The address: IPv4 where it is IPv4-mapped.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        address(self.address)
    }

    /// Both, as the standard library has them.
    #[must_use]
    pub fn socket(self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.port)
    }
}
