//! Other vendors at the same hooks: what can coexist does, and `status` draws all of it; what cannot is
//! refused with the holder's name.

use anyhow::{Result, ensure};
use dns_trace_event::{PROG_TC_INGRESS, PROG_TCX, PROG_XDP};

use super::by_hand::id_of;
use super::pipeline::look_up_and_compare;
use crate::lab::chains::{drawn, fits_a_terminal, same, side};
use crate::lab::ctl::{ctl, load_hook, nothing_left, push};
use crate::lab::foreign::{self, hold};
use crate::lab::names::NameServers;
use crate::lab::net::{self, SERVER_DEVICE};
use crate::lab::registry;
use crate::lab::sh::{self, Outcome, sh};

/// Where bpftool pins the foreign programs.
const PINS: &str = "/sys/fs/bpf/foreign";

/// A TCX program of another process behind ours, and a filter of `tc` behind both.
pub(crate) fn tcx() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load_hook("tcx", &["--local"])?.ok()?;
    let holder = hold("tcx", SERVER_DEVICE)?;
    add_filter()?;
    let side = side("ingress")?;
    let ours = format!("{PROG_TCX} by dns-trace default");
    let theirs = format!("{} by user 0 guest {}", foreign::NEXT, holder.pid());
    let filter = format!("{} 7:1 by user 0", foreign::NEXT);
    same(&drawn(&side, "tcx"), &[&ours, &theirs])?;
    same(&drawn(&side, "tc"), &[&filter])?;
    fits_a_terminal()?;
    look_up_and_compare(1)?;
    drop(holder);
    ctl(&["unload"])?.ok()?;
    remove_filter()?;
    nothing_left()
}

/// A filter of `tc` before ours.
pub(crate) fn tc() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    add_filter()?;
    load_hook("tc", &["--local"])?.ok()?;
    let side = side("ingress")?;
    let theirs = format!("{} 7:1 by user 0", foreign::NEXT);
    let ours = format!("{PROG_TC_INGRESS} 50:1 by dns-trace default");
    same(&drawn(&side, "tc"), &[&theirs, &ours])?;
    fits_a_terminal()?;
    look_up_and_compare(1)?;
    ctl(&["unload"])?.ok()?;
    // The queueing discipline was theirs, and stays with the filter.
    let filters = filters()?;
    ensure!(
        filters.contains(foreign::NEXT),
        "their filter is gone: {filters}"
    );
    remove_filter()?;
    nothing_left()
}

/// XDP has room for one: a native program, libxdp's dispatcher, bpfman's.
pub(crate) fn xdp() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let holder = hold("xdp", SERVER_DEVICE)?;
    let pid = format!("process {}", holder.pid());
    refused(
        &["--local"],
        &[foreign::XDP, "uid 0", "guest", &pid, "--hook tcx"],
    )?;
    drop(holder);

    xdp_loader(&[
        "load",
        "--mode",
        "skb",
        SERVER_DEVICE,
        foreign::OBJECT,
        "--prog-name",
        foreign::XDP,
    ])?
    .ok()?;
    refused(
        &["--local"],
        &["libxdp", foreign::XDP, "xdp-loader unload srv0 --all"],
    )?;
    xdp_loader(&["unload", SERVER_DEVICE, "--all"])?.ok()?;

    load_hook("xdp", &["--local"])?.ok()?;
    let theirs = xdp_loader(&["load", "--mode", "skb", SERVER_DEVICE, foreign::OBJECT])?;
    ensure!(theirs.code != Some(0), "xdp-loader took the place of ours");
    let ours = format!("{PROG_XDP} by dns-trace default");
    same(&drawn(&side("ingress")?, "xdp"), &[&ours])?;
    refused(
        &["--local", "--instance", "two"],
        &["instance default", PROG_XDP],
    )?;
    look_up_and_compare(1)?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// bpfman's dispatcher takes ours beside another vendor's program; others are refused.
pub(crate) fn dispatcher() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("neighbours")?;
    let id = load_foreign("xdp", foreign::XDP)?;
    attach_foreign("xdp", &id, SERVER_DEVICE, &["--priority", "20"])?;
    refused(
        &["--local"],
        &["held by bpfman", foreign::XDP, "acme", "--image"],
    )?;
    load_hook("xdp", &["--image", &image])?.ok()?;
    let theirs = format!(
        "{} by bpfman acme, goes on after pass dispatcher_return",
        foreign::XDP
    );
    let ours = format!("{PROG_XDP} by dns-trace default, goes on after pass dispatcher_return");
    same(&drawn(&side("ingress")?, "xdp"), &[&theirs, &ours])?;
    fits_a_terminal()?;
    look_up_and_compare(1)?;
    ctl(&["unload"])?.ok()?;
    sh(&["bpfman", "unload", &id])?;

    xdp_loader(&[
        "load",
        "--mode",
        "skb",
        SERVER_DEVICE,
        foreign::OBJECT,
        "--prog-name",
        foreign::XDP,
    ])?
    .ok()?;
    refused(
        &["--image", &image],
        &["libxdp", "xdp-loader unload srv0 --all"],
    )?;
    xdp_loader(&["unload", SERVER_DEVICE, "--all"])?.ok()?;
    nothing_left()
}

