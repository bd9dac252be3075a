//! What can go wrong while `load --follow` stays: a hook without room, other programs in the place of those that
//! are loaded, and more messages than the kernel keeps.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::follow::{Container, QUESTIONS, at, follow, host, index, reported, says};
use super::neighbours::{attach_foreign, load_foreign};
use super::upgrade::other_object;
use crate::init::note;
use crate::lab::ctl::{ctl, nothing_left, push};
use crate::lab::daemon::Daemon;
use crate::lab::foreign;
use crate::lab::reader::Watch;
use crate::lab::registry;
use crate::lab::sh::sh;

/// In which two tries fail, and in which an idle follower must not run.
const A_WHILE: Duration = Duration::from_secs(4);
/// The size of a socket's buffer unless it asks for another.
const BUFFER: &str = "net.core.rmem_default";

/// Another vendor's program holds the only place for XDP, and leaves it.
pub(crate) fn held() -> Result<()> {
    let _names = host()?;
    let (first, second) = (Container(1), Container(2));
    first.start("veth1")?;
    second.start("veth2")?;
    let holder = foreign::hold("xdp", "veth1")?;
    let follower = follow(&["--local", "--hook", "xdp", "--iface", "veth*"])?;
    says(&follower, "attached veth2 ", 1)?;
    gets_free(&follower, "local", &[foreign::XDP, "guest"], || {
        drop(holder);
        Ok(())
    })?;
    // With nothing left out, only messages wake it.
    thread::sleep(Duration::from_secs(1));
    let before = wakes(follower.pid())?;
    thread::sleep(A_WHILE);
    let woken = wakes(follower.pid())? - before;
    ensure!(woken == 0, "an idle follower ran {woken} times");
    asks_at_both(&[first, second])?;
    ctl(&["unload"])?.ok()?;
    follower.outcome(20)?.exits(3)?;
    nothing_left()
}

/// bpfman's dispatcher has its ten programs, until they are unloaded.
pub(crate) fn full() -> Result<()> {
    let _names = host()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("full")?;
    let (first, second) = (Container(1), Container(2));
    first.start("veth1")?;
    second.start("veth2")?;
    let id = load_foreign("tc", foreign::PIPE)?;
    for _ in 0..10 {
        let place = ["--direction", "ingress", "--priority", "20"];
        attach_foreign("tc", &id, "veth1", &place)?;
    }
    let follower = follow(&["--image", &image, "--hook", "tc", "--iface", "veth*"])?;
    says(&follower, "attached veth2 ", 1)?;
    gets_free(&follower, "bpfman", &["has 10 programs", "acme"], || {
        sh(&["bpfman", "unload", &id]).map(drop)
    })?;
    asks_at_both(&[first, second])?;
    ctl(&["unload"])?.ok()?;
    follower.outcome(20)?.exits(3)?;
    nothing_left()
}

/// `veth1` is left out, which is said once, and attached once there is room.
fn gets_free(
    follower: &Daemon,
    way: &str,
    why: &[&str],
    free: impl FnOnce() -> Result<()>,
) -> Result<()> {
    says(follower, "left out veth1 ", 1)?;
    at(way, &["veth2"])?;
    thread::sleep(A_WHILE);
    says(follower, "left out veth1 ", 1)?;
    let said = follower.stderr();
    let line = said.lines().find(|line| line.contains("left out"));
    let line = line.unwrap_or_default();
    for word in why {
        ensure!(line.contains(word), "no word of {word:?} in: {line}");
    }
    free()?;
    says(follower, "attached veth1 ", 1)?;
    at(way, &["veth1", "veth2"])
}

/// Lookups of both are reported, once each.
fn asks_at_both(boxes: &[Container; 2]) -> Result<()> {
    let watch = Watch::start(&[])?;
    for one in boxes {
        one.asks()?;
    }
    reported(
        &watch.stop()?,
        &[("veth1", QUESTIONS), ("veth2", QUESTIONS)],
    )
}

/// How often the threads of a process gave up the processor to wait, which is as often as they were woken.
fn wakes(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.context("no switches")?.trim().parse::<u64>()?;
    }
    Ok(sum)
}

/// What comes after an upgrade, and what comes meanwhile, gets the new programs.
pub(crate) fn upgrade() -> Result<()> {
    let _names = host()?;
    let other = other_object()?;
    let boxes = [Container(1), Container(2), Container(3), Container(4)];
    let [first, second, third, fourth] = &boxes;
    first.start("veth1")?;
    let follower = follow(&["--local", "--hook", "tc", "--iface", "veth*"])?;
    says(&follower, "attached veth1 ", 1)?;
    let watch = Watch::start(&[])?;
    first.asks()?;
    let old = programs_at("veth1")?;
    let there = ["upgrade", "--object", &other];
    ctl(&there)?.ok()?;
    second.start("veth2")?;
    says(&follower, "attached veth2 ", 1)?;
    let new = programs_at("veth2")?;
    ensure!(old.is_disjoint(&new), "veth2 has old programs: {new:?}");
    ensure!(
        programs_at("veth1")? == new,
        "veth1 has others than {new:?}"
    );
    first.asks()?;
    second.asks()?;
    // One appears while it is upgraded, back and there.
    for (device, container, words) in [
        ("veth3", third, ["upgrade"].as_slice()),
        ("veth4", fourth, &there),
    ] {
        thread::scope(|scope| {
            let upgraded = scope.spawn(|| ctl(words)?.ok());
            let started = container.start(device);
            upgraded.join().ok().context("a thread panicked")??;
            started
        })?;
        says(&follower, &format!("attached {device} "), 1)?;
    }
    let last = programs_at("veth1")?;
    for device in ["veth2", "veth3", "veth4"] {
        let found = programs_at(device)?;
        ensure!(found == last, "{device} has {found:?}, veth1 {last:?}");
    }
    ensure!(last.is_disjoint(&new), "nothing was upgraded");
    for one in &boxes {
        one.asks()?;
    }
    let q = QUESTIONS;
    let expected = [
        ("veth1", 3 * q),
        ("veth2", 2 * q),
        ("veth3", q),
        ("veth4", q),
    ];
    reported(&watch.stop()?, &expected)?;
    let said = follower.stderr();
    ensure!(!said.contains("left out"), "it left one out: {said}");
    ctl(&["unload"])?.ok()?;
    follower.outcome(20)?.exits(3)?;
    nothing_left()
}

