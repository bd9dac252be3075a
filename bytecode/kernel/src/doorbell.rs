//! Waking the reader, or rather leaving it alone: a wake-up costs its producer a hundred times what
//! the copy of a message does. The protocol is described at [`dns_trace_event::Control`].

use crate::maps;
use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP},
    helpers::generated::{bpf_ringbuf_discard, bpf_ringbuf_query, bpf_ringbuf_reserve},
};
use dns_trace_event::{FILL_MARK, READER_ASLEEP, READER_AWAKE, READER_NAPPING};

/// The fill of the ring is looked at once in so many records of a CPU.
const FILL_INTERVAL: u64 = 16;

/// Called after a record has been committed; `submitted` is this CPU's count of records.
///
/// The commit is a full barrier (`xchg` in `bpf_ringbuf_commit`), so the word is read after the
/// record is visible: a reader that stored its word before it looked at the ring for the last time
/// has either seen the record or is rung here.
#[inline(always)]
pub fn after_commit(submitted: u64) {
    let control = maps::control();
    if control.is_null() {
        return;
    }
    // SAFETY: not null, so an element of an array map, which lives as long as the program.
    let word = unsafe { &raw mut (*control).reader };
    // SAFETY: aligned and valid; the reader may write it at any time, hence volatile.
    let reader = unsafe { core::ptr::read_volatile(word) };
    if reader == READER_AWAKE {
        return;
    }
    if reader == READER_ASLEEP || (reader == READER_NAPPING && passed_mark(submitted)) {
        // SAFETY: likewise.
        unsafe { core::ptr::write_volatile(word, READER_AWAKE) };
        ring();
    }
}

#[inline(always)]
fn passed_mark(submitted: u64) -> bool {
    // SAFETY: a helper without pointers but the map.
    submitted % FILL_INTERVAL == 0
        && unsafe { bpf_ringbuf_query(maps::ring(), BPF_RB_AVAIL_DATA.into()) } >= FILL_MARK.into()
}

/// Wakes the reader by an empty record that is discarded at once: the record that it announces has
/// been committed already.
#[inline(always)]
fn ring() {
    // SAFETY: the reservation is given back by the discard.
    unsafe {
        let bell = bpf_ringbuf_reserve(maps::ring(), 8, 0);
        if !bell.is_null() {
            bpf_ringbuf_discard(bell, BPF_RB_FORCE_WAKEUP.into());
        }
    }
}
