//! Read-only globals of the object, set by the loader before the program is verified. The verifier
//! knows their values and removes the branches that they rule out.

/// Symbol of the port set: `[u16; PORTS_MAX]` in machine byte order, unused slots 0 and last.
pub const GLOBAL_PORTS: &str = "DNS_PORTS";
/// Symbol of the snap length: `u32`, bytes of payload to copy, 1 to [`crate::PAYLOAD_MAX`].
pub const GLOBAL_SNAP_LEN: &str = "DNS_SNAP_LEN";
/// Symbol of the cookie of the network namespace of every interface that the tc, TCX and XDP programs
/// are attached to: `u64`, as `SO_NETNS_COOKIE` tells (Linux 5.14). 0, the default, makes the programs
/// read it from the device of each message, which costs three reads of kernel memory.
pub const GLOBAL_NETNS_COOKIE: &str = "DNS_NETNS_COOKIE";

/// Symbol of the sampling rate: `u32`, 1 to [`SAMPLE_MAX`]. One lookup in so many is captured, chosen by
/// a hash of client, server and id, so that query and response stay together; over TCP one connection
/// in so many. 0 is taken for 1.
pub const GLOBAL_SAMPLE: &str = "DNS_SAMPLE";
/// Symbol of the selection: `u32`, one of `SELECT_*`.
pub const GLOBAL_SELECT: &str = "DNS_SELECT";

/// Largest sampling rate.
pub const SAMPLE_MAX: u32 = u16::MAX as u32;
/// [`GLOBAL_SELECT`]: every message.
pub const SELECT_ALL: u8 = 0;
/// [`GLOBAL_SELECT`]: of datagrams, responses only. Segments of TCP are always captured: where messages
/// begin in them only the reader knows.
pub const SELECT_RESPONSES: u8 = 1;
/// [`GLOBAL_SELECT`]: of datagrams, only responses with a code other than NOERROR and NXDOMAIN (RFC 1035,
/// section 4.1.1), likewise.
pub const SELECT_FAILURES: u8 = 2;

/// Slots in the port set.
pub const PORTS_MAX: usize = 8;
/// DNS (RFC 1035), mDNS (RFC 6762) and LLMNR (RFC 4795).
pub const DEFAULT_PORTS: [u16; PORTS_MAX] = [53, 5353, 5355, 0, 0, 0, 0, 0];
