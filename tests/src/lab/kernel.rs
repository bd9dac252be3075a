//! The kernel that we run on.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::scenario::Version;

/// Release of the running kernel, such as `6.1.0-56-cloud-amd64`.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn release() -> Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("cannot read the kernel's release")?;
    Ok(text.trim().to_owned())
}

/// Major and minor version of the running kernel.
///
/// # Errors
/// If the release does not begin with two numbers.
pub fn version() -> Result<Version> {
    let release = release()?;
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("cannot read the kernel's version from {release}"),
    }
}

/// Scenarios load programs and kill processes: they must never run on somebody's machine.
///
/// # Errors
/// If process 1 is not ours.
pub fn refuse_outside_guest() -> Result<()> {
    let first = fs::read_link("/proc/1/exe").unwrap_or_default();
    if first.ends_with("guest") && Path::new("/init").exists() {
        return Ok(());
    }
    bail!("this runs inside a guest only; use: cargo xtask vm")
}
