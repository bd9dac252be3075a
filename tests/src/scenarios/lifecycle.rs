//! What happens to a bundle while somebody reads it: it is unloaded and loaded anew.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use dns_trace_event::{BUNDLE_ROOT, DEFAULT_INSTANCE, RINGS_DIR};

use crate::init::note;
use crate::lab::ctl::{ctl, load_at_server, nothing_left};
use crate::lab::names::{NameServers, ask};
use crate::lab::net;
use crate::lab::reader::Watch;
use crate::lab::sh;

/// Within which a reader has to tell what has happened.
const SECONDS: u64 = 10;

/// Waits for words on standard error, and notes how long it took.
fn says(reader: &mut Watch, words: &str) -> Result<()> {
    let started = Instant::now();
    let daemon = reader.daemon();
    sh::wait_for(words, SECONDS, || Ok(daemon.stderr().contains(words)))
        .with_context(|| daemon.stderr())?;
    note(&format!(
        "{words:?} after {:.1} s",
        started.elapsed().as_secs_f64()
    ))?;
    Ok(())
}

/// Asked before, and at once after each load: all of it is reported once, and nothing else.
pub(crate) fn loaded_anew() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let load = ["--local", "--no-owners"];
    load_at_server(&load)?.ok()?;
    let mut reader = Watch::start(&[])?;
    asks(3)?;
    ctl(&["unload"])?.ok()?;
    says(&mut reader, "waiting until it is loaded again")?;
    asks(2)?;
    load_at_server(&load)?.ok()?;
    asks(4)?;
    says(&mut reader, "loaded anew: reading 1 ring(s)")?;
    asks(1)?;
    // The pins are gone, and the programs still there.
    fs::remove_dir_all(format!("{BUNDLE_ROOT}/{DEFAULT_INSTANCE}/{RINGS_DIR}"))?;
    asks(2)?;
    load_at_server(&load)?.ok()?;
    asks(5)?;
    sh::wait_for("the second time", SECONDS, || {
        let said = reader.daemon().stderr();
        Ok(said.matches("loaded anew: reading 1 ring(s)").count() == 2)
    })?;
    let asked = 3 + 4 + 1 + 2 + 5;
    let seen = reader.stop()?;
    ensure!(
        seen.lookups.len() == asked,
        "{} lines, {asked} asked",
        seen.lookups.len()
    );
    let asked = asked as u64;
    seen.counts(&[
        ("reader/reloads", 2),
        ("reader/queries", asked),
        ("reader/responses", asked),
        ("reader/answered", asked),
        ("reader/lookups", asked),
        ("kernel/submitted", 2 * asked),
        ("kernel/ring_full", 0),
    ])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

fn asks(times: usize) -> Result<()> {
    for _ in 0..times {
        ask("www.example.test", "A", "NOERROR")?;
    }
    Ok(())
}
