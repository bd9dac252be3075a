//! `load --follow` on a host whose interfaces come and go, as one with containers: each has a namespace
//! with a client at its other end, while one reader goes on.

use std::fs;

use anyhow::{Context, Result, ensure};
use dns_trace_event::{BUNDLE_ROOT, DEFAULT_INSTANCE, LINKS_DIR};
use rustix::process::Signal;
use serde_json::Value;

use crate::lab::ctl::{ctl, nothing_left, push};
use crate::lab::daemon::Daemon;
use crate::lab::left::names;
use crate::lab::names::NameServers;
use crate::lab::net::{self, SERVER};
use crate::lab::reader::{Seen, Watch};
use crate::lab::registry;
use crate::lab::sh::{self, sh};

/// The device with the addresses of the name server.
const UPLINK: &str = "up0";
/// Within which the follower has to have done something, seconds.
const SOON: u64 = 20;
/// Questions that each client asks at a time.
pub(super) const QUESTIONS: usize = 3;
/// Lets the reader ask for a name anew: it believes one for a second.
const NAMES_LAST: std::time::Duration = std::time::Duration::from_millis(2_200);

/// A container: a namespace, and a pair of devices from there to here, with a network of its own.
pub(super) struct Container(pub(super) u8);

impl Container {
    pub(super) fn namespace(&self) -> String {
        format!("box{}", self.0)
    }

    /// Makes the namespace, and the pair with that name on this side.
    pub(super) fn start(&self, device: &str) -> Result<()> {
        let namespace = self.namespace();
        sh(&["ip", "netns", "add", &namespace])?;
        ip(&[
            format!("link add {device} type veth peer name eth0 netns {namespace}"),
            format!("-n {namespace} link set lo up"),
            format!("-n {namespace} addr add 10.60.{}.2/24 dev eth0", self.0),
            format!("-n {namespace} link set eth0 up"),
            format!("-n {namespace} route add default via 10.60.{}.1", self.0),
        ])?;
        self.address(device)
    }

    /// Gives the device on this side its address.
    pub(super) fn address(&self, device: &str) -> Result<()> {
        ip(&[
            format!("addr add 10.60.{}.1/24 dev {device}", self.0),
            format!("link set {device} up"),
        ])
    }

    /// Asks the name server, and insists on the answers.
    pub(super) fn asks(&self) -> Result<()> {
        let at = format!("@{}", SERVER.0);
        let dig = [
            "dig",
            &at,
            "www.example.test",
            "A",
            "+tries=1",
            "+time=5",
            "+notcp",
            "+nocookie",
        ];
        for _ in 0..QUESTIONS {
            let said = net::run(&self.namespace(), &dig)?.ok()?.stdout;
            ensure!(said.contains("status: NOERROR,"), "{said}");
        }
        Ok(())
    }
}

fn ip(lines: &[String]) -> Result<()> {
    for line in lines {
        let words: Vec<&str> = std::iter::once("ip").chain(line.split(' ')).collect();
        sh(&words)?;
    }
    Ok(())
}

/// The name server is here, in the namespace in which the programs are attached.
pub(super) fn host() -> Result<NameServers> {
    // Devices go with their namespaces, some time after a scenario.
    sh::wait_for("the end of earlier devices", SOON, || {
        let names = names("/sys/class/net")?;
        Ok(!names.iter().any(|n| n == UPLINK || n.starts_with("veth")))
    })?;
    sh(&["ip", "netns", "attach", "server", "1"])?;
    net::join(UPLINK)?;
    NameServers::start()
}

pub(super) fn follow(words: &[&str]) -> Result<Daemon> {
    let mut line = vec!["dns-tracectl", "load", "--follow", "--no-owners"];
    line.extend(words);
    Daemon::start("follow", &mut sh::command(&line))?
        .ready(120, |d| Ok(d.stderr().contains("following veth*")))
}

/// Waits for the follower's next line with these words.
pub(super) fn says(follower: &Daemon, words: &str, times: usize) -> Result<()> {
    sh::wait_for(words, SOON, || {
        Ok(follower.stderr().matches(words).count() == times)
    })
    .with_context(|| format!("{times} times {words:?} in: {}", follower.stderr()))
}

