//! The real parts come up and behave as the scenarios take for granted.

use anyhow::{Result, ensure};

use crate::lab::names::{NameServers, ask, dig};
use crate::lab::net::{self, MUTE, SERVER};
use crate::lab::{registry, sh};

/// nsd gives every kind of answer that the scenarios ask for, and the mute server none.
pub(crate) fn name_server() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    ask("www.example.test", "A", "NOERROR")?;
    ask("nowhere.example.test", "A", "NXDOMAIN")?;
    ask("www.broken.test", "A", "SERVFAIL")?;
    ask("www.elsewhere.test", "A", "REFUSED")?;
    dig(SERVER.1, "www.example.test", "AAAA")?.ok()?;
    let silent = dig(MUTE, "never.example.test", "A")?.exits(9)?;
    ensure!(
        silent.stdout.contains("timed out") || silent.stderr.contains("timed out"),
        "dig should time out: {}",
        silent.stdout
    );
    Ok(())
}

/// The registry speaks TLS with the test's authority, and the daemon listens.
pub(crate) fn registry_and_bpfman() -> Result<()> {
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    sh::sh(&["bpfman", "list", "programs"])?;
    Ok(())
}
