//! The whole chain: image, registry, bpfman daemon, hook, ring, reader without privilege.

use anyhow::{Result, ensure};

use crate::lab::ctl::{ctl, load_hook, nothing_left, push};
use crate::lab::names::NameServers;
use crate::lab::net;
use crate::lab::reader::Watch;
use crate::lab::sh::sh;
use crate::lab::{registry, traffic};

pub(crate) fn tcx() -> Result<()> {
    through_bpfman("tcx", 1)
}

pub(crate) fn tc() -> Result<()> {
    through_bpfman("tc", 1)
}

pub(crate) fn xdp() -> Result<()> {
    through_bpfman("xdp", 1)
}

/// The tracepoints see each message at the client's device and at the server's: two hops.
pub(crate) fn tracepoint() -> Result<()> {
    through_bpfman("tracepoint", 2)
}

fn through_bpfman(hook: &str, hops: u64) -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("pipeline")?;
    load_hook(hook, &["--image", &image])?.ok()?;
    look_up_and_compare(hops)?;
    ctl(&["unload"])?.ok()?;
    let left = sh(&["bpfman", "list", "programs"])?;
    ensure!(
        !left.contains("dns_") && !left.contains("own_"),
        "bpfman still has programs:\n{left}"
    );
    nothing_left()
}

/// Asks every question while a reader watches, and compares.
pub(crate) fn look_up_and_compare(hops: u64) -> Result<()> {
    let count = traffic::ASKED.to_string();
    let watch = Watch::start(&["--count", &count, "--timeout", "3s"])?;
    traffic::ask_all()?;
    traffic::compare(&watch.ends(20)?, hops)
}