/// Ten programs of bpfman fill a hook: ours is refused as the eleventh, and leaves nothing.
pub(crate) fn eleventh() -> Result<()> {
    refused_as_eleventh(1, &["has 10 programs of bpfman", foreign::PIPE, "acme"])
}

/// A kernel that does not tell what an extension extends: the daemon refuses, and leaves nothing either.
pub(crate) fn eleventh_asks_the_daemon() -> Result<()> {
    refused_as_eleventh(5, &["No room", "at most ten programs"])
}

fn refused_as_eleventh(code: i32, words: &[&str]) -> Result<()> {
    net::create()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("eleventh")?;
    let id = load_foreign("tc", foreign::PIPE)?;
    for _ in 0..10 {
        attach_foreign(
            "tc",
            &id,
            SERVER_DEVICE,
            &["--direction", "ingress", "--priority", "20"],
        )?;
    }
    load_hook("tc", &["--image", &image])?
        .exits(code)?
        .refuses(words)?;
    nothing_left()?;
    sh(&["bpfman", "unload", &id])?;
    load_hook("tc", &["--image", &image])?.ok()?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Two vendors ship us: each instance has its programs, rings and readers.
pub(crate) fn two_instances() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load_hook("tc", &["--local"])?.ok()?;
    load_hook("tc", &["--local", "--instance", "two", "--priority", "60"])?.ok()?;
    let one = format!("{PROG_TC_INGRESS} 50:1 by dns-trace default");
    let two = format!("{PROG_TC_INGRESS} 60:1 by dns-trace two");
    same(&drawn(&side("ingress")?, "tc"), &[&one, &two])?;
    look_up_and_compare(1)?;
    ctl(&["unload", "--instance", "two"])?.ok()?;
    same(&drawn(&side("ingress")?, "tc"), &[&one])?;
    look_up_and_compare(1)?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Insists that a load at XDP is refused and that nothing comes of it.
fn refused(words: &[&str], said: &[&str]) -> Result<()> {
    let before = sh(&["bpftool", "-j", "prog", "show"])?;
    load_hook("xdp", words)?.exits(1)?.refuses(said)?;
    let after = sh(&["bpftool", "-j", "prog", "show"])?;
    ensure!(before == after, "a refused load left programs: {after}");
    Ok(())
}

/// A filter with priority 7 and handle 1 at the ingress of the server's device.
fn add_filter() -> Result<()> {
    sh(&["bpftool", "prog", "loadall", foreign::OBJECT, PINS])?;
    for words in [
        "qdisc add dev srv0 clsact".to_owned(),
        format!(
            "filter add dev srv0 ingress prio 7 handle 1 bpf direct-action object-pinned {PINS}/{}",
            foreign::NEXT
        ),
    ] {
        tc_at_server(&words)?.ok()?;
    }
    sh(&["rm", "-r", PINS])?;
    Ok(())
}

fn filters() -> Result<String> {
    Ok(tc_at_server("filter show dev srv0 ingress")?.ok()?.stdout)
}

fn remove_filter() -> Result<()> {
    tc_at_server("qdisc del dev srv0 clsact")?.ok()?;
    Ok(())
}

fn tc_at_server(words: &str) -> Result<Outcome> {
    let mut line = vec!["tc"];
    line.extend(words.split(' '));
    at_server(&line)
}

fn xdp_loader(words: &[&str]) -> Result<Outcome> {
    let mut line = vec!["xdp-loader"];
    line.extend(words);
    at_server(&line)
}

/// Runs a command in the server's network namespace and nowhere else: `ip netns exec` would give it
/// another `/sys`, and pins that vanish with it.
fn at_server(words: &[&str]) -> Result<Outcome> {
    let namespace = format!("--net={}", net::path("server"));
    let mut line = vec!["nsenter", &namespace];
    line.extend(words);
    sh::run(&mut sh::command(&line))
}

/// Loads a foreign program through bpfman and returns its id.
pub(super) fn load_foreign(kind: &str, program: &str) -> Result<String> {
    let programs = format!("{kind}:{program}");
    sh(&[
        "bpfman",
        "load",
        "file",
        "--path",
        foreign::OBJECT,
        "--programs",
        &programs,
        "--application",
        "acme",
    ])?;
    id_of(program)
}

pub(super) fn attach_foreign(kind: &str, id: &str, device: &str, words: &[&str]) -> Result<()> {
    let netns = net::path("server");
    let mut line = vec![
        "bpfman", "attach", id, kind, "--iface", device, "--netns", &netns,
    ];
    line.extend(words);
    sh(&line)?;
    Ok(())
}
