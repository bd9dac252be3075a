//! Which process a socket belongs to. The record stands in the ring before the packets that the process
//! sends, which carry the same cookie.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a process name, the last of them 0 (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;

/// Sockets that the programs remember to have announced. A reader should remember twice as many.
pub const OWNERS_MAX: u32 = 8192;

/// The process that sends through a socket to a DNS port. Written again when another process uses the
/// socket, when the process changes its name, and when [`crate::Control::epoch`] has changed.
///
/// A record that finds no room raises the epoch, so that a reader which compares the epoch after each
/// packet it takes never believes in an owner whose successor it missed.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct OwnerRecord {
    /// [`crate::ABI_VERSION`] of the program that wrote the record.
    pub abi: u16,
    /// [`crate::KIND_OWNER`].
    pub kind: u8,
    /// Always 0.
    pub padding: u8,
    /// Process id, in the initial namespace.
    pub pid: u32,
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub time_ns: u64,
    /// Cookie of the socket, as in [`crate::PacketHeader::socket_cookie`].
    pub socket_cookie: u64,
    /// Cgroup v2 id of the process.
    pub cgroup_id: u64,
    /// Thread id.
    pub tid: u32,
    /// Real user id, in the initial namespace.
    pub uid: u32,
    /// Name of the process (of its first thread), ended by 0.
    pub comm: [u8; COMM_LEN],
}

/// Value of the map [`crate::MAP_OWNERS`]: what was told of a socket last.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Announced {
    /// Process id.
    pub pid: u32,
    /// [`crate::Control::epoch`] at that time.
    pub epoch: u32,
    /// Name of the process, as two words.
    pub comm: [u64; 2],
}

const _: () = assert!(size_of::<OwnerRecord>() == 56);
const _: () = assert!(size_of::<Announced>() == 24);
