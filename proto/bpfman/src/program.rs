//! What the daemon knows of loaded programs.

use std::{collections::BTreeMap, path::PathBuf};

use crate::Source;

/// A program in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Kernel id, by which the daemon knows the program too.
    pub id: u32,
    /// Name in the kernel, at most 15 characters.
    pub kernel_name: String,
    /// `enum bpf_prog_type` of `linux/bpf.h`. 28 (extension) for XDP and tc programs of the daemon.
    pub kernel_type: u32,
    /// Kernel ids of the maps that the program uses, in the kernel's order. Programs that share
    /// maps have ids in common.
    pub map_ids: Vec<u32>,
    /// When it was loaded, in the daemon's words.
    pub loaded_at: String,
    /// Instructions that the verifier walked through; 0 before Linux 5.16.
    pub verified_instructions: u32,
    /// What the daemon keeps about it; `None` if somebody else loaded it.
    pub managed: Option<Managed>,
}

/// What the daemon keeps about a program that it loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// Function name.
    pub name: String,
    /// Where it came from. Credentials are never returned.
    pub source: Option<Source>,
    /// Ids of its links, for [`crate::Client::detach`]. They are the daemon's, not the kernel's.
    /// Where a link leads the contract does not tell.
    pub links: Vec<u32>,
    /// Folder of the pins of its maps, `<folder>/<map>`; only root may enter.
    pub map_pin_path: Option<PathBuf>,
    /// Program whose maps it uses, as asked for at load.
    pub map_owner_id: Option<u32>,
    /// Programs that use its maps, in the daemon's words.
    pub map_used_by: Vec<String>,
    /// Initial values of globals, as given at load.
    pub global_data: BTreeMap<String, Vec<u8>>,
    /// Metadata, as given at load.
    pub metadata: BTreeMap<String, String>,
}

/// Which programs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Also programs that the daemon did not load. They never match a filter with metadata.
    pub include_foreign: bool,
    /// Keys and values that the program's metadata must have.
    pub metadata: BTreeMap<String, String>,
}
