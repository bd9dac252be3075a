//! Loads that are cut short: an interface that vanishes, a daemon that dies, a tool that is killed.
//! The scenario stops the one process and waits for a state that shows how far the other is, so that
//! the cut is at the same place every time.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use dns_trace_event::{BUNDLE_ROOT, DEFAULT_INSTANCE, LOCAL_DIR, PROG_TC_EGRESS, RINGS_DIR};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::lab::ctl::{ctl, load_at_server, load_hook, nothing_left, push};
use crate::lab::daemon::Daemon;
use crate::lab::left::names;
use crate::lab::net::{self, SERVER_DEVICE};
use crate::lab::reader::{GROUP, unprivileged};
use crate::lab::registry;
use crate::lab::sh::{self, sh};

/// Interface that vanishes.
const DOOMED: &str = "doomed0";

/// Starts a load in the background.
fn start(words: &[&str]) -> Result<Daemon> {
    let mut line = vec!["dns-tracectl", "load", "--netns", "server"];
    line.extend(words);
    Daemon::start("load", &mut sh::command(&line))
}

/// Between the look-up of the interface and the attachment a load waits for its turn: whoever holds the
/// lock can take the interface away meanwhile.
fn vanish(words: &[&str], code: i32, said: &[&str]) -> Result<()> {
    sh(&["ip", "-n", "server", "link", "add", DOOMED, "type", "dummy"])?;
    let lock = File::open(format!("{BUNDLE_ROOT}/_lock")).context("there is no lock")?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let load = start(&[words, &["--iface", DOOMED, "--instance", "second"]].concat())?.ready(
        20,
        |load| {
            let waits = format!("WRITE {} ", load.pid());
            let locks = fs::read_to_string("/proc/locks")?;
            Ok(locks
                .lines()
                .any(|l| l.contains("->") && l.contains(&waits)))
        },
    )?;
    sh(&["ip", "-n", "server", "link", "del", DOOMED])?;
    drop(lock);
    load.outcome(60)?.exits(code)?.refuses(said)?;
    let mut left = names(BUNDLE_ROOT)?;
    left.retain(|name| !name.contains('.') && !name.starts_with('_'));
    ensure!(left == ["first"], "besides the first: {left:?}");
    Ok(())
}

/// Both ways, beside an instance that stays as it is.
pub(crate) fn interface_vanishes() -> Result<()> {
    net::create()?;
    load_at_server(&["--local", "--hook", "tc", "--instance", "first"])?.ok()?;
    for hook in ["tc", "xdp"] {
        let gone = [DOOMED, "vanished", "ip link"];
        vanish(&["--local", "--hook", hook], 3, &gone)?;
    }
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("vanish")?;
    let refused = [DOOMED, "no such interface"];
    vanish(&["--image", &image, "--hook", "tc"], 5, &refused)?;
    ctl(&["unload", "--instance", "first"])?.ok()?;
    nothing_left()
}

/// The daemon is killed while it pulls: the registry has accepted its connection and is stopped.
pub(crate) fn daemon_dies_pulling() -> Result<()> {
    net::create()?;
    let registry = registry::start()?;
    let bpfman = registry::bpfman()?;
    let image = push("dies")?;
    registry.signal(Signal::STOP)?;
    let load = start(&["--image", &image, "--hook", "tc", "--iface", SERVER_DEVICE])?
        .ready(30, |_| is_pulling())?;
    bpfman.signal(Signal::KILL)?;
    load.outcome(30)?
        .exits(5)?
        .refuses(&["bpfman daemon", "journalctl", "dns-tracectl unload"])?;
    drop(bpfman);
    registry.signal(Signal::CONT)?;
    let _bpfman = registry::bpfman()?;
    ctl(&["unload"])?.exits(3)?.refuses(&["not loaded"])?;
    nothing_left()?;
    load_hook("tc", &["--image", &image])?.ok()?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Whether a connection to the registry is established (state 01).
fn is_pulling() -> Result<bool> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    Ok(table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(2).is_some_and(|to| to.ends_with(":1388")) && fields.get(3) == Some(&"01")
    }))
}

