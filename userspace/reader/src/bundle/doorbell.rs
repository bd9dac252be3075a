//! The doorbell's word, by a page of memory that the kernel programs share. A system call for each
//! store would cost more than the store, and worse: `bpf()` on a map keeps the tracepoint programs of
//! its CPU from running meanwhile (`bpf_disable_instrumentation`), and what they miss nobody counts.

use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use dns_trace_event::Control;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes that are mapped; the kernel makes a page of them.
const LEN: usize = size_of::<Control>();

/// The first entry of a mapped `dns_control`.
#[derive(Debug)]
pub(super) struct Doorbell {
    control: NonNull<Control>,
}

// SAFETY: the page belongs to the process, and its words are only accessed atomically.
unsafe impl Send for Doorbell {}

impl Doorbell {
    /// Maps the map behind a descriptor.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` or `EPERM` for a map that is not made for it.
    pub(super) fn map(fd: impl AsFd) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice, of a size that the map has.
        let page = unsafe { mmap(ptr::null_mut(), LEN, access, MapFlags::SHARED, fd, 0)? };
        let control = NonNull::new(page.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { control })
    }

    /// Stores one of the contract's `READER_*`. What the thread reads after it, it reads after the
    /// store (sequentially consistent with a fence).
    pub(super) fn set(&self, reader: u32) {
        // SAFETY: `Control` begins with the word, which is aligned and mapped until the drop; nobody
        // makes a reference to it but here.
        let word = unsafe { AtomicU32::from_ptr(&raw mut (*self.control.as_ptr()).reader) };
        word.store(reader, Ordering::SeqCst);
    }

    /// Makes the owner programs announce every socket anew, and gives the new epoch.
    pub(super) fn raise_epoch(&self) -> u32 {
        let before = self.epoch_word().fetch_add(1, Ordering::SeqCst);
        before.wrapping_add(1)
    }

    /// The epoch now. A program that has lost an announcement has raised it before the packet that
    /// belongs to it can be taken from the ring.
    #[inline]
    pub(super) fn epoch(&self) -> u32 {
        self.epoch_word().load(Ordering::SeqCst)
    }

    fn epoch_word(&self) -> &AtomicU32 {
        // SAFETY: the second word of `Control`, likewise.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.control.as_ptr()).epoch) }
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made; nothing refers to it any more. It fails for a wrong
        // address only.
        let _ = unsafe { munmap(self.control.as_ptr().cast(), LEN) };
    }
}
