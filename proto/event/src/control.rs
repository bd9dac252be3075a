//! The doorbell: how a reader that sleeps is woken, and how one that works is left alone.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries of the map [`crate::MAP_CONTROL`]: the [`crate::ABI_VERSION`], so that a reader can tell
/// the version before the first record. Entry 0 is the one in use.
pub const CONTROL_ENTRIES: u32 = crate::ABI_VERSION as u32;

/// Value of the map [`crate::MAP_CONTROL`].
///
/// The reader stores 1 in `asleep`, then looks at the ring once more, and only then sleeps. A
/// program that finds 1 after it has committed a record stores 0 and wakes the reader.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Control {
    /// 1 while the reader sleeps or is about to, else 0.
    pub asleep: u32,
    /// Always 0.
    pub padding: u32,
}

const _: () = assert!(size_of::<Control>() == 8);
