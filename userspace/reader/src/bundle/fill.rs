//! How full a ring is, by the two positions that kernel and reader keep in shared memory.

use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The first two pages of a ring, read-only: the consumer's position, and the producers'
/// (`ringbuf_map_mmap_kern`, Linux 5.8). Both only ever grow, by octets.
#[derive(Debug)]
pub(super) struct Positions {
    pages: NonNull<u8>,
    page: usize,
    size: u32,
}

// SAFETY: the pages belong to the process, and their words are only accessed atomically.
unsafe impl Send for Positions {}

impl Positions {
    /// Maps them; `size` is the number of octets that the ring holds.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn map(fd: impl AsFd, size: u32) -> io::Result<Self> {
        let page = rustix::param::page_size();
        // SAFETY: a new mapping at a place of the kernel's choice; a ring has more pages than these two.
        let pages = unsafe {
            mmap(
                ptr::null_mut(),
                2 * page,
                ProtFlags::READ,
                MapFlags::SHARED,
                fd,
                0,
            )?
        };
        let pages = NonNull::new(pages.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { pages, page, size })
    }

    /// 0 to 1.
    pub(super) fn fill(&self) -> f64 {
        // In this order: what is read meanwhile makes it look fuller, never negative.
        let consumer = self.word(0).load(Ordering::Acquire);
        let producer = self.word(self.page).load(Ordering::Acquire);
        let used = producer.wrapping_sub(consumer);
        (used as f64 / f64::from(self.size.max(1))).min(1.0)
    }

    fn word(&self, offset: usize) -> &AtomicUsize {
        // SAFETY: an aligned `unsigned long` at the start of either page, which are mapped until the drop;
        // it is only loaded, and never written through this mapping.
        unsafe { AtomicUsize::from_ptr(self.pages.as_ptr().add(offset).cast()) }
    }
}

impl Drop for Positions {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made; nothing refers to it any more. It fails for a wrong
        // address only.
        let _ = unsafe { munmap(self.pages.as_ptr().cast(), 2 * self.page) };
    }
}
