//! How the bytes of a packet are read at each hook.

use crate::straight::{bounded, less};
use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_probe_read_kernel, bpf_skb_load_bytes},
};
use core::{ffi::c_void, mem::MaybeUninit};
use dns_trace_event::PAYLOAD_CLASSES;

/// Bytes of one packet, by offset from an origin of the implementation's choice.
pub trait Source {
    /// Length of the packet from the origin.
    fn len(&self) -> u32;
    /// Copies `len` bytes, which the verifier knows to be at least 1 and at most the room at
    /// `destination`.
    fn copy(&self, offset: u32, destination: *mut c_void, len: u32) -> bool;
    /// Copies a payload of 1 to `CLASS` bytes to a record that has room for `CLASS`.
    #[inline(always)]
    fn payload<const CLASS: u32>(&self, offset: u32, destination: *mut c_void, len: u32) -> bool {
        self.copy(offset, destination, len)
    }
    /// Reads a value; `None` beyond the end or where the hook cannot read.
    #[inline(always)]
    fn load<T: Copy>(&self, offset: u32) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        self.copy(offset, value.as_mut_ptr().cast(), size_of::<T>() as u32)
            // SAFETY: the helper has written the value whole; `T` is plain bytes at every call.
            .then(|| unsafe { value.assume_init() })
    }
}

/// tc and TCX: the whole packet, from the link-layer header on.
pub struct Skb(pub *mut __sk_buff);

impl Source for Skb {
    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: the context of the program.
        unsafe { (*self.0).len }
    }

    #[inline(always)]
    fn copy(&self, offset: u32, destination: *mut c_void, len: u32) -> bool {
        // SAFETY: the helper checks the packet's bounds, the verifier those of `destination`.
        unsafe { bpf_skb_load_bytes(self.0.cast(), offset, destination, len) == 0 }
    }

    #[inline(always)]
    fn payload<const CLASS: u32>(&self, offset: u32, destination: *mut c_void, len: u32) -> bool {
        // SAFETY: the context of the program.
        let linear = unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) };
        copy_blocks::<CLASS>(linear, offset, destination, len)
            || self.copy(offset, destination, len)
    }
}

/// XDP: the frame, from the link-layer header on.
pub struct Xdp(pub *mut xdp_md);

impl Xdp {
    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: the context of the program.
        unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) }
    }
}

impl Source for Xdp {
    #[inline(always)]
    fn len(&self) -> u32 {
        let (data, end) = self.bounds();
        (end - data) as u32
    }

    #[inline(always)]
    fn load<T: Copy>(&self, offset: u32) -> Option<T> {
        let (data, end) = self.bounds();
        let at = data + within(offset);
        // Two bytes at least: of `at + 1 > end`, which LLVM writes as `at >= end`, the verifier
        // learns nothing. Every header has a byte behind the last one that is read alone.
        if at + size_of::<T>().max(2) > end {
            return None;
        }
        // SAFETY: within the packet by the check above.
        Some(unsafe { core::ptr::read_unaligned(at as *const T) })
    }

    #[inline(always)]
    fn copy(&self, offset: u32, destination: *mut c_void, len: u32) -> bool {
        let (data, end) = self.bounds();
        let offset = within(offset);
        if offset + len as usize > end - data {
            return false;
        }
        // `bpf_xdp_load_bytes` would do, but for Linux 5.18 and later only.
        // SAFETY: the helper checks the address, the verifier `destination`.
        unsafe { bpf_probe_read_kernel(destination, len, (data + offset) as *const c_void) == 0 }
    }

    #[inline(always)]
    fn payload<const CLASS: u32>(&self, offset: u32, destination: *mut c_void, len: u32) -> bool {
        copy_blocks::<CLASS>(self.bounds(), offset, destination, len)
            || self.copy(offset, destination, len)
    }
}

/// Largest class whose payload is copied in blocks: with larger ones the helper's call is little beside the
/// copy, and the verifier's work is much.
const BLOCKS_MAX: u32 = PAYLOAD_CLASSES[1];

/// What [`copy_blocks`] copies at once to a record of a class. Larger blocks are less work for the verifier,
/// smaller ones serve shorter payloads; those of all classes but the smallest are longer than that one.
const fn block(class: u32) -> u32 {
    if class == PAYLOAD_CLASSES[0] { 32 } else { 64 }
}

/// Copies `len` bytes by direct access, which costs less than a helper's call: always as many blocks as fill
/// the class, the first one at the beginning, the last one at the end, the others evenly between, whether
/// they overlap or not, so that there is one way through. `false`, with an unfinished copy, where that
/// cannot be done: the payload is shorter than a block, or not all between `linear`'s ends.
#[inline(always)]
fn copy_blocks<const CLASS: u32>(
    linear: (usize, usize),
    offset: u32,
    destination: *mut c_void,
    len: u32,
) -> bool {
    let (data, end) = linear;
    let (block, steps) = const { (block(CLASS), CLASS / block(CLASS) - 1) };
    let last = bounded(len.wrapping_sub(block));
    if CLASS > BLOCKS_MAX || last > steps * block {
        return false;
    }
    let from = data + within(offset);
    let mut step = 0;
    while step <= steps {
        // Hidden from LLVM, which would spare all but one of the checks that the verifier wants of each.
        let at = bounded(last * step / steps) as usize;
        // SAFETY: behind `last` there is room for a block at the destination.
        if !unsafe { copy_block::<CLASS>(from + at, end, destination.byte_add(at)) } {
            return false;
        }
        step += 1;
    }
    true
}

/// # Safety
/// `to` must be valid for writes of a block.
#[inline(always)]
unsafe fn copy_block<const CLASS: u32>(from: usize, end: usize, to: *mut c_void) -> bool {
    let block = const { block(CLASS) as usize };
    if from + block > end {
        return false;
    }
    let (from, to) = (from as *const u64, to.cast::<u64>());
    let mut word = 0;
    while word < block / size_of::<u64>() {
        // SAFETY: the source is checked above, the destination by the contract; neither is aligned.
        unsafe {
            to.add(word)
                .write_unaligned(from.add(word).read_unaligned())
        };
        word += 1;
    }
    true
}

/// Bound of an offset into a frame, for the verifier to see: more than any header lies behind.
#[inline(always)]
fn within(offset: u32) -> usize {
    (bounded(offset) & 0x7fff) as usize
}

/// Tracepoints: the linear part of a socket buffer, read as kernel memory.
pub struct Linear {
    pub origin: *const u8,
    /// Bytes from the origin to the end of the packet.
    pub len: u32,
    /// Bytes from the origin that are not in page fragments.
    pub linear: u32,
}

impl Source for Linear {
    #[inline(always)]
    fn len(&self) -> u32 {
        self.len
    }

    #[inline(always)]
    fn copy(&self, offset: u32, destination: *mut c_void, len: u32) -> bool {
        // Offsets are bounded by a packet's length, so that the sum does not overflow.
        if less(self.linear, offset + len) != 0 {
            return false;
        }
        // SAFETY: the helper checks the address, the verifier `destination`.
        unsafe {
            bpf_probe_read_kernel(
                destination,
                len,
                self.origin.wrapping_add(offset as usize).cast(),
            ) == 0
        }
    }
}

/// Hides from LLVM that the result is the context it was: what a route has found out about a packet by
/// direct access does not follow it onto the next one. LLVM would otherwise make a way through the second
/// for every way out of the first, and the verifier would follow them all.
#[inline(always)]
pub fn afresh<T>(context: *mut T) -> *mut T {
    let mut context = context;
    // SAFETY: the value is assigned to itself.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) context, options(nomem, nostack, pure)) };
    context
}
