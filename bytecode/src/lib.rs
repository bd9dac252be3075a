//! The kernel objects of dns-trace as bytes: one source, one object per byte order, built by this
//! crate's build script from `kernel/` (Rust) and `core/` (the CO-RE accessors, in C).

/// ELF object for little-endian machines (`bpfel`).
pub const OBJECT_LE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dns_trace.bpfel.o"));

/// ELF object for big-endian machines (`bpfeb`).
pub const OBJECT_BE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dns_trace.bpfeb.o"));

/// The object for the byte order of the machine that this runs on.
pub const OBJECT_NATIVE: &[u8] = if cfg!(target_endian = "little") {
    OBJECT_LE
} else {
    OBJECT_BE
};
