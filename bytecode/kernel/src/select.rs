//! What is left out by choice, before it costs a reservation. By default nothing is, and the verifier
//! removes all of this.

use crate::{
    packet::{Payload, Transport},
    settings,
    source::Source,
};
use dns_trace_event::{L4_UDP, SELECT_ALL, SELECT_FAILURES, Stats};

/// mDNS (RFC 6762) and LLMNR (RFC 4795): answered by another address than was asked.
const MULTICAST_PORTS: [u16; 2] = [5353, 5355];

/// The QR bit and the response code, as [`head`] has them (RFC 1035, section 4.1.1).
const RESPONSE: u32 = 0x8000 << 16;
const RCODE: u32 = 0xf << 16;
const NOERROR: u32 = 0;
const NXDOMAIN: u32 = 3 << 16;
/// No head to judge by.
const NO_HEAD: u64 = u64::MAX;

/// Whether a message is to be captured; counts it if not.
#[inline(always)]
pub fn wanted<S: Source>(
    source: &S,
    transport: &Transport,
    payload: &Payload,
    stats: &mut Stats,
) -> bool {
    let (sample, select) = (settings::sample(), settings::select());
    if sample <= 1 && select == SELECT_ALL as u32 {
        return true;
    }
    let head = head(source, transport, payload);
    if select != SELECT_ALL as u32 && head != NO_HEAD && !is_selected(head as u32, select) {
        stats.deselected += 1;
        return false;
    }
    if sample > 1 && hash(transport, head as u16) % sample != 0 {
        stats.sampled_out += 1;
        return false;
    }
    true
}

/// Id and flags of a message, in one number; [`NO_HEAD`] over TCP, and for what is too short, which is
/// never deselected: the reader says what is wrong with it. Not an `Option`, whose two halves LLVM moves
/// about on their own until the verifier meets one that was never written.
#[inline(always)]
fn head<S: Source>(source: &S, transport: &Transport, payload: &Payload) -> u64 {
    if transport.l4 != L4_UDP || payload.available < 4 {
        return NO_HEAD;
    }
    match source.load::<[u16; 2]>(payload.offset) {
        Some([id, flags]) => u64::from(u16::from_be(flags)) << 16 | u64::from(id),
        None => NO_HEAD,
    }
}

#[inline(always)]
fn is_selected(head: u32, select: u32) -> bool {
    let rcode = head & RCODE;
    head & RESPONSE != 0
        && (select != SELECT_FAILURES as u32 || (rcode != NOERROR && rcode != NXDOMAIN))
}

/// The same for query and response: sums know no order. Over TCP the id is unknown, hence 0, and a whole
/// connection has one hash.
#[inline(always)]
fn hash(transport: &Transport, id: u16) -> u32 {
    let ports = u64::from(transport.source_port) + u64::from(transport.destination_port);
    let mut sum = (ports << 32) + (u64::from(id) << 16);
    let mut i = 0;
    let mut multicast = false;
    while i < MULTICAST_PORTS.len() {
        let port = MULTICAST_PORTS[i];
        multicast |= transport.source_port == port || transport.destination_port == port;
        i += 1;
    }
    if !multicast {
        let addresses = &transport.addresses;
        let mut half = 0;
        while half < 2 {
            let both = addresses.source[half].wrapping_add(addresses.destination[half]);
            sum = sum.wrapping_add(both).rotate_left(23);
            half += 1;
        }
    }
    mix(sum)
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood, 2014): every bit of the sum counts.
#[inline(always)]
fn mix(mut sum: u64) -> u32 {
    sum = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    sum = (sum ^ (sum >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (sum >> 32) as u32
}