pub(super) fn index(device: &str) -> Result<u32> {
    let text = fs::read_to_string(format!("/sys/class/net/{device}/ifindex"))?;
    text.trim().parse().context("no index")
}

/// Indexes of the interfaces at which the bundle is attached.
fn attached(way: &str) -> Result<Vec<u32>> {
    let links = names(&format!(
        "{BUNDLE_ROOT}/{DEFAULT_INSTANCE}/{way}/{LINKS_DIR}"
    ))?;
    let mut indexes: Vec<u32> = links
        .iter()
        .filter_map(|name| name.split('-').nth(2)?.parse().ok())
        .filter(|index| *index != 0)
        .collect();
    indexes.sort_unstable();
    indexes.dedup();
    Ok(indexes)
}

pub(super) fn at(way: &str, devices: &[&str]) -> Result<()> {
    let mut wanted = devices
        .iter()
        .map(|d| index(d))
        .collect::<Result<Vec<u32>>>()?;
    wanted.sort_unstable();
    let found = attached(way)?;
    ensure!(
        found == wanted,
        "attached at {found:?}, expected {wanted:?} ({devices:?})"
    );
    Ok(())
}

/// How many lookups are reported at each interface.
fn by_interface(lookups: &[Value]) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for line in lookups {
        let name = line.pointer("/observer/ingress/interface/name");
        let name = name.and_then(Value::as_str).unwrap_or("nameless");
        *counts.entry(name.to_owned()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

/// Insists on so many lookups at each interface, whole, and nothing else.
pub(super) fn reported(seen: &Seen, expected: &[(&str, usize)]) -> Result<()> {
    let expected: Vec<(String, usize)> = expected
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect();
    let found = by_interface(&seen.lookups);
    ensure!(
        found == expected,
        "lookups by interface: {found:?}, expected {expected:?}"
    );
    let asked = expected.iter().map(|(_, count)| *count as u64).sum();
    seen.counts(&[
        ("reader/queries", asked),
        ("reader/answered", asked),
        ("reader/lookups", asked),
        ("reader/orphans", 0),
        ("reader/heartbeat_stops", 0),
        ("reader/reloads", 0),
        ("kernel/submitted", 2 * asked),
        ("kernel/ring_full", 0),
    ])
}

/// Without a daemon: TCX where the kernel has it, else tc.
pub(crate) fn locally() -> Result<()> {
    come_and_go(&["--local"])
}

pub(crate) fn xdp() -> Result<()> {
    come_and_go(&["--local", "--hook", "xdp"])
}

fn come_and_go(words: &[&str]) -> Result<()> {
    let _names = host()?;
    let load = [&["load", "--no-owners", "--iface", "veth*"], words].concat();
    ctl(&load)?
        .exits(3)?
        .refuses(&["veth*", UPLINK, "--follow"])?;
    let boxes = [Container(1), Container(2), Container(3), Container(4)];
    let [first, second, third, fourth] = &boxes;
    first.start("veth1")?;
    let line = [&["--iface", "veth*"], words].concat();
    let follower = follow(&line)?;
    says(&follower, "attached veth1 ", 1)?;
    let again = [
        &["load", "--follow", "--no-owners", "--iface", "veth*"],
        words,
    ]
    .concat();
    let pid = follower.pid().to_string();
    ctl(&again)?
        .exits(1)?
        .refuses(&["followed already", &pid])?;
    let watch = Watch::start(&[])?;
    first.asks()?;

    // Three more appear.
    second.start("veth2")?;
    third.start("veth3")?;
    fourth.start("veth4")?;
    for device in ["veth2", "veth3", "veth4"] {
        says(&follower, &format!("attached {device} "), 1)?;
    }
    at("local", &["veth1", "veth2", "veth3", "veth4"])?;
    for one in &boxes {
        one.asks()?;
    }
    let status = ctl(&["status"])?.ok()?.stdout;
    ensure!(status.contains("veth4"), "status lacks veth4: {status}");

    // One goes, and comes back under its name with another index.
    let old = index("veth1")?;
    sh(&["ip", "link", "del", "veth1"])?;
    says(
        &follower,
        &format!("detached veth1 (index {old}): it is gone"),
        1,
    )?;
    at("local", &["veth2", "veth3", "veth4"])?;
    sh(&["ip", "netns", "del", &first.namespace()])?;
    first.start("veth1")?;
    says(&follower, "attached veth1 ", 2)?;
    ensure!(index("veth1")? != old, "it has its old index");
    first.asks()?;

    // Out of the pattern, back into it, and within.
    rename("veth2", "lan2")?;
    says(&follower, "detached veth2 ", 1)?;
    at("local", &["veth1", "veth3", "veth4"])?;
    second.asks()?;
    rename("lan2", "veth2b")?;
    says(&follower, "attached veth2b ", 1)?;
    std::thread::sleep(NAMES_LAST);
    second.asks()?;

    // Into another namespace and back, with its index.
    let moved = index("veth3")?;
    sh(&["ip", "link", "set", "veth3", "netns", &fourth.namespace()])?;
    says(
        &follower,
        &format!("detached veth3 (index {moved}): it is gone"),
        1,
    )?;
    sh(&[
        "ip",
        "-n",
        &fourth.namespace(),
        "link",
        "set",
        "veth3",
        "netns",
        "1",
    ])?;
    says(&follower, "attached veth3 ", 2)?;
    third.address("veth3")?;
    third.asks()?;
    at("local", &["veth1", "veth2b", "veth3", "veth4"])?;

    // What is loaded again is loaded already.
    let said = ctl(&load)?.ok()?.stdout;
    ensure!(said.contains("nothing to do"), "it said: {said}");

    let q = QUESTIONS;
    let expected = [
        // Before the others came, beside them, and anew.
        ("veth1", 3 * q),
        // Not as lan2.
        ("veth2", q),
        ("veth2b", q),
        ("veth3", 2 * q),
        ("veth4", q),
    ];
    reported(&watch.stop()?, &expected)?;
    ends(follower, &line)?;
    nothing_left()
}

/// A signal ends it and leaves the bundle; one that goes on finds what went meanwhile, and ends when the
/// bundle goes.
fn ends(follower: Daemon, words: &[&str]) -> Result<()> {
    follower.signal(Signal::TERM)?;
    let said = follower.outcome(10)?.ok()?.stderr;
    ensure!(said.contains("default stays loaded"), "it said: {said}");
    let old = index("veth4")?;
    sh(&["ip", "link", "del", "veth4"])?;
    ensure!(attached("local")?.contains(&old), "who has detached it?");
    let next = follow(words)?;
    says(&next, &format!("detached an interface (index {old})"), 1)?;
    at("local", &["veth1", "veth2b", "veth3"])?;
    ctl(&["unload"])?.ok()?;
    next.outcome(10)?.exits(3).map(drop)
}

/// Down and up again: before Linux 6.3 a device that is up keeps its name.
fn rename(from: &str, to: &str) -> Result<()> {
    ip(&[
        format!("link set {from} down"),
        format!("link set {from} name {to}"),
        format!("link set {to} up"),
    ])
}

/// Through bpfman: one comes, one goes.
pub(crate) fn bpfman() -> Result<()> {
    let _names = host()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("follow")?;
    let (first, second) = (Container(1), Container(2));
    first.start("veth1")?;
    let follower = follow(&["--image", &image, "--iface", "veth*"])?;
    says(&follower, "attached veth1 ", 1)?;
    let watch = Watch::start(&[])?;
    second.start("veth2")?;
    says(&follower, "attached veth2 ", 1)?;
    at("bpfman", &["veth1", "veth2"])?;
    first.asks()?;
    second.asks()?;
    let gone = index("veth1")?;
    sh(&["ip", "link", "del", "veth1"])?;
    says(
        &follower,
        &format!("detached veth1 (index {gone}): it is gone"),
        1,
    )?;
    at("bpfman", &["veth2"])?;
    second.asks()?;
    let seen = watch.stop()?;
    let found = by_interface(&seen.lookups);
    let expected = [
        ("veth1".to_owned(), QUESTIONS),
        ("veth2".to_owned(), 2 * QUESTIONS),
    ];
    ensure!(
        found == expected,
        "lookups by interface: {found:?}, expected {expected:?}"
    );
    seen.counts(&[("reader/orphans", 0), ("reader/heartbeat_stops", 0)])?;
    ctl(&["unload"])?.ok()?;
    let said = follower.outcome(20)?.exits(3)?.stderr;
    ensure!(said.contains("was unloaded"), "it said: {said}");
    nothing_left()
}
