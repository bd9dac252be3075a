//! Debian's archive beside what the machine's own apt knows: suites of our choice, through an apt
//! configuration of our own with its own sources, lists and cache. The machine's is neither used nor changed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cmd, paths};

/// Suites that carry the kernels, and newer versions of packages of Debian 12.
const SUITES: &[(&str, &str)] = &[
    ("debian-security", "bullseye-security"),
    ("debian", "bookworm"),
    ("debian-security", "bookworm-security"),
    ("debian", BACKPORTS),
    ("debian", "trixie-backports"),
];

/// Newer versions for Debian 12.
pub(crate) const BACKPORTS: &str = "bookworm-backports";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The private apt configuration, its lists up to date.
pub(crate) struct Archive {
    config: PathBuf,
}

impl Archive {
    /// Writes the configuration and reads the lists.
    pub(crate) fn prepare() -> Result<Self> {
        let root = paths::cache()?.join("apt");
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let mirror = std::env::var("DNS_TRACE_DEBIAN_MIRROR")
            .unwrap_or_else(|_| "http://deb.debian.org".into());
        let sources: String = SUITES
            .iter()
            .map(|(archive, suite)| {
                format!("deb [arch=amd64 signed-by={KEYRING}] {mirror}/{archive} {suite} main\n")
            })
            .collect();
        fs::write(root.join("sources.list"), sources)?;
        let at = root.display();
        // The hooks of the machine's own configuration are for its own lists.
        let config = format!(
            "Dir::State::lists \"{at}/lists\";\nDir::Cache \"{at}/cache\";\n\
             Dir::Etc::sourcelist \"{at}/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
             APT::Architecture \"amd64\";\nAPT::Sandbox::User \"\";\nAcquire::Languages \"none\";\n\
             #clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
        );
        let archive = Self {
            config: root.join("apt.conf"),
        };
        fs::write(&archive.config, config)?;
        cmd::output(
            Command::new("apt-get")
                .args(archive.options())
                .args(["-q", "update"]),
        )
        .context(
            "cannot read Debian's package lists (another mirror: DNS_TRACE_DEBIAN_MIRROR=http://…)",
        )?;
        Ok(archive)
    }

    /// What `apt-get` and `apt-cache` are to be called with.
    pub(crate) fn options(&self) -> [String; 2] {
        ["-c".into(), self.config.display().to_string()]
    }
}
