//! Read-only globals, set by the loader. The map behind them is frozen, so the verifier knows their
//! values and prunes what they rule out; `read_volatile` keeps rustc from doing so first.

use dns_trace_event as event;

#[unsafe(no_mangle)]
static DNS_PORTS: [u16; event::PORTS_MAX] = event::DEFAULT_PORTS;
#[unsafe(no_mangle)]
static DNS_SNAP_LEN: u32 = event::PAYLOAD_MAX;
#[unsafe(no_mangle)]
static DNS_NETNS_COOKIE: u64 = 0;
#[unsafe(no_mangle)]
static DNS_SAMPLE: u32 = 1;
#[unsafe(no_mangle)]
static DNS_SELECT: u32 = event::SELECT_ALL as u32;

/// Bytes of payload to copy at most.
#[inline(always)]
pub fn snap_len() -> u32 {
    // SAFETY: a valid, aligned static.
    unsafe { core::ptr::read_volatile(&raw const DNS_SNAP_LEN) }
}

/// Cookie of the network namespace of every interface that the programs are attached to, or 0 if
/// the loader did not say.
#[inline(always)]
pub fn netns_cookie() -> u64 {
    // SAFETY: a valid, aligned static.
    unsafe { core::ptr::read_volatile(&raw const DNS_NETNS_COOKIE) }
}

/// Of so many lookups one is captured; 0 and 1 mean every one.
#[inline(always)]
pub fn sample() -> u32 {
    // SAFETY: a valid, aligned static.
    unsafe { core::ptr::read_volatile(&raw const DNS_SAMPLE) }
}

/// Which messages are captured: one of the contract's `SELECT_*`.
#[inline(always)]
pub fn select() -> u32 {
    // SAFETY: a valid, aligned static.
    unsafe { core::ptr::read_volatile(&raw const DNS_SELECT) }
}

/// Whether one of two ports, in the word that they make up in the packet, is in the port set. Unused
/// slots are 0 and last.
#[inline(always)]
pub fn is_dns(ports: u32) -> bool {
    let (low, high) = (ports as u16, (ports >> 16) as u16);
    let mut slot = 0;
    while slot < event::PORTS_MAX {
        // SAFETY: `slot` is in bounds of a valid, aligned static.
        let port = unsafe { core::ptr::read_volatile(&raw const DNS_PORTS[slot]) };
        if port == 0 {
            return false;
        }
        if port.to_be() == low || port.to_be() == high {
            return true;
        }
        slot += 1;
    }
    false
}
