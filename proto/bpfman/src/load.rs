//! What to load.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// One object and the programs of it that the daemon shall load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Where the object comes from.
    pub source: Source,
    /// Which of its programs; at least one. One that does not load makes the whole request fail,
    /// and 0.6.0 then keeps none of them.
    pub programs: Vec<LoadProgram>,
    /// Initial values of read-only globals: symbol to value in the machine's byte order. A symbol
    /// that the object does not have, or has in another size, is refused.
    pub global_data: BTreeMap<String, Vec<u8>>,
    /// Free text that [`crate::Filter::metadata`] finds again. `bpfman load --application A` writes
    /// `A` under the key [`Load::APPLICATION`].
    pub metadata: BTreeMap<String, String>,
    /// Kernel id of a loaded program whose maps to use. Leave it `None` with 0.6.0 (see the crate's
    /// documentation).
    pub map_owner_id: Option<u32>,
}

impl Load {
    /// Metadata key by which bpfman's own tools group programs into an application.
    pub const APPLICATION: &str = "bpfman_application";
}

/// Where the daemon finds the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An OCI image.
    Image(Image),
    /// A file, by its path in the daemon's mount namespace.
    File(PathBuf),
}

/// An OCI image that the daemon pulls, over HTTPS only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Reference such as `quay.io/acme/dns-trace:0.1.0`.
    pub url: String,
    /// When to ask the registry.
    pub pull_policy: PullPolicy,
    /// The daemon reads no docker credential file: what it shall use travels in the request.
    pub credentials: Option<Credentials>,
}

/// When the daemon asks the registry. It stores what it pulled under the *tag*, also where the
/// reference has a digest too, so only [`PullPolicy::Always`] follows a tag that moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// On every load.
    Always,
    /// Unless it has pulled that tag before.
    #[default]
    IfNotPresent,
    /// Never: refuse if it has not pulled that tag before.
    Never,
}

/// User name and password for a registry. Their `Debug` form hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// One program of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadProgram {
    /// Function name, which is the name of the symbol in the object.
    pub name: String,
    /// How to load it.
    pub program_type: ProgramType,
}

/// How the daemon loads a program, which decides how it can be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramType {
    /// XDP: an extension of the daemon's dispatcher; needs BTF function info.
    Xdp,
    /// tc (clsact): an extension of the daemon's dispatcher, likewise.
    Tc,
    /// TCX; Linux 6.6.
    Tcx,
    /// Tracepoint.
    Tracepoint,
    /// fentry of the kernel function of that name.
    Fentry(String),
}
