//! `dns-tracectl upgrade` through bpfman while queries flow: new programs are put beside the old ones, and
//! the reader tells once what both have seen. An image that fails leaves the old programs working.

use anyhow::{Result, ensure};
use dns_trace_event::{BPFMAN_DIR, BUNDLE_ROOT, DEFAULT_INSTANCE};
use rustix::process::Signal;

use super::neighbours::{attach_foreign, load_foreign};
use super::rate::{Sender, send};
use super::upgrade::program_id;
use crate::init::note;
use crate::lab::chains::{drawn, side};
use crate::lab::ctl::{ctl, load_hook, nothing_left, push};
use crate::lab::daemon::Daemon;
use crate::lab::foreign;
use crate::lab::image::future_objects;
use crate::lab::left::names;
use crate::lab::names::NameServers;
use crate::lab::net::{self, SERVER_DEVICE};
use crate::lab::reader::Watch;
use crate::lab::registry::{self, CA, REGISTRY};
use crate::lab::sh::{self, sh};

/// Queries a second, and for how many seconds at most.
const RATE: &str = "400";
const SECONDS: &str = "300";
const QUESTIONS: &str = "www.example.test A\n";

pub(crate) fn tc() -> Result<()> {
    under_load("tc", 1, RATE)
}

/// And what stands at the egress beside it, which is tcx where there is tcx.
pub(crate) fn xdp() -> Result<()> {
    under_load("xdp", 1, RATE)
}

/// Both devices see a message. Few at a time, since the kernel skips a tracepoint program that would interrupt
/// another one.
pub(crate) fn tracepoint() -> Result<()> {
    under_load("tracepoint", 2, "20")
}

/// There and back, while messages come that are seen so many times each.
fn under_load(hook: &str, hops: u64, rate: &str) -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let (first, second) = (push("first")?, push("second")?);
    load_hook(hook, &["--image", &first])?.ok()?;
    let watch = Watch::start(&[])?;
    let sender = Sender::start(QUESTIONS, rate, SECONDS)?;
    for image in [&second, &first] {
        let said = ctl(&["upgrade", "--image", image])?.ok()?.stdout;
        ensure!(said.contains("upgraded default"), "it said: {said}");
    }
    let sent = sender.stop_answered()?;
    let seen = watch.stop()?;
    let twins = seen.number("reader/twins")?;
    ensure!(twins > 0, "no packet was seen by both programs");
    seen.counts(&[
        ("reader/queries", sent * hops),
        ("reader/responses", sent * hops),
        ("reader/lookups", sent),
        ("reader/answered", sent),
        ("reader/orphans", 0),
        ("reader/retransmissions", 0),
        ("reader/twins_evicted", 0),
        ("kernel/submitted", 2 * sent * hops + twins),
        ("kernel/ring_full", 0),
    ])?;
    note(&format!(
        "{sent} queries during two upgrades of {hook} through bpfman, all reported once; {twins} twins"
    ))?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Before another vendor's program, and after other outcomes than by default.
const MANNER: &[&str] = &[
    "--priority",
    "10",
    "--proceed-on",
    "ok,pipe,dispatcher_return",
];

/// Upgrades that are killed while both programs stand side by side: nothing is told twice meanwhile, `status`
/// says so, and the next command puts it in order.
pub(crate) fn interrupted() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let (first, second) = (push("first")?, push("second")?);
    for next in ["upgrade", "unload"] {
        let id = load_foreign("tc", foreign::PIPE)?;
        for direction in ["ingress", "egress"] {
            let place = ["--direction", direction, "--priority", "20"];
            attach_foreign("tc", &id, SERVER_DEVICE, &place)?;
        }
        load_hook("tc", &[&["--image", &first], MANNER].concat())?.ok()?;
        let before = chains()?;
        let watch = Watch::start(&[])?;
        kill_beside(&second)?;
        let status = ctl(&["status"])?.ok()?.stdout;
        ensure!(
            status.contains("an upgrade was interrupted"),
            "it said: {status}"
        );
        let sent = send(QUESTIONS, "50", "2")?;
        if next == "upgrade" {
            ctl(&["upgrade", "--image", &second])?.ok()?;
            let status = ctl(&["status"])?.ok()?.stdout;
            ensure!(!status.contains("interrupted"), "left over: {status}");
            let after = chains()?;
            ensure!(
                after == before,
                "attached otherwise: {after:#?}, before {before:#?}"
            );
        }
        watch.stop()?.counts(&[
            ("reader/queries", sent.queries),
            ("reader/answered", sent.completed),
            ("reader/orphans", 0),
        ])?;
        ctl(&["unload"])?.ok()?;
        sh(&["bpfman", "unload", &id])?;
        nothing_left()?;
    }
    Ok(())
}

/// The programs at the server's device, in order and with what they go on after.
fn chains() -> Result<[Vec<String>; 2]> {
    let of = |direction| side(direction).map(|side| drawn(&side, "tc"));
    Ok([of("ingress")?, of("egress")?])
}

/// Kills an upgrade when it has attached the first of its programs.
fn kill_beside(image: &str) -> Result<()> {
    let line = ["dns-tracectl", "upgrade", "--image", image];
    let beside = format!("{BUNDLE_ROOT}/{DEFAULT_INSTANCE}/{BPFMAN_DIR}/links_next");
    let mut upgrade = Daemon::start("upgrade", &mut sh::command(&line))?
        .ready(60, |_| Ok(!names(&beside)?.is_empty()))?;
    upgrade.signal(Signal::KILL)?;
    upgrade.wait(10)?;
    ensure!(!names(&beside)?.is_empty(), "it was through before");
    Ok(())
}

/// Images of another ABI, that the daemon cannot have, or that the verifier refuses: the old programs stay,
/// and count on.
pub(crate) fn failing() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let first = push("first")?;
    let objects = future_objects()?;
    let future = format!("{REGISTRY}/future:1");
    let mut line = vec!["image", "push", &future, "--ca-file", CA];
    line.extend(objects.iter().map(String::as_str));
    ctl(&line)?.ok()?;
    load_hook("tc", &["--image", &first])?.ok()?;
    let watch = Watch::start(&[])?;
    let before = program_id()?;
    let fails = |image: &str, code: i32, said: &[&str]| -> Result<()> {
        ctl(&["upgrade", "--image", image])?
            .exits(code)?
            .refuses(said)?;
        ensure!(
            program_id()? == before,
            "a failed upgrade changed the program"
        );
        Ok(())
    };
    fails(&future, 6, &["ABI 2", "ABI 1", "update dns-tracectl"])?;
    let again = ctl(&["upgrade", "--image", &first])?.ok()?.stdout;
    ensure!(again.contains("nothing to do"), "it was done: {again}");
    drop(registry);
    fails(&format!("{REGISTRY}/dns-trace:none"), 5, &["bpfman"])?;
    let status = ctl(&["status"])?.ok()?.stdout;
    ensure!(!status.contains("interrupted"), "left over: {status}");
    let sent = send("www.example.test A\n", "50", "2")?;
    watch.stop()?.counts(&[
        ("reader/queries", sent.queries),
        ("reader/answered", sent.completed),
        ("reader/orphans", 0),
        ("reader/twins", 0),
        ("kernel/submitted", sent.queries + sent.completed),
    ])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}
