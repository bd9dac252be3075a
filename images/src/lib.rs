//! Bytecode images: what one is made of, and how it gets into and out of a registry.
//!
//! An image is an OCI index with one manifest per architecture. Each manifest has one layer, a
//! gzipped tar with the one file [`dns_trace_event::OBJECT_NAME`], and a config whose labels say
//! what is in the object. **The labels are derived from the object**, and whoever reads an image
//! with this crate has them compared with it again. The same objects give the same bytes.
//!
//! Everything that comes from a registry, a folder or a file is bounded and checked, and nothing of
//! it is written to disk. No kernel is touched here.

mod assemble;
mod btf;
mod credentials;
mod error;
mod fetch;
mod inspect;
mod layer;
mod layout;
mod object;
mod reference;
mod registry;
mod spec;

pub use assemble::{Blob, Bundle, Objects, Platform, build};
pub use credentials::{Login, find as find_login};
pub use error::Error;
pub use fetch::{Origin, Pulled};
pub use inspect::{Inspection, PlatformInspection, inspect_object};
pub use layout::{write as write_layout, write_archive as write_layout_archive, write_file};
pub use object::{ByteOrder, Description};
pub use reference::registry_of;
pub use registry::{Registry, Transport};

/// Label: JSON map of program names to bpfman's names of their types.
pub const LABEL_PROGRAMS: &str = "io.ebpf.programs";
/// Label: JSON map of map names to bpfman's names of their types.
pub const LABEL_MAPS: &str = "io.ebpf.maps";
/// Label: [`dns_trace_event::ABI_VERSION`] of the object, in decimal.
pub const LABEL_ABI: &str = "io.dns-trace.abi";

/// Largest object, and largest layer, in bytes.
pub const OBJECT_MAX: usize = 16 << 20;
/// Largest index, manifest or config, in bytes.
pub const MANIFEST_MAX: usize = 4 << 20;
/// Most platforms of an index.
pub const PLATFORMS_MAX: usize = 64;