/// Kernel ids of the programs in the filters of a device: one each way.
fn programs_at(device: &str) -> Result<BTreeSet<u32>> {
    let mut ids = BTreeSet::new();
    for way in ["ingress", "egress"] {
        let shown = sh(&["tc", "-j", "filter", "show", "dev", device, way])?;
        let filters: Value = serde_json::from_str(&shown).context("tc printed no JSON")?;
        let filters = filters.as_array().cloned().unwrap_or_default();
        let found: Vec<u32> = filters
            .iter()
            .filter_map(|filter| filter.pointer("/options/prog/id"))
            .filter_map(|id| u32::try_from(id.as_u64()?).ok())
            .collect();
        ensure!(found.len() == 1, "programs at {device} {way}: {shown}");
        ids.extend(found);
    }
    Ok(ids)
}

/// The follower stands still while more happens than its socket holds: some come, one goes, and one is moved
/// away and back, without its filters. Of the last two it never gets a message.
pub(crate) fn overrun() -> Result<()> {
    let _names = host()?;
    let boxes: Vec<Container> = (1..=10).map(Container).collect();
    let devices: Vec<String> = boxes.iter().map(|one| format!("veth{}", one.0)).collect();
    let started: Vec<(&Container, &String)> = boxes.iter().zip(&devices).collect();
    let (old, new) = started.split_at(2);
    for (one, device) in old {
        one.start(device)?;
    }
    let follower = narrow(|| follow(&["--local", "--hook", "tc", "--iface", "veth*"]))?;
    says(&follower, "attached veth1 ", 1)?;
    says(&follower, "attached veth2 ", 1)?;
    let watch = Watch::start(&[])?;
    for (one, _) in old {
        one.asks()?;
    }
    let before = dropped(&follower)?;
    follower.signal(Signal::STOP)?;
    for (one, device) in new {
        one.start(device)?;
    }
    let gone = index("veth2")?;
    sh(&["ip", "link", "del", "veth2"])?;
    let [first, _, third, ..] = boxes.as_slice() else {
        anyhow::bail!("too few");
    };
    let away = third.namespace();
    sh(&["ip", "link", "set", "veth1", "netns", &away])?;
    sh(&["ip", "-n", &away, "link", "set", "veth1", "netns", "1"])?;
    first.address("veth1")?;
    let lost = dropped(&follower)? - before;
    ensure!(lost > 0, "the kernel has dropped no message");
    follower.signal(Signal::CONT)?;
    for (_, device) in new {
        says(&follower, &format!("attached {device} "), 1)?;
    }
    says(&follower, "attached veth1 ", 2)?;
    says(&follower, &format!("(index {gone}): it is gone"), 1)?;
    let there: Vec<&str> = devices.iter().map(String::as_str).collect();
    let there: Vec<&str> = there.into_iter().filter(|d| *d != "veth2").collect();
    at("local", &there)?;
    for (one, device) in &started {
        if *device != "veth2" {
            one.asks()?;
        }
    }
    let mut expected: Vec<(&str, usize)> = there.iter().map(|d| (*d, QUESTIONS)).collect();
    expected.extend([("veth1", QUESTIONS), ("veth2", QUESTIONS)]);
    reported(&watch.stop()?, &sums(&expected))?;
    note(&format!(
        "{lost} messages dropped by the kernel, {} interfaces found all the same",
        new.len()
    ))?;
    ctl(&["unload"])?.ok()?;
    follower.outcome(20)?.exits(3)?;
    nothing_left()
}

/// The sums by name, in order.
fn sums<'a>(counts: &[(&'a str, usize)]) -> Vec<(&'a str, usize)> {
    let mut sums = std::collections::BTreeMap::new();
    for (name, count) in counts {
        *sums.entry(*name).or_insert(0) += count;
    }
    sums.into_iter().collect()
}

/// Runs something while sockets are made with a small buffer, of two messages or so.
fn narrow<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = sh(&["sysctl", "-n", BUFFER])?;
    let set = |bytes: &str| sh(&["sysctl", "-q", "-w", &format!("{BUFFER}={bytes}")]);
    set("4096")?;
    let result = run();
    set(before.trim())?;
    result
}

/// Messages that a process's netlink sockets have lost, as the kernel counts them.
fn dropped(process: &Daemon) -> Result<u64> {
    let mut sockets = BTreeSet::new();
    for file in fs::read_dir(format!("/proc/{}/fd", process.pid()))? {
        let target = fs::read_link(file?.path())?.to_string_lossy().into_owned();
        let inode = target.strip_prefix("socket:[").map(str::to_owned);
        sockets.extend(inode.map(|inode| inode.trim_end_matches(']').to_owned()));
    }
    // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
    let table = fs::read_to_string("/proc/net/netlink")?;
    let drops = table.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_theirs = sockets.contains(*columns.get(9)?);
        is_theirs.then(|| columns.get(8)?.parse::<u64>().ok())?
    });
    Ok(drops.sum())
}
