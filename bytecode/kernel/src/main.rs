//! The kernel programs of dns-trace: find DNS, stamp it, copy it, submit it, and pass the traffic on
//! untouched. No state between packets, no parsing of names, no latency here: whatever can be
//! computed without privilege is computed by the reader.
//!
//! This room holds the entry points only. The route of a packet: [`fast`] or [`parse`] find the
//! transport payload, [`capture`] copies it into a record, [`doorbell`] wakes the reader if it must. Who
//! sent it stands in a record before, by [`owner`].
#![no_std]
#![no_main]
// Stable Rust has no inline assembly for BPF; one `asm!` pins a bound that the verifier must see.
#![feature(asm_experimental_arch)]

mod capture;
mod core_access;
mod doorbell;
mod fast;
mod hook;
mod maps;
mod owner;
mod packet;
mod parse;
mod select;
mod settings;
mod source;
mod straight;

use aya_ebpf::{
    bindings::{TC_ACT_PIPE, xdp_action},
    macros::{classifier, fentry, tracepoint, xdp},
    programs::{FEntryContext, TcContext, TracePointContext, XdpContext},
};
use dns_trace_event as event;

/// TCX: the next program of the hook decides (`enum tcx_action_base`, Linux 6.6).
const TCX_NEXT: i32 = -1;

/// Both directions of a TCX hook; Linux 6.6.
#[classifier]
pub fn dns_tcx(context: TcContext) -> i32 {
    hook::tcx(context.skb.skb);
    TCX_NEXT
}

/// Ingress of a clsact queueing discipline; Linux 5.8 (the ring buffer).
#[classifier]
pub fn dns_tc_ingress(context: TcContext) -> i32 {
    hook::tc(context.skb.skb, event::DIRECTION_INGRESS);
    TC_ACT_PIPE
}

/// Egress of a clsact queueing discipline; Linux 5.8.
#[classifier]
pub fn dns_tc_egress(context: TcContext) -> i32 {
    hook::tc(context.skb.skb, event::DIRECTION_EGRESS);
    TC_ACT_PIPE
}

/// XDP; Linux 5.8. Sees what the device receives, never what it sends.
#[xdp]
pub fn dns_xdp(context: XdpContext) -> u32 {
    hook::xdp(context.ctx);
    xdp_action::XDP_PASS
}

/// Tracepoint `net:net_dev_queue` (`TP_PROTO(struct sk_buff *skb)`): a packet enters the queue of a
/// device, in any network namespace; Linux 5.8.
#[tracepoint(category = "net", name = "net_dev_queue")]
pub fn dns_dev_queue(context: TracePointContext) -> u32 {
    hook::tracepoint(&context, event::HOOK_DEV_QUEUE, event::DIRECTION_EGRESS);
    0
}

/// Tracepoint `net:netif_receive_skb` (`TP_PROTO(struct sk_buff *skb)`): a packet leaves a driver
/// for the network stack, in any network namespace; Linux 5.8.
#[tracepoint(category = "net", name = "netif_receive_skb")]
pub fn dns_receive_skb(context: TracePointContext) -> u32 {
    hook::tracepoint(&context, event::HOOK_RECEIVE_SKB, event::DIRECTION_INGRESS);
    0
}

/// Entry of `udp_sendmsg(struct sock *sk, struct msghdr *msg, size_t len)`; Linux 5.12.
#[fentry(function = "udp_sendmsg")]
pub fn own_udp_send(context: FEntryContext) -> u32 {
    owner::announce(&context);
    0
}

/// Entry of `udpv6_sendmsg`, with the same arguments; Linux 5.12.
#[fentry(function = "udpv6_sendmsg")]
pub fn own_udpv6_send(context: FEntryContext) -> u32 {
    owner::announce(&context);
    0
}

/// Entry of `tcp_sendmsg`, with the same arguments; Linux 5.12.
#[fentry(function = "tcp_sendmsg")]
pub fn own_tcp_send(context: FEntryContext) -> u32 {
    owner::announce(&context);
    0
}

/// Dual licensed as the file headers say: helpers that read kernel memory are for GPL programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
