//! What a record of the ring is: the field that every record has in its third byte.

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $constant:ident;)*) => {
        /// What a record is. Whoever reads records matches on this without `_`, so that a further kind
        /// which somebody forgot does not compile.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $name = $value,)*
        }

        $($(#[$doc])*
        pub const $constant: u8 = Kind::$name as u8;)*

        impl Kind {
            /// The kind of that number; `None` for a number that the contract does not name.
            #[must_use]
            pub const fn from_wire(value: u8) -> Option<Self> {
                match value {
                    $($constant => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A packet: [`crate::PacketHeader`] followed by [`crate::PacketHeader::captured_len`] bytes of
    /// transport payload and then unused bytes up to the class.
    Packet = 1, KIND_PACKET;
    /// The process that a socket belongs to: [`crate::OwnerRecord`].
    Owner = 2, KIND_OWNER;
}

const _: () = assert!(core::mem::offset_of!(crate::PacketHeader, kind) == 2);
const _: () = assert!(core::mem::offset_of!(crate::OwnerRecord, kind) == 2);
