//! The maps, defined by hand in section `.maps`: aya-ebpf's own definitions of a ring are refused
//! by libbpf or by cilium/ebpf (a ring may have neither key nor value). Pointers to arrays encode
//! numbers in BTF, as `__uint()` does in C.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    bindings::bpf_map_type::{
        BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_RINGBUF,
    },
    helpers::generated::bpf_map_lookup_elem,
};
use core::{ffi::c_void, ptr};
use dns_trace_event::{Announced, CONTROL_ENTRIES, Control, OWNERS_MAX, RING_SIZE, Stats};

#[repr(C)]
pub struct RingDefinition {
    r#type: *const [i32; BPF_MAP_TYPE_RINGBUF as usize],
    max_entries: *const [i32; RING_SIZE as usize],
}

#[repr(C)]
pub struct StatsDefinition {
    r#type: *const [i32; BPF_MAP_TYPE_PERCPU_ARRAY as usize],
    key: *const u32,
    value: *const Stats,
    max_entries: *const [i32; 1],
}

#[repr(C)]
pub struct OwnersDefinition {
    r#type: *const [i32; BPF_MAP_TYPE_LRU_HASH as usize],
    key: *const u64,
    value: *const Announced,
    max_entries: *const [i32; OWNERS_MAX as usize],
}

#[repr(C)]
pub struct ControlDefinition {
    r#type: *const [i32; BPF_MAP_TYPE_ARRAY as usize],
    key: *const u32,
    value: *const Control,
    max_entries: *const [i32; CONTROL_ENTRIES as usize],
    /// The reader maps it into its memory; Linux 5.5.
    map_flags: *const [i32; BPF_F_MMAPABLE as usize],
}

// SAFETY: only the addresses of these statics are used, and the kernel replaces those by maps.
unsafe impl Sync for RingDefinition {}
// SAFETY: likewise.
unsafe impl Sync for OwnersDefinition {}
// SAFETY: likewise.
unsafe impl Sync for StatsDefinition {}
// SAFETY: likewise.
unsafe impl Sync for ControlDefinition {}

#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
static dns_events: RingDefinition = RingDefinition {
    r#type: ptr::null(),
    max_entries: ptr::null(),
};

#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
static dns_stats: StatsDefinition = StatsDefinition {
    r#type: ptr::null(),
    key: ptr::null(),
    value: ptr::null(),
    max_entries: ptr::null(),
};

#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
static dns_control: ControlDefinition = ControlDefinition {
    r#type: ptr::null(),
    key: ptr::null(),
    value: ptr::null(),
    max_entries: ptr::null(),
    map_flags: ptr::null(),
};

#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
static dns_owners: OwnersDefinition = OwnersDefinition {
    r#type: ptr::null(),
    key: ptr::null(),
    value: ptr::null(),
    max_entries: ptr::null(),
};

/// What was told of which socket, as helpers take it.
#[inline(always)]
pub fn owners() -> *mut c_void {
    (&raw const dns_owners).cast_mut().cast()
}

/// The ring, as helpers take it.
#[inline(always)]
pub fn ring() -> *mut c_void {
    (&raw const dns_events).cast_mut().cast()
}

/// This CPU's counters.
#[inline(always)]
pub fn stats() -> Option<&'static mut Stats> {
    let key = 0u32;
    // SAFETY: the map is an array of one `Stats` per CPU; nothing else on this CPU holds a
    // reference meanwhile but a program that interrupts this one, and a lost increment is all that
    // could cost.
    unsafe {
        bpf_map_lookup_elem(
            (&raw const dns_stats).cast_mut().cast(),
            (&raw const key).cast(),
        )
        .cast::<Stats>()
        .as_mut()
    }
}

/// The doorbell's word, shared with the reader and with other CPUs.
#[inline(always)]
pub fn control() -> *mut Control {
    let key = 0u32;
    // SAFETY: a lookup with a valid key.
    unsafe {
        bpf_map_lookup_elem(
            (&raw const dns_control).cast_mut().cast(),
            (&raw const key).cast(),
        )
        .cast()
    }
}
