//! What `load` leaves out by choice: counted exactly, and never half a lookup.

use anyhow::{Result, ensure};

use super::rate::{self, Sent};
use crate::init::note;
use crate::lab::ctl::{ctl, load_at_server, nothing_left};
use crate::lab::names::NameServers;
use crate::lab::net;
use crate::lab::reader::{Seen, Watch};

/// One lookup in so many.
const SAMPLE: u64 = 4;

pub(crate) fn leaves_out() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    sampled()?;
    responses_only()?;
    only_failures()?;
    nothing_left()
}

fn sampled() -> Result<()> {
    let (sent, seen) = traced(&["--sample", &SAMPLE.to_string()])?;
    let lookups = seen.number("reader/lookups")?;
    // A fair choice misses these bounds once in a million runs.
    let fair = sent.queries / SAMPLE / 2..sent.queries / SAMPLE * 2;
    ensure!(
        fair.contains(&lookups),
        "{lookups} of {sent:?} were captured"
    );
    seen.counts(&[
        ("reader/queries", lookups),
        ("reader/responses", lookups),
        ("reader/answered", lookups),
        ("reader/scaled/queries", lookups * SAMPLE),
        ("reader/scaled/responses", lookups * SAMPLE),
        ("reader/scaled/lookups", lookups * SAMPLE),
        ("reader/scaled/answered", lookups * SAMPLE),
        ("kernel/submitted", 2 * lookups),
        (
            "kernel/sampled_out",
            sent.queries + sent.completed - 2 * lookups,
        ),
        ("kernel/deselected", 0),
        ("kernel/ring_full", 0),
    ])?;
    note(&format!(
        "{lookups} of {} lookups at one in {SAMPLE}",
        sent.queries
    ))
}

fn responses_only() -> Result<()> {
    let (sent, seen) = traced(&["--responses-only"])?;
    seen.counts(&[
        ("reader/queries", 0),
        ("reader/responses_only", sent.completed),
        ("reader/orphans", 0),
        ("kernel/submitted", sent.completed),
        ("kernel/deselected", sent.queries),
    ])?;
    ensure!(
        seen.lookups.iter().all(|line| line.get("error").is_none()),
        "a response by choice alone is no error"
    );
    Ok(())
}

/// One question in three is answered with REFUSED; NXDOMAIN is no failure.
fn only_failures() -> Result<()> {
    let (sent, seen) = traced(&["--only-failures"])?;
    let refused = seen.number("reader/responses_only")?;
    seen.counts(&[
        ("reader/lookups", refused),
        ("kernel/submitted", refused),
        ("kernel/deselected", sent.queries + sent.completed - refused),
    ])?;
    ensure!(
        refused == sent.refused && refused > 0,
        "{refused} of {sent:?} were captured"
    );
    Ok(())
}

/// Loads so, sends queries, unloads.
fn traced(choice: &[&str]) -> Result<(Sent, Seen)> {
    load_at_server(&[&["--local"], choice].concat())?.ok()?;
    let watch = Watch::start(&[])?;
    let sent = rate::send(
        "www.example.test A\nnowhere.example.test A\nelsewhere.invalid A\n",
        "200",
        "3",
    )?;
    let seen = watch.stop()?;
    ctl(&["unload"])?.ok()?;
    Ok((sent, seen))
}