/// The daemon is killed when it has loaded the programs and our tool has not attached them yet. They
/// stay, since they are pinned; the error says how they go.
pub(crate) fn daemon_dies_loaded() -> Result<()> {
    net::create()?;
    let _registry = registry::start()?;
    let bpfman = registry::bpfman()?;
    let image = push("dies")?;
    let load = stopped_when_loaded(&image)?;
    bpfman.signal(Signal::KILL)?;
    drop(bpfman);
    load.signal(Signal::CONT)?;
    load.outcome(30)?
        .exits(5)?
        .refuses(&["bpfman", "dns-tracectl unload --instance default"])?;
    ensure!(
        !Path::new(BUNDLE_ROOT).exists(),
        "the failed load left {BUNDLE_ROOT}"
    );
    ctl(&["unload"])?.exits(3)?;
    let _bpfman = registry::bpfman()?;
    ctl(&["unload", "--instance", "default"])?.ok()?;
    nothing_left()
}

/// A load through bpfman, stopped while the daemon loads, and the daemon done with that.
fn stopped_when_loaded(image: &str) -> Result<Daemon> {
    // The programs that tell owners do not load on every kernel, and then the daemon takes all back.
    let load = start(&[
        "--image",
        image,
        "--hook",
        "tc",
        "--no-owners",
        "--iface",
        SERVER_DEVICE,
    ])?
    .ready(60, |_| has_pin("prog_"))?;
    load.signal(Signal::STOP)?;
    sh::wait_for("the daemon's load", 30, || {
        Ok(sh(&["bpfman", "list", "programs"])?.contains(PROG_TC_EGRESS))
    })?;
    Ok(load)
}

fn has_pin(prefix: &str) -> Result<bool> {
    Ok(names(registry::PINS)?
        .iter()
        .any(|name| name.starts_with(prefix)))
}

/// Our tool is killed half-way: the next load and the next unload put it in order. What is there by then
/// is root's alone, so a reader is sent to `grant`, and that refuses.
pub(crate) fn killed_locally() -> Result<()> {
    net::create()?;
    let folder = format!("{BUNDLE_ROOT}/{DEFAULT_INSTANCE}/{LOCAL_DIR}");
    for place in ["facts", "programs", "links"] {
        let place = format!("{folder}/{place}");
        for next in ["load", "unload"] {
            kill_at(&place)?;
            sh::run(&mut unprivileged(Some(GROUP), &["dns-trace", "watch"]))?
                .exits(4)?
                .refuses(&["dns-tracectl grant"])?;
            ctl(&["grant"])?
                .exits(3)?
                .refuses(&["interrupted", "unload"])?;
            if next == "load" {
                let load = load_hook("tc", &["--local"])?.ok()?;
                ensure!(
                    load.stdout.contains("interrupted load"),
                    "it said nothing of what it found: {}",
                    load.stdout
                );
            }
            ctl(&["unload"])?.ok()?;
            nothing_left()?;
        }
    }
    Ok(())
}

/// Kills a load as soon as a folder has something in it, and insists that it was not through by then.
fn kill_at(folder: &str) -> Result<()> {
    const TRIES: u32 = 10;
    let rings = format!("{BUNDLE_ROOT}/{DEFAULT_INSTANCE}/{RINGS_DIR}");
    for _ in 0..TRIES {
        let mut load = start(&["--local", "--hook", "tc", "--iface", SERVER_DEVICE])?;
        while load.runs()? && names(folder)?.is_empty() {}
        if load.runs()? {
            load.signal(Signal::KILL)?;
        }
        load.wait(10)?;
        if !Path::new(&rings).exists() {
            ensure!(!names(folder)?.is_empty(), "{folder} is empty");
            return Ok(());
        }
        ctl(&["unload"])?.ok()?;
    }
    bail!("{TRIES} loads were through before they could be killed")
}

/// The same through bpfman, which carries out what it was asked for.
pub(crate) fn killed_with_bpfman() -> Result<()> {
    net::create()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("killed")?;
    for next in ["load", "unload"] {
        let mut load = stopped_when_loaded(&image)?;
        load.signal(Signal::KILL)?;
        load.wait(10)?;
        if next == "load" {
            let load = load_hook("tc", &["--image", &image])?.ok()?;
            ensure!(
                load.stdout.contains("interrupted load"),
                "it said nothing of what it found: {}",
                load.stdout
            );
        }
        ctl(&["unload"])?.ok()?;
        nothing_left()?;
    }
    Ok(())
}
