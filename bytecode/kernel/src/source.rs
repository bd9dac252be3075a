//! How the bytes of a packet are read at each hook.

use crate::straight::{bounded, less};
use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_probe_read_kernel, bpf_skb_load_bytes},
};
use core::{ffi::c_void, mem::MaybeUninit};

/// Bytes of one packet, by offset from an origin of the implementation's choice.
pub trait Source {
    /// Length of the packet from the origin.
    fn len(&self) -> u32;
    /// Copies `len` bytes, which the verifier knows to be at least 1 and at most the room at
    /// `destination`.
    fn copy(&self, offset: u32, destination: *mut c_void, len: u32) -> bool;
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
