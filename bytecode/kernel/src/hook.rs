//! One function a kind of hook: where its packets start, what it knows beside them.

use crate::{
    capture::{Place, capture},
    core_access, fast, maps,
    packet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, Transport},
    parse::{self, Start, equal, select},
    source::{Linear, Skb, Source, Xdp},
};
use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_get_socket_cookie, bpf_skb_cgroup_id},
    programs::TracePointContext,
};
use core::ffi::c_void;
use dns_trace_event::{self as event, DIRECTION_EGRESS, DIRECTION_INGRESS, HOOK_XDP, Stats};

/// Devices with an Ethernet header: `ARPHRD_ETHER` and `ARPHRD_LOOPBACK`.
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;

const ETHERNET_HEADER: u32 = 14;
const ETHERTYPE_OFFSET: u32 = 12;

/// Direction at a hook that serves both. A packet that is sent came in on another device or on
/// none, except where it leaves by the device on which it came: then the kernel's own bit tells.
#[inline(always)]
pub fn skb_direction(skb: *mut __sk_buff) -> u8 {
    // SAFETY: the context of the program.
    let same = unsafe { (*skb).ingress_ifindex == (*skb).ifindex };
    if !same {
        return DIRECTION_EGRESS;
    }
    match core_access::skb_at_ingress(skb.cast::<c_void>()) {
        Some(0) => DIRECTION_EGRESS,
        _ => DIRECTION_INGRESS,
    }
}

