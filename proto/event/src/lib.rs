//! The contract between the kernel programs and every process that reads what they write: names,
//! records, counters, the doorbell, and the version of it all.
//!
//! No logic lives here. Everything is `repr(C)`, of fixed-width integers in the byte order of the
//! machine, with explicit padding, so that the kernel object and the reader cannot disagree; sizes
//! and offsets are proven at compile time. A change that an older reader would misread raises
//! [`ABI_VERSION`].
#![no_std]

mod bundle;
mod control;
mod kind;
mod names;
mod owner;
mod record;
mod settings;
mod stats;

pub use bundle::{
    BPFMAN_DIR, BUNDLE_ROOT, DEFAULT_GROUP, DEFAULT_INSTANCE, LINKS_DIR, LOCAL_DIR, RINGS_DIR,
};
pub use control::{
    CONTROL_ENTRIES, Control, FILL_MARK, READER_ASLEEP, READER_AWAKE, READER_NAPPING, RING_SIZE,
};
pub use kind::{KIND_OWNER, KIND_PACKET, Kind};
pub use names::{
    CAPTURE_PROGRAMS, MAP_CONTROL, MAP_EVENTS, MAP_OWNERS, MAP_STATS, OBJECT_NAME, OWNER_PROGRAMS,
    PROG_DEV_QUEUE, PROG_OWN_TCP, PROG_OWN_UDP, PROG_OWN_UDP6, PROG_RECEIVE_SKB, PROG_TC_EGRESS,
    PROG_TC_INGRESS, PROG_TCX, PROG_XDP,
};
pub use owner::{Announced, COMM_LEN, OWNERS_MAX, OwnerRecord};
pub use record::{
    DIRECTION_EGRESS, DIRECTION_INGRESS, FLAG_FRAGMENT, FLAG_TRUNCATED, HOOK_DEV_QUEUE,
    HOOK_RECEIVE_SKB, HOOK_TC, HOOK_TCX, HOOK_XDP, L4_TCP, L4_UDP, PAYLOAD_CLASSES, PAYLOAD_MAX,
    PacketHeader, TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN,
};
pub use settings::{
    DEFAULT_PORTS, GLOBAL_NETNS_COOKIE, GLOBAL_PORTS, GLOBAL_SAMPLE, GLOBAL_SELECT,
    GLOBAL_SNAP_LEN, PORTS_MAX, SAMPLE_MAX, SELECT_ALL, SELECT_FAILURES, SELECT_RESPONSES,
};
pub use stats::{STATS_NAMES, Stats};

/// Version of everything in this crate that crosses the kernel's border.
///
/// It stands in three places that a reader or a tool can see: in [`PacketHeader::abi`] of every
/// record, as the number of entries of the map [`MAP_CONTROL`] (readable before the first record
/// and without privilege), and in the image label `io.dns-trace.abi`.
pub const ABI_VERSION: u16 = 1;
