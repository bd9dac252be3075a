//! Counters that the kernel programs keep, one set per CPU.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Value of the map [`crate::MAP_STATS`]: messages by what became of them. Every packet on
        /// a DNS port ends in exactly one of `submitted`, `ring_full`, `malformed`, `unreadable`,
        /// `bare_acks`, `sampled_out` and `deselected`.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// Names of the counters, in the order of the fields of [`Stats`].
        pub const STATS_NAMES: [&str; size_of::<Stats>() / 8] = [$(stringify!($name)),*];

        impl Stats {
            /// The counters in the order of [`STATS_NAMES`].
            #[must_use]
            pub const fn values(&self) -> [u64; STATS_NAMES.len()] {
                [$(self.$name),*]
            }

            /// Adds the counters of another CPU or ring.
            pub const fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.wrapping_add(other.$name);)*
            }

            /// What was added since an earlier look; 0 where the counter has started anew.
            #[must_use]
            pub const fn since(&self, start: &Self) -> Self {
                Self { $($name: self.$name.saturating_sub(start.$name)),* }
            }
        }
    };
}

stats! {
    /// Packets that the programs saw, DNS or not. A count that stands still means that no program
    /// is attached, or that no packet passes.
    packets,
    /// Records handed to the ring.
    submitted,
    /// Messages dropped because the ring had no room.
    ring_full,
    /// Packets on a DNS port whose transport header is cut short or contradicts itself.
    malformed,
    /// Packets on a DNS port whose payload the hook could not read (payload outside the linear
    /// part at a tracepoint).
    unreadable,
    /// Records in `submitted` whose payload is longer than what was copied.
    truncated,
    /// IP fragments after the first. They carry no port, so nobody knows whether they are DNS.
    later_fragments,
    /// IP packets whose chain of headers could not be followed to a transport header, and packets at a
    /// tracepoint whose beginning this kernel does not tell.
    unparsable,
    /// TCP segments on a DNS port without payload and without SYN, FIN or RST: acknowledgements,
    /// which carry no message and are not reported.
    bare_acks,
    /// Messages left out by [`crate::GLOBAL_SAMPLE`].
    sampled_out,
    /// Messages left out by [`crate::GLOBAL_SELECT`].
    deselected,
    /// Owner records dropped because the ring had no room; their lookups lack the process.
    owners_lost,
}

const _: () = assert!(size_of::<Stats>() == 12 * 8);