/// tc and TCX.
#[inline(always)]
pub fn tc(skb: *mut __sk_buff, hook: u8, direction: u8) {
    let Some(stats) = maps::stats() else { return };
    stats.packets += 1;
    // SAFETY: the context of the program.
    let (data, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
    let source = Skb(skb);
    let transport = match fast::classify(data, end) {
        fast::Verdict::Other => return,
        fast::Verdict::Dns(transport) => Some(transport),
        fast::Verdict::Unsure => {
            skb_start(&source).and_then(|start| parse::transport(&source, start, stats))
        }
    };
    let Some(transport) = transport else { return };
    let kernel = skb.cast::<c_void>();
    let dev = core_access::skb_dev(kernel);
    // SAFETY: helpers on the context of the program.
    let place = unsafe {
        Place {
            hook,
            direction,
            ifindex: (*skb).ifindex,
            netns_cookie: dev.map_or(0, core_access::netns_cookie),
            socket_cookie: bpf_get_socket_cookie(kernel),
            cgroup_id: bpf_skb_cgroup_id(skb),
        }
    };
    report(&source, &place, &transport, stats);
}

/// XDP.
#[inline(always)]
pub fn xdp(context: *mut xdp_md) {
    let Some(stats) = maps::stats() else { return };
    stats.packets += 1;
    // SAFETY: the context of the program.
    let (data, end) = unsafe { ((*context).data as usize, (*context).data_end as usize) };
    let source = Xdp(context);
    let transport = match fast::classify(data, end) {
        fast::Verdict::Other => return,
        fast::Verdict::Dns(transport) => Some(transport),
        fast::Verdict::Unsure => {
            xdp_start(&source).and_then(|start| parse::transport(&source, start, stats))
        }
    };
    let Some(transport) = transport else { return };
    let dev = core_access::xdp_dev(context.cast::<c_void>());
    let place = Place {
        hook: HOOK_XDP,
        direction: DIRECTION_INGRESS,
        // SAFETY: the context of the program.
        ifindex: unsafe { (*context).ingress_ifindex },
        netns_cookie: dev.map_or(0, core_access::netns_cookie),
        socket_cookie: 0,
        cgroup_id: 0,
    };
    report(&source, &place, &transport, stats);
}

/// Tracepoints of class `net_dev_template`, whose record holds `void *skbaddr` at byte 8 (Linux 2.6
/// and later).
#[inline(always)]
pub fn tracepoint(context: &TracePointContext, hook: u8, direction: u8) {
    let Some(stats) = maps::stats() else { return };
    stats.packets += 1;
    // SAFETY: within the record.
    let Ok(skb) = (unsafe { context.read_at::<*const c_void>(8) }) else {
        return;
    };
    let Some((source, start)) = linear(skb, hook) else {
        return;
    };
    let Some(transport) = parse::transport(&source, start, stats) else {
        return;
    };
    let dev = core_access::skb_dev(skb);
    let place = Place {
        hook,
        direction,
        ifindex: dev.and_then(core_access::dev_ifindex).unwrap_or(0),
        netns_cookie: dev.map_or(0, core_access::netns_cookie),
        socket_cookie: core_access::skb_sk(skb)
            .filter(|sk| !sk.is_null())
            .and_then(core_access::sock_cookie)
            .unwrap_or(0),
        cgroup_id: 0,
    };
    report(&source, &place, &transport, stats);
}

#[inline(always)]
fn report<S: Source>(source: &S, place: &Place, transport: &Transport, stats: &mut Stats) {
    let Some(words) = parse::header_words(source, transport) else {
        stats.malformed += 1;
        return;
    };
    if let Some(payload) = transport.payload(words, source.len(), stats) {
        capture(source, place, transport, &payload, stats);
    }
}

/// Where the packet starts at tc: at the link-layer header, if the device has one. Without branches,
/// as all of [`parse`].
#[inline(always)]
fn skb_start(source: &Skb) -> Option<Start> {
    let kind = core_access::skb_dev(source.0.cast::<c_void>())
        .and_then(core_access::dev_type)
        .unwrap_or(ARPHRD_ETHER);
    let ethernet = equal(kind, ARPHRD_ETHER) | equal(kind, ARPHRD_LOOPBACK);
    // SAFETY: the context of the program.
    let protocol = unsafe { (*source.0).protocol } as u16;
    let in_header: u16 = source.load(ETHERTYPE_OFFSET)?;
    Some(Start {
        offset: ethernet * ETHERNET_HEADER,
        ethertype: u16::from_be(select(ethernet, in_header, protocol)),
    })
}

/// Where the frame starts at XDP, which has Ethernet devices only.
#[inline(always)]
fn xdp_start(source: &Xdp) -> Option<Start> {
    let ethertype = u16::from_be(source.load(ETHERTYPE_OFFSET)?);
    Some(Start {
        offset: ETHERNET_HEADER,
        ethertype,
    })
}

/// The linear part of a packet at a tracepoint, and where it starts. `net_dev_queue` sees the packet
/// from its link-layer header on, with `network_header` set; `netif_receive_skb` sees it from its
/// network header on, which is not yet recorded.
#[inline(always)]
fn linear(skb: *const c_void, hook: u8) -> Option<(Linear, Start)> {
    let len = core_access::skb_len(skb)?;
    let in_pages = core_access::skb_data_len(skb)?;
    let data = core_access::skb_data(skb)? as usize;
    let ethertype = u16::from_be(core_access::skb_protocol(skb)?);
    let skipped = if hook == event::HOOK_DEV_QUEUE {
        let network = core_access::skb_head(skb)? as usize
            + usize::from(core_access::skb_network_header(skb)?);
        network.checked_sub(data)? as u32
    } else {
        0
    };
    let source = Linear {
        origin: (data + skipped as usize) as *const u8,
        len: len.checked_sub(skipped)?,
        linear: len.checked_sub(in_pages)?.checked_sub(skipped)?,
    };
    let ethertype = if hook == event::HOOK_DEV_QUEUE && ethertype == ETHERTYPE_VLAN {
        // The tag lies between the two headers; the version of the IP header tells what follows.
        match source.load::<u8>(0)? >> 4 {
            6 => ETHERTYPE_IPV6,
            _ => ETHERTYPE_IPV4,
        }
    } else {
        ethertype
    };
    Some((
        source,
        Start {
            offset: 0,
            ethertype,
        },
    ))
}
