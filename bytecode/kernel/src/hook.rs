//! One function a kind of hook: where its packets start, what it knows beside them.

use crate::{
    capture::{Place, capture},
    core_access, fast, maps,
    packet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, Transport},
    parse::{self, Start},
    select, settings,
    source::{Linear, Skb, Source, Xdp, afresh},
    straight,
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

/// TCX, both directions.
#[inline(always)]
pub fn tcx(skb: *mut __sk_buff) {
    skb_hook(skb, event::HOOK_TCX, || either_direction(skb));
}

/// tc, one direction.
#[inline(always)]
pub fn tc(skb: *mut __sk_buff, direction: u8) {
    skb_hook(skb, event::HOOK_TC, || direction);
}

/// What tc and TCX share. The direction is asked for once the packet is known to be DNS.
#[inline(always)]
fn skb_hook(skb: *mut __sk_buff, hook: u8, direction: impl FnOnce() -> u8) {
    let Some(stats) = maps::stats() else { return };
    stats.packets += 1;
    // SAFETY: the context of the program.
    let (data, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
    let source = Skb(skb);
    let transport = match fast::classify(data, end, Some(|| source.len())) {
        fast::Verdict::Other => return,
        fast::Verdict::Dns(transport) => Some(transport),
        fast::Verdict::Unsure => {
            let source = Skb(afresh(skb));
            skb_start(&source).and_then(|start| parse::transport(&source, start, stats))
        }
    };
    let Some(transport) = transport else { return };
    let (socket_cookie, cgroup_id) = sender(skb);
    let place = Place {
        hook,
        direction: direction(),
        // SAFETY: the context of the program.
        ifindex: unsafe { (*skb).ifindex },
        netns_cookie: netns_cookie(|| core_access::skb_dev(skb.cast::<c_void>())),
        socket_cookie,
        cgroup_id,
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
    let transport = match fast::classify(data, end, None::<fn() -> u32>) {
        fast::Verdict::Other => return,
        fast::Verdict::Dns(transport) => Some(transport),
        fast::Verdict::Unsure => {
            let source = Xdp(afresh(context));
            xdp_start(&source).and_then(|start| parse::transport(&source, start, stats))
        }
    };
    let Some(transport) = transport else { return };
    // Before the place is written, not within: Linux 6.1 verifies half as much again otherwise;
    // for TCX it is the other way round.
    let netns_cookie = netns_cookie(|| core_access::xdp_dev(context.cast::<c_void>()));
    let place = Place {
        hook: HOOK_XDP,
        direction: DIRECTION_INGRESS,
        // SAFETY: the context of the program.
        ifindex: unsafe { (*context).ingress_ifindex },
        netns_cookie,
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
        // Nobody knows whether it was DNS.
        stats.unparsable += 1;
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
    if let Some(payload) = transport.payload(source.len(), stats)
        && select::wanted(source, transport, &payload, stats)
    {
        let unknown = stats.packets;
        capture(
            source,
            &place.forgotten(unknown),
            &transport.forgotten(unknown),
            &payload.forgotten(unknown),
            stats,
        );
    }
}

/// Cookie and cgroup id of the socket that sent the packet, (0, 0) without one. A packet that came in
/// by a wire has none, and two calls of helpers are saved.
#[inline(always)]
fn sender(skb: *mut __sk_buff) -> (u64, u64) {
    // SAFETY: the context of the program; the helpers take it as it is.
    unsafe {
        if (*skb).__bindgen_anon_2.sk.is_null() {
            return (0, 0);
        }
        (bpf_get_socket_cookie(skb.cast()), bpf_skb_cgroup_id(skb))
    }
}

/// Cookie of the network namespace, known at load or else read from the device, which is asked for
/// only then: each field on the way to it is a call.
#[inline(always)]
fn netns_cookie(dev: impl FnOnce() -> Option<*const c_void>) -> u64 {
    match settings::netns_cookie() {
        0 => dev().map_or(0, core_access::netns_cookie),
        known => known,
    }
}

/// Direction at a hook that serves both. A packet that is sent came in on another device or on
/// none, except where it leaves by the device on which it came: then the kernel's own bit tells.
#[inline(always)]
fn either_direction(skb: *mut __sk_buff) -> u8 {
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

/// Where the packet starts at tc: at the link-layer header, if the device has one. Without branches,
/// as all of [`parse`].
#[inline(always)]
fn skb_start(source: &Skb) -> Option<Start> {
    // SAFETY: the context of the program.
    let protocol = unsafe { (*source.0).protocol } as u16;
    if !may_hold_ip(u16::from_be(protocol)) {
        return None;
    }
    let kind = core_access::skb_dev(source.0.cast::<c_void>())
        .and_then(core_access::dev_type)
        .unwrap_or(ARPHRD_ETHER);
    let ethernet = straight::equal(kind, ARPHRD_ETHER) | straight::equal(kind, ARPHRD_LOOPBACK);
    let in_header: u16 = source.load(ETHERTYPE_OFFSET)?;
    Some(Start {
        offset: ethernet * ETHERNET_HEADER,
        ethertype: u16::from_be(straight::select(ethernet, in_header, protocol)),
    })
}

/// Ethertypes worth a closer look. ARP and the like end here.
#[inline(always)]
fn may_hold_ip(ethertype: u16) -> bool {
    matches!(
        ethertype,
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 | ETHERTYPE_VLAN | ETHERTYPE_QINQ
    )
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

/// The linear part of a packet at a tracepoint, and where it starts; `None` if the kernel lacks a field on
/// the way to it, or if its fields contradict each other. `net_dev_queue` sees the packet
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
