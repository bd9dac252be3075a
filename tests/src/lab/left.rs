//! What must be left when our programs are done: nothing, in the kernel, in bpffs, in bpfman, on disk.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use dns_trace_event::{
    BUNDLE_ROOT, CAPTURE_PROGRAMS, MAP_CONTROL, MAP_EVENTS, MAP_OWNERS, MAP_STATS, OWNER_PROGRAMS,
};
use serde_json::Value;

use super::net;
use super::registry::PINS;
use super::sh::{self, sh};

/// Where our programs could write, and how the names begin that others have there: the scenario itself,
/// `ip`, bpfman, skopeo, nsd, and libxdp, which keeps its folder when its last program has gone.
const PLACES: &[(&str, &[&str])] = &[
    ("/run", &["lab", "notes", "netns", "bpfman"]),
    ("/tmp", &["nsd-xfr-"]),
    ("/root", &[]),
    ("/var/lib", &["bpfman", "containers"]),
    ("/sys/fs/bpf", &["xdp"]),
];

/// Insists that nothing of ours is left. The kernel frees programs and maps a moment after the last
/// reference has gone, so this waits a little.
///
/// # Errors
/// If something is left; it is named.
pub fn nothing_left() -> Result<()> {
    let mut left = Vec::new();
    let gone = sh::wait_for("the kernel to free what is ours", 5, || {
        left = in_kernel()?;
        Ok(left.is_empty())
    });
    if gone.is_err() {
        bail!("left in the kernel: {}", left.join(", "));
    }
    ensure!(
        !Path::new(BUNDLE_ROOT).exists(),
        "{BUNDLE_ROOT} is still there, with {:?}",
        names(BUNDLE_ROOT)?
    );
    for (place, others) in PLACES {
        let mut left = names(place)?;
        left.retain(|name| !others.iter().any(|other| name.starts_with(other)));
        ensure!(left.is_empty(), "{place} holds {left:?}");
    }
    nothing_in_bpfman()?;
    no_clsact()
}

/// Insists that the qdisc which tc filters hang on is gone too. bpfman leaves the one that it made.
fn no_clsact() -> Result<()> {
    if Path::new(PINS).is_dir() || !Path::new("/run/netns/server").exists() {
        return Ok(());
    }
    let shown = net::run("server", &["tc", "qdisc", "show"])?.ok()?.stdout;
    ensure!(!shown.contains("clsact"), "a qdisc is left: {shown}");
    Ok(())
}

/// Insists that bpfman, where it has run, knows no program of ours and has no pin of one.
fn nothing_in_bpfman() -> Result<()> {
    if !Path::new(PINS).is_dir() {
        return Ok(());
    }
    let list = sh(&["bpfman", "list", "programs"])?;
    ensure!(!is_ours(&list), "bpfman still has programs:\n{list}");
    let mut pins = names(PINS)?;
    pins.retain(|name| name.starts_with("prog_"));
    pins.extend(names(&format!("{PINS}/maps"))?);
    // Those of programs that it knows, which are others'.
    pins.retain(|pin| {
        let id = pin.trim_start_matches("prog_");
        !list.split_whitespace().any(|word| word == id)
    });
    ensure!(pins.is_empty(), "bpfman still has pins: {pins:?}");
    Ok(())
}

fn is_ours(text: &str) -> bool {
    ours().any(|name| text.contains(name))
}

fn ours() -> impl Iterator<Item = &'static str> {
    let owners = OWNER_PROGRAMS.iter().map(|(name, _)| *name);
    let maps = [MAP_EVENTS, MAP_STATS, MAP_CONTROL, MAP_OWNERS];
    CAPTURE_PROGRAMS.into_iter().chain(owners).chain(maps)
}

/// Programs and maps of ours that the kernel holds.
fn in_kernel() -> Result<Vec<String>> {
    let mut left = Vec::new();
    for kind in ["prog", "map"] {
        let list: Value = serde_json::from_str(&sh(&["bpftool", "-j", kind, "show"])?)
            .context("bpftool printed no JSON")?;
        let list = list.as_array().cloned().unwrap_or_default();
        let names = list
            .iter()
            .filter_map(|one| one.get("name"))
            .filter_map(Value::as_str)
            .filter(|name| ours().any(|known| known == *name));
        left.extend(names.map(|name| format!("{kind} {name}")));
    }
    Ok(left)
}

/// Names of our programs that the kernel holds.
///
/// # Errors
/// If bpftool fails.
pub fn programs() -> Result<Vec<String>> {
    let mut names = in_kernel()?;
    names.retain(|name| name.starts_with("prog "));
    Ok(names.iter().map(|name| name.replace("prog ", "")).collect())
}

/// Names in a folder; none if there is no such folder.
///
/// # Errors
/// If it cannot be read.
pub fn names(folder: &str) -> Result<Vec<String>> {
    if !Path::new(folder).is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {folder}"))?;
    let names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.collect())
}
