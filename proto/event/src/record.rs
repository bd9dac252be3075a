//! Records of the ring buffer. Each starts with [`PacketHeader::abi`] and [`PacketHeader::kind`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// [`PacketHeader::hook`]: TCX.
pub const HOOK_TCX: u8 = 1;
/// [`PacketHeader::hook`]: tc, a filter of a clsact queueing discipline.
pub const HOOK_TC: u8 = 2;
/// [`PacketHeader::hook`]: XDP.
pub const HOOK_XDP: u8 = 3;
/// [`PacketHeader::hook`]: tracepoint `net:net_dev_queue`.
pub const HOOK_DEV_QUEUE: u8 = 4;
/// [`PacketHeader::hook`]: tracepoint `net:netif_receive_skb`.
pub const HOOK_RECEIVE_SKB: u8 = 5;

/// [`PacketHeader::direction`]: the device received the packet.
pub const DIRECTION_INGRESS: u8 = 1;
/// [`PacketHeader::direction`]: the device sends the packet.
pub const DIRECTION_EGRESS: u8 = 2;

/// [`PacketHeader::flags`]: `captured_len` is less than `wire_len`.
pub const FLAG_TRUNCATED: u8 = 1;
/// [`PacketHeader::flags`]: first fragment of an IP packet; the rest of the payload travels in
/// later fragments and is not captured.
pub const FLAG_FRAGMENT: u8 = 2;

/// [`PacketHeader::l4`]: IP protocol number of TCP.
pub const L4_TCP: u8 = 6;
/// [`PacketHeader::l4`]: IP protocol number of UDP.
pub const L4_UDP: u8 = 17;

/// [`PacketHeader::tcp_flags`]: FIN (RFC 9293, section 3.1).
pub const TCP_FIN: u8 = 0x01;
/// [`PacketHeader::tcp_flags`]: SYN.
pub const TCP_SYN: u8 = 0x02;
/// [`PacketHeader::tcp_flags`]: RST.
pub const TCP_RST: u8 = 0x04;
/// [`PacketHeader::tcp_flags`]: PSH.
pub const TCP_PSH: u8 = 0x08;
/// [`PacketHeader::tcp_flags`]: ACK.
pub const TCP_ACK: u8 = 0x10;

/// Most bytes of payload that a record carries.
pub const PAYLOAD_MAX: u32 = 4096;
/// Room for payload in a record, by class: the smallest class that holds the payload is reserved,
/// so that a 60-byte query does not cost a 4 KiB reservation. Nearly every query fits the first,
/// most responses the second, and the third holds what EDNS carries without fragments (1232 bytes,
/// RFC 9715).
pub const PAYLOAD_CLASSES: [u32; 4] = [96, 320, 1280, PAYLOAD_MAX];

/// Head of a packet record.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct PacketHeader {
    /// [`crate::ABI_VERSION`] of the program that wrote the record.
    pub abi: u16,
    /// [`crate::KIND_PACKET`].
    pub kind: u8,
    /// `HOOK_*`: where the packet was seen.
    pub hook: u8,
    /// `DIRECTION_*`.
    pub direction: u8,
    /// Union of `FLAG_*`.
    pub flags: u8,
    /// `L4_TCP` or `L4_UDP`.
    pub l4: u8,
    /// Union of `TCP_*`; 0 for UDP.
    pub tcp_flags: u8,
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub time_ns: u64,
    /// Cookie of the network namespace of the device; 0 where the kernel does not tell.
    pub netns_cookie: u64,
    /// Cookie of the socket that sent the packet (`bpf_get_socket_cookie`); 0 where there is none
    /// or the hook cannot tell.
    pub socket_cookie: u64,
    /// Cgroup v2 id of that socket; 0 likewise.
    pub cgroup_id: u64,
    /// Source address: 16 bytes of IPv6, or IPv4 as an IPv4-mapped address
    /// (RFC 4291, section 2.5.5.2).
    pub source: [u8; 16],
    /// Destination address, likewise.
    pub destination: [u8; 16],
    /// Index of the device in its namespace.
    pub ifindex: u32,
    /// TCP sequence number of the first byte of payload (of the SYN itself for a SYN); 0 for UDP.
    pub tcp_seq: u32,
    /// Bytes of transport payload that the packet carries, by its IP and transport headers.
    pub wire_len: u32,
    /// Bytes of payload in this record.
    pub captured_len: u32,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// [`crate::GLOBAL_SAMPLE`] as of this record; the lookup stands for so many. 0 means 1.
    pub sample: u16,
    /// [`crate::GLOBAL_SELECT`] as of this record.
    pub select: u8,
    /// Always 0.
    pub padding: u8,
}

const _: () = assert!(size_of::<PacketHeader>() == 96);
const _: () = assert!(align_of::<PacketHeader>() == 8);
const _: () = assert!(core::mem::offset_of!(PacketHeader, time_ns) == 8);
const _: () = assert!(core::mem::offset_of!(PacketHeader, source) == 40);
const _: () = assert!(core::mem::offset_of!(PacketHeader, ifindex) == 72);
const _: () = assert!(core::mem::offset_of!(PacketHeader, source_port) == 88);
