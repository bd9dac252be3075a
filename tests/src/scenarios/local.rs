//! `load --local`: the same without a daemon.

use anyhow::{Result, ensure};

use super::pipeline::look_up_and_compare;
use crate::lab::ctl::{ctl, load_hook, nothing_left};
use crate::lab::names::NameServers;
use crate::lab::net;
use crate::lab::reader::{GROUP, unprivileged};
use crate::lab::sh;

pub(crate) fn tcx() -> Result<()> {
    load_and_compare("tcx", 1)
}

pub(crate) fn tc() -> Result<()> {
    load_and_compare("tc", 1)
}

pub(crate) fn xdp() -> Result<()> {
    load_and_compare("xdp", 1)
}

pub(crate) fn tracepoint() -> Result<()> {
    load_and_compare("tracepoint", 2)
}

/// Loads twice, since doing so again is not an error and changes nothing; unloads twice, since
/// then there is nothing to unload.
fn load_and_compare(hook: &str, hops: u64) -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load_hook(hook, &["--local"])?.ok()?;
    load_hook(hook, &["--local"])?.ok()?;
    ctl(&["status"])?.ok()?;
    look_up_and_compare(hops)?;
    ctl(&["unload"])?.ok()?;
    nothing_left()?;
    ctl(&["unload"])?.exits(3)?.refuses(&["not loaded"])?;
    Ok(())
}

/// Below 6.6 there is no TCX: the load says so and leaves nothing.
pub(crate) fn tcx_is_refused() -> Result<()> {
    net::create()?;
    load_hook("tcx", &["--local"])?
        .exits(7)?
        .refuses(&["tcx", "6.6"])?;
    nothing_left()
}

/// Below 5.15 a tracepoint program goes with the process that attached it: the load says so and leaves
/// nothing.
pub(crate) fn tracepoint_is_refused() -> Result<()> {
    net::create()?;
    load_hook("tracepoint", &["--local"])?
        .exits(7)?
        .refuses(&["tracepoint", "5.15"])?;
    nothing_left()
}

/// Below 5.19 the kernel refuses bpf() to everybody else: the reader says so, and that root may read.
pub(crate) fn reading_is_refused() -> Result<()> {
    net::create()?;
    load_hook("tc", &["--local"])?.ok()?;
    let watch = sh::run(&mut unprivileged(Some(GROUP), &["dns-trace", "watch"]))?;
    let refused = watch.exits(7)?.refuses(&["5.19"])?;
    ensure!(
        refused.stdout.is_empty(),
        "a refused reader printed {}",
        refused.stdout
    );
    sh::sh(&["dns-trace", "watch", "--duration", "1s"])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}
