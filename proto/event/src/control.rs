//! The doorbell: how a reader that sleeps is woken, and how one that works is left alone.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries of the map [`crate::MAP_CONTROL`]: the [`crate::ABI_VERSION`], so that a reader can tell
/// the version before the first record. Entry 0 is the one in use.
pub const CONTROL_ENTRIES: u32 = crate::ABI_VERSION as u32;

/// [`Control::reader`]: no reader, or one that is draining the ring; never wake it.
pub const READER_AWAKE: u32 = 0;
/// [`Control::reader`]: wake the reader after the next record.
pub const READER_ASLEEP: u32 = 1;
/// [`Control::reader`]: the reader comes back by its own timer within milliseconds; wake it only
/// if the ring holds [`FILL_MARK`] bytes or more.
pub const READER_NAPPING: u32 = 2;

/// Bytes of the ring [`crate::MAP_EVENTS`].
pub const RING_SIZE: u32 = 4 << 20;
/// Bytes waiting in the ring from which on a napping reader is woken, once.
pub const FILL_MARK: u32 = RING_SIZE / 4;

/// Value of the map [`crate::MAP_CONTROL`], which can be mapped into memory (`BPF_F_MMAPABLE`).
///
/// The reader stores [`READER_ASLEEP`], then looks at the ring once more, and only then sleeps. A
/// program looks at the word after it has committed a record; the commit is a full memory barrier.
/// So either the reader sees the record or the program sees the word. Whoever rings stores
/// [`READER_AWAKE`] first, so that one burst rings once.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Control {
    /// `READER_*`.
    pub reader: u32,
    /// Raised by every reader that begins, and by an owner program whose record found no room: owners
    /// are announced anew, see [`crate::OwnerRecord`].
    pub epoch: u32,
}

const _: () = assert!(size_of::<Control>() == 8);
const _: () = assert!(RING_SIZE.is_power_of_two());
