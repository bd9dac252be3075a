//! The doorbell's word and a ring's positions as root sees them in memory, of the first ring of the default
//! instance.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use aya::maps::MapData;
use dns_trace_event::{BUNDLE_ROOT, MAP_CONTROL, MAP_EVENTS, RINGS_DIR};
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// What kernel part and reader share.
#[derive(Debug)]
pub struct Doorbell {
    ring: MapData,
    /// `dns_control`, which can be written.
    control: Pages,
    /// The consumer's page of the ring, and the producers'.
    positions: Pages,
}

impl Doorbell {
    /// Opens and maps them.
    ///
    /// # Errors
    /// If nothing is loaded.
    pub fn open() -> Result<Self> {
        let folder = Path::new(BUNDLE_ROOT).join("default").join(RINGS_DIR);
        let open = |name| {
            let pin = folder.join("0").join(name);
            MapData::from_pin(&pin).with_context(|| format!("cannot open {}", pin.display()))
        };
        let (ring, control) = (open(MAP_EVENTS)?, open(MAP_CONTROL)?);
        let page = rustix::param::page_size();
        Ok(Self {
            control: Pages::of(&control, page, ProtFlags::READ | ProtFlags::WRITE)?,
            positions: Pages::of(&ring, 2 * page, ProtFlags::READ)?,
            ring,
        })
    }

    /// What the reader does: one of the contract's `READER_*`.
    #[must_use]
    pub fn word(&self) -> u32 {
        self.control().load(Ordering::SeqCst)
    }

    /// Says so in a reader's place.
    pub fn set(&self, reader: u32) {
        self.control().store(reader, Ordering::SeqCst);
    }

    /// Octets that wait in the ring.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let consumer = self.position(0);
        self.position(rustix::param::page_size())
            .wrapping_sub(consumer)
    }

    /// Waits for wake-ups, as a reader does.
    ///
    /// # Errors
    /// The kernel's.
    pub fn listen(&self) -> Result<Bell> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(
            &set,
            self.ring.fd().as_fd(),
            epoll::EventData::new_u64(0),
            edge,
        )?;
        let bell = Bell(set);
        // A ring that holds something is ready once, as it is added.
        bell.rings(Duration::ZERO)?;
        Ok(bell)
    }

    fn control(&self) -> &AtomicU32 {
        // SAFETY: the first word of `Control`, aligned, mapped as long as this, and only accessed atomically.
        unsafe { AtomicU32::from_ptr(self.control.at.as_ptr().cast()) }
    }

    fn position(&self, offset: usize) -> usize {
        // SAFETY: an aligned `unsigned long` at the start of either page, mapped as long as this.
        let word = unsafe { AtomicUsize::from_ptr(self.positions.at.as_ptr().add(offset).cast()) };
        word.load(Ordering::SeqCst)
    }
}

/// Wake-ups.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// Whether it has rung since it was asked last, or rings soon.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rings(&self, soon: Duration) -> Result<bool> {
        let mut events = Vec::with_capacity(1);
        let soon = Timespec::try_from(soon)?;
        epoll::wait(
            &self.0,
            rustix::buffer::spare_capacity(&mut events),
            Some(&soon),
        )?;
        Ok(!events.is_empty())
    }
}

/// The first pages of a map.
#[derive(Debug)]
struct Pages {
    at: NonNull<u8>,
    len: usize,
}

impl Pages {
    fn of(map: &MapData, len: usize, access: ProtFlags) -> Result<Self> {
        let fd = map.fd().as_fd();
        // SAFETY: a new mapping at a place of the kernel's choice.
        let at = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, fd, 0)? };
        let at = NonNull::new(at.cast()).context("no memory")?;
        Ok(Self { at, len })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping that was made, to which nothing refers any more. It fails for a wrong address
        // only.
        let _ = unsafe { munmap(self.at.as_ptr().cast(), self.len) };
    }
}
