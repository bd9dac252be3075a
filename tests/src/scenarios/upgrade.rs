//! `dns-tracectl upgrade` while queries flow: no lookup lost, none reported twice, the reader goes on; an
//! object that fails leaves the old programs working.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::rate::{Sender, send};
use crate::init::note;
use crate::lab::ctl::{ctl, load_hook, nothing_left, status, unpack_object};
use crate::lab::foreign;
use crate::lab::names::NameServers;
use crate::lab::net;
use crate::lab::reader::Watch;

/// Queries a second, and for how many seconds at most.
const RATE: &str = "400";
const SECONDS: &str = "120";
/// There and back.
const UPGRADES: usize = 2;

pub(crate) fn tcx() -> Result<()> {
    under_load("tcx")
}

pub(crate) fn tc() -> Result<()> {
    under_load("tc")
}

pub(crate) fn xdp() -> Result<()> {
    under_load("xdp")
}

fn under_load(hook: &str) -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let other = other_object()?;
    load_hook(hook, &["--local"])?.ok()?;
    let watch = Watch::start(&[])?;
    let sender = Sender::start("www.example.test A\n", RATE, SECONDS)?;
    let there = ["upgrade", "--object", &other];
    let turns = [there.as_slice(), &["upgrade"]].into_iter().cycle();
    for words in turns.take(UPGRADES) {
        let said = ctl(words)?.ok()?.stdout;
        ensure!(said.contains("upgraded default"), "it said: {said}");
    }
    let sent = sender.stop_answered()?;
    let seen = watch.stop()?;
    seen.counts(&[
        ("reader/queries", sent),
        ("reader/responses", sent),
        ("reader/lookups", sent),
        ("reader/answered", sent),
        ("reader/orphans", 0),
        ("reader/retransmissions", 0),
        ("kernel/submitted", 2 * sent),
        ("kernel/ring_full", 0),
    ])?;
    note(&format!(
        "{sent} queries during {UPGRADES} upgrades of {hook}, all reported once"
    ))?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Objects that are damaged, foreign, or of which the registry knows nothing: the old programs stay,
/// and count on.
pub(crate) fn failing() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    ctl(&["upgrade"])?.exits(3)?.refuses(&["not loaded"])?;
    let object = other_object()?;
    let half = "/run/lab/half.o";
    let bytes = fs::read(&object)?;
    fs::write(half, bytes.get(..bytes.len() / 2).unwrap_or_default())?;
    load_hook("tc", &["--local"])?.ok()?;
    let watch = Watch::start(&[])?;
    let before = program_id()?;
    let cases: [(&[&str], i32, &[&str]); 4] = [
        (&["--object", half], 6, &["half.o"]),
        (
            &["--object", foreign::OBJECT],
            6,
            &["foreign.bpf.o", "not a dns-trace object"],
        ),
        (&["--object", "/no/such.o"], 3, &["/no/such.o"]),
        (
            &["--image", "registry.test:5000/dns-trace:none"],
            8,
            &["registry.test:5000"],
        ),
    ];
    for (words, code, said) in cases {
        let mut line = vec!["upgrade"];
        line.extend(words);
        ctl(&line)?.exits(code)?.refuses(said)?;
        ensure!(
            program_id()? == before,
            "a failed upgrade changed the program"
        );
    }
    let sent = send("www.example.test A\n", "50", "2")?;
    let seen = watch.stop()?;
    seen.counts(&[
        ("reader/queries", sent.queries),
        ("reader/answered", sent.completed),
        ("reader/orphans", 0),
    ])?;
    ctl(&["upgrade", "--object", &object])?.ok()?;
    let after = program_id()?;
    ensure!(after != before, "the program is the old one");
    let again = ctl(&["upgrade", "--object", &object])?.ok()?.stdout;
    ensure!(
        again.contains("nothing to do"),
        "it was done twice: {again}"
    );
    ensure!(program_id()? == after, "it was done twice");
    ctl(&["unload"])?.ok()?;
    load_hook("tracepoint", &["--local"])?.ok()?;
    ctl(&["upgrade", "--object", &object])?
        .exits(7)?
        .refuses(&["tracepoint", "without a gap", "unload"])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Kernel id of the first of our programs, as `status` has it.
pub(super) fn program_id() -> Result<u64> {
    let status = status()?;
    let id = status.pointer("/programs/0/id").and_then(Value::as_u64);
    id.with_context(|| format!("no program in {status}"))
}

/// The object of the image with bytes behind its end, which loaders do not look at: the same programs
/// under another digest.
pub(super) fn other_object() -> Result<String> {
    let object = unpack_object()?;
    let mut file = OpenOptions::new().append(true).open(&object)?;
    file.write_all(b"another release")?;
    Ok(object)
}
