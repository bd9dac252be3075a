//! From a found payload to a record in the ring.

use crate::{
    doorbell, maps,
    packet::{Payload, Transport},
    settings,
    source::Source,
    straight::{bounded, forgotten, less, lesser},
};
use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::generated::{
        bpf_ktime_get_boot_ns, bpf_ringbuf_discard, bpf_ringbuf_reserve, bpf_ringbuf_submit,
    },
};
use dns_trace_event::{
    ABI_VERSION, FLAG_TRUNCATED, KIND_PACKET, PAYLOAD_CLASSES, PacketHeader, Stats,
};

/// What the hook knows beside the packet.
pub struct Place {
    pub hook: u8,
    pub direction: u8,
    pub ifindex: u32,
    pub netns_cookie: u64,
    pub socket_cookie: u64,
    pub cgroup_id: u64,
}

impl Place {
    /// See [`straight::forgotten`](crate::straight::forgotten).
    #[inline(always)]
    pub fn forgotten(&self, unknown: u64) -> Self {
        Self {
            hook: self.hook,
            direction: forgotten(self.direction.into(), unknown) as u8,
            ifindex: self.ifindex,
            netns_cookie: self.netns_cookie,
            socket_cookie: forgotten(self.socket_cookie, unknown),
            cgroup_id: forgotten(self.cgroup_id, unknown),
        }
    }
}

/// Reserves the smallest class that holds the payload, fills it and submits it; counts.
#[inline(always)]
pub fn capture<S: Source>(
    source: &S,
    place: &Place,
    transport: &Transport,
    payload: &Payload,
    stats: &mut Stats,
) {
    let snap_len = settings::snap_len();
    let len = lesser(payload.available, snap_len);
    let outcome = if len <= PAYLOAD_CLASSES[0] {
        record::<S, { PAYLOAD_CLASSES[0] }>(source, place, transport, payload, len)
    } else if len <= PAYLOAD_CLASSES[1] {
        record::<S, { PAYLOAD_CLASSES[1] }>(source, place, transport, payload, len)
    } else if len <= PAYLOAD_CLASSES[2] {
        record::<S, { PAYLOAD_CLASSES[2] }>(source, place, transport, payload, len)
    } else {
        record::<S, { PAYLOAD_CLASSES[3] }>(source, place, transport, payload, len)
    };
    match outcome {
        Outcome::Submitted => {
            stats.submitted += 1;
            stats.truncated += u64::from(is_cut(len, payload));
            doorbell::after_commit(stats.submitted);
        }
        Outcome::RingFull => stats.ring_full += 1,
        Outcome::Unreadable => stats.unreadable += 1,
    }
}

enum Outcome {
    Submitted,
    RingFull,
    Unreadable,
}

#[inline(always)]
fn record<S: Source, const CLASS: u32>(
    source: &S,
    place: &Place,
    transport: &Transport,
    payload: &Payload,
    len: u32,
) -> Outcome {
    const HEADER: usize = size_of::<PacketHeader>();
    // SAFETY: the size is a constant, as the verifier wants it.
    let room = unsafe { bpf_ringbuf_reserve(maps::ring(), HEADER as u64 + u64::from(CLASS), 0) };
    if room.is_null() {
        return Outcome::RingFull;
    }
    let header = room.cast::<PacketHeader>();
    // Read back from where the verifier keeps no values: that they are forgotten is enough for Linux 6.1, but
    // 6.12 and 6.18 would follow the copying once for each way through the headers all the same (two and five
    // times the work).
    // SAFETY: the reservation has room for the header, is aligned to 8 and all ours.
    let (len, offset) = unsafe {
        (*header).captured_len = len;
        (*header).wire_len = payload.offset;
        (
            core::ptr::read_volatile(&raw const (*header).captured_len),
            core::ptr::read_volatile(&raw const (*header).wire_len),
        )
    };
    if len != 0 {
        // The verifier wants to see 1..=CLASS at the call. Of a comparison with 0 it learns no lower
        // bound before 6.8, hence one less, and one more again.
        let less_one = bounded(len.wrapping_sub(1));
        // SAFETY: the record has CLASS bytes behind its header.
        let destination = unsafe { room.byte_add(HEADER) };
        if less_one >= CLASS || !source.payload::<CLASS>(offset, destination, less_one + 1) {
            // SAFETY: the reservation is given back.
            unsafe { bpf_ringbuf_discard(room, BPF_RB_NO_WAKEUP.into()) };
            return Outcome::Unreadable;
        }
    }
    let flags = transport.flags | is_cut(len, payload) as u8 * FLAG_TRUNCATED;
    // SAFETY: the reservation has room for the header, is aligned to 8 and all ours.
    unsafe {
        fill(header, place, transport, payload, flags);
        bpf_ringbuf_submit(room, BPF_RB_NO_WAKEUP.into());
    }
    Outcome::Submitted
}

/// 1 if `len` bytes are not all of the payload, else 0.
#[inline(always)]
fn is_cut(len: u32, payload: &Payload) -> u32 {
    less(len, payload.wire_len) & 1
}

/// Writes the header field by field, as integers: an aggregate would become a call to `memcpy`. All but
/// the length, which stands there already.
///
/// # Safety
/// `header` must be valid for writes and aligned.
#[inline(always)]
unsafe fn fill(
    header: *mut PacketHeader,
    place: &Place,
    transport: &Transport,
    payload: &Payload,
    flags: u8,
) {
    // SAFETY: by the contract above. The addresses lie at multiples of 8 (asserted in the event crate).
    unsafe {
        (*header).abi = ABI_VERSION;
        (*header).kind = KIND_PACKET;
        (*header).hook = place.hook;
        (*header).direction = place.direction;
        (*header).flags = flags;
        (*header).l4 = transport.l4;
        (*header).tcp_flags = payload.tcp_flags;
        (*header).time_ns = bpf_ktime_get_boot_ns();
        (*header).netns_cookie = place.netns_cookie;
        // Volatile, or LLVM turns two zeros side by side into a call to `memset`.
        core::ptr::write_volatile(&raw mut (*header).socket_cookie, place.socket_cookie);
        core::ptr::write_volatile(&raw mut (*header).cgroup_id, place.cgroup_id);
        let source = (&raw mut (*header).source).cast::<u64>();
        *source = transport.addresses.source[0];
        *source.add(1) = transport.addresses.source[1];
        let destination = (&raw mut (*header).destination).cast::<u64>();
        *destination = transport.addresses.destination[0];
        *destination.add(1) = transport.addresses.destination[1];
        (*header).ifindex = place.ifindex;
        (*header).tcp_seq = payload.tcp_seq;
        (*header).wire_len = payload.wire_len;
        (*header).source_port = transport.source_port;
        (*header).destination_port = transport.destination_port;
        (*header).sample = settings::sample() as u16;
        (*header).select = settings::select() as u8;
        (*header).padding = 0;
    }
}
