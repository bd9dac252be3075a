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

/// LRU hash: socket cookie to [`crate::Announced`], so that an owner is told once.
pub const MAP_OWNERS: &str = "dns_owners";

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

/// fentry of `udp_sendmsg`: who sends over UDP and IPv4; Linux 5.12, which lets such a program ask for a
/// socket's cookie.
pub const PROG_OWN_UDP: &str = "own_udp_send";
/// fentry of `udpv6_sendmsg`: over IPv6; Linux 5.12.
pub const PROG_OWN_UDP6: &str = "own_udpv6_send";
/// fentry of `tcp_sendmsg`: over TCP; Linux 5.12.
pub const PROG_OWN_TCP: &str = "own_tcp_send";

/// Every program that tells which process a socket belongs to, with the kernel function at whose entry
/// it runs.
pub const OWNER_PROGRAMS: [(&str, &str); 3] = [
    (PROG_OWN_UDP, "udp_sendmsg"),
    (PROG_OWN_UDP6, "udpv6_sendmsg"),
    (PROG_OWN_TCP, "tcp_sendmsg"),
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
const _: () = assert!(all_fit(&[PROG_OWN_UDP, PROG_OWN_UDP6, PROG_OWN_TCP]));
const _: () = assert!(all_fit(&[MAP_EVENTS, MAP_STATS, MAP_CONTROL, MAP_OWNERS]));
