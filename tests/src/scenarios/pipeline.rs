//! The whole chain: image, registry, bpfman daemon, hook, ring, reader without privilege.

use anyhow::{Result, ensure};

use crate::lab::ctl::{ctl, nothing_left, push};
use crate::lab::names::NameServers;
use crate::lab::net::{self, SERVER_DEVICE};
use crate::lab::reader::Watch;
use crate::lab::sh::sh;
use crate::lab::{registry, traffic};

pub(crate) fn tcx() -> Result<()> {
    through_bpfman(
        &[
            "--hook",
            "tcx",
            "--iface",
            SERVER_DEVICE,
            "--netns",
            "server",
        ],
        1,
    )
}

pub(crate) fn tc() -> Result<()> {
    through_bpfman(
        &[
            "--hook",
            "tc",
            "--iface",
            SERVER_DEVICE,
            "--netns",
            "server",
        ],
        1,
    )
}

pub(crate) fn xdp() -> Result<()> {
    through_bpfman(
        &[
            "--hook",
            "xdp",
            "--iface",
            SERVER_DEVICE,
            "--netns",
            "server",
        ],
        1,
    )
}

/// The tracepoints see each message at the client's device and at the server's.
pub(crate) fn tracepoint() -> Result<()> {
    through_bpfman(&["--hook", "tracepoint"], 2)
}

fn through_bpfman(place: &[&str], views: u64) -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("pipeline")?;
    let mut load = vec!["load", "--image", &image];
    load.extend(place);
    ctl(&load)?.ok()?;
    look_up_and_compare(views)?;
    ctl(&["unload"])?.ok()?;
    let left = sh(&["bpfman", "list", "programs"])?;
    ensure!(!left.contains("dns_"), "bpfman still has programs:\n{left}");
    nothing_left()
}

/// Asks every question while a reader watches, and compares.
pub(crate) fn look_up_and_compare(views: u64) -> Result<()> {
    let count = (traffic::ASKED * views).to_string();
    let watch = Watch::start(&["--count", &count, "--timeout", "3s"])?;
    traffic::ask_all()?;
    traffic::compare(&watch.ends(20)?, views)
}
