//! Names of programs and maps. They are part of the contract: bpfman pins maps by these names and
//! `bpfman load image --programs` selects programs by them. The kernel keeps 15 characters.

/// Name of the object file inside the image and on disk.
pub const OBJECT_NAME: &str = "dns_trace.bpf.o";

/// The ring buffer that carries every record.
pub const MAP_EVENTS: &str = "dns_events";
/// Per-CPU array with one entry of [`crate::Stats`].
pub const MAP_STATS: &str = "dns_stats";
/// Array of [`crate::CONTROL_ENTRIES`] entries of [`crate::Control`]; only entry 0 is used.
pub const MAP_CONTROL: &str = "dns_control";

/// TCX, both directions; Linux 6.6.
pub const PROG_TCX: &str = "dns_tcx";
/// tc (clsact), ingress; Linux 5.8.
pub const PROG_TC_INGRESS: &str = "dns_tc_ingress";
/// tc (clsact), egress; Linux 5.8.
pub const PROG_TC_EGRESS: &str = "dns_tc_egress";
/// XDP, which sees ingress only; Linux 5.8.
pub const PROG_XDP: &str = "dns_xdp";
/// Tracepoint `net:net_dev_queue`: every packet that any namespace hands to a device.
pub const PROG_DEV_QUEUE: &str = "dns_dev_queue";
/// Tracepoint `net:netif_receive_skb`: every packet that any namespace receives.
pub const PROG_RECEIVE_SKB: &str = "dns_receive_skb";

/// Every program that captures packets, in the order of the tables in ARCHITECTURE.md.
pub const CAPTURE_PROGRAMS: [&str; 6] = [
    PROG_TCX,
    PROG_TC_INGRESS,
    PROG_TC_EGRESS,
    PROG_XDP,
    PROG_DEV_QUEUE,
    PROG_RECEIVE_SKB,
];

const fn all_fit(names: &[&str]) -> bool {
    let mut i = 0;
    while i < names.len() {
        if names[i].len() > 15 {
            return false;
        }
        i += 1;
    }
    true
}

const _: () = assert!(all_fit(&CAPTURE_PROGRAMS));
const _: () = assert!(all_fit(&[MAP_EVENTS, MAP_STATS, MAP_CONTROL]));
