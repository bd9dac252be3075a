//! A reader that stands still or dies: what passed meanwhile is in the ring or counted, to the message.

use std::io::Read as _;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::rate::send;
use crate::init::note;
use crate::lab::ctl::{ctl, load_hook, nothing_left, status};
use crate::lab::names::NameServers;
use crate::lab::net;
use crate::lab::reader::Watch;
use crate::lab::sh;

const QUESTION: &str = "www.example.test A\n";
/// Queries a second that leave the ring nearly empty.
const RATE: &str = "200";
/// More than an emulated machine sends: the ring is to be full soon.
const FLOOD: &str = "20000";
/// Runs of three seconds within which it has to be.
const RUNS: usize = 12;

/// Killed by -9: the next reader leaves out what it finds in the ring, says how many messages that were, and
/// how many had found no room.
pub(crate) fn killed() -> Result<()> {
    lab(|| {
        let mut first = Watch::start(&[])?;
        let read = messages(RATE, "2")? / 2;
        sh::wait_for("every lookup on the first reader's output", 10, || {
            Ok(first.daemon().stdout().lines().count() as u64 == read)
        })?;
        kill(first)?;
        let unread = messages(RATE, "2")?;

        let second = Watch::start(&[])?;
        let after = messages(RATE, "2")?;
        second.stop()?.counts(&[
            ("reader/stale", unread),
            ("reader/records", unread + after),
            ("reader/answered", after / 2),
            ("reader/lookups", after / 2),
            ("kernel/submitted", after),
            ("kernel/ring_full", 0),
            ("before/submitted", 2 * read + unread),
            ("before/ring_full", 0),
        ])?;

        let third = Watch::start(&[])?;
        kill(third)?;
        let flood = fill()?;
        let refused = ring_full()?;
        let mut fourth = Watch::start(&[])?;
        let said = fourth.daemon().stderr();
        let line = format!("{refused} messages found no room in the ring");
        ensure!(said.contains(&line), "not {line:?}: {said}");
        let again = messages(RATE, "1")?;
        fourth.stop()?.counts(&[
            ("reader/stale", flood - refused),
            ("reader/answered", again / 2),
            ("kernel/submitted", again),
            ("kernel/ring_full", 0),
            ("before/ring_full", refused),
        ])?;
        note(&format!(
            "without a reader {unread} messages passed, all in the ring; then {flood}, of which {refused} found no room"
        ))
    })
}

/// Stopped until the ring is full: what had no room is counted by the kernel part, the rest is read once
/// the reader goes on.
pub(crate) fn stopped() -> Result<()> {
    lab(|| {
        let mut watch = Watch::start(&[])?;
        watch.daemon().signal(Signal::STOP)?;
        let mut sent = fill()?;
        watch.daemon().signal(Signal::CONT)?;
        sent += messages(RATE, "2")?;
        let refused = ring_full()?;
        let reported = sent - refused;
        watch.stop()?.counts(&[
            ("kernel/submitted", reported),
            ("kernel/ring_full", refused),
            ("kernel/malformed", 0),
            ("kernel/unreadable", 0),
            ("reader/records", reported),
            ("reader/udp_messages", reported),
            ("reader/stale", 0),
            ("reader/malformed", 0),
        ])?;
        note(&format!(
            "{sent} messages, {refused} refused by a full ring, {reported} read"
        ))
    })
}

/// Lookups of which not all lines fit into what is kept for a slow output, and a pipe.
const LINES: u64 = 30_000;

/// Its output is a pipe that nobody reads: every message is taken in all the same, and each lookup's line is
/// in the pipe or counted.
pub(crate) fn output() -> Result<()> {
    lab(|| {
        let (mut pipe, output) = std::io::pipe()?;
        let watch = Watch::start_into(output)?;
        let mut lookups = 0;
        for _ in 0..RUNS {
            lookups += messages(FLOOD, "3")? / 2;
            if lookups >= LINES {
                break;
            }
        }
        ensure!(lookups >= LINES, "{lookups} lookups are too few");
        let (code, summary) = watch.stop_unread()?;
        ensure!(code == Some(1), "the reader ended with {code:?}");
        let mut lines = String::new();
        pipe.read_to_string(&mut lines)?;
        ensure!(lines.ends_with('\n'), "the last line is cut: {lines}");
        let lines = lines.lines().count() as u64;
        let unwritten = lookups - lines;
        summary.counts(&[
            ("kernel/submitted", 2 * lookups),
            ("kernel/ring_full", 0),
            ("reader/answered", lookups),
            ("reader/shown", lookups),
            ("reader/unwritten", unwritten),
        ])?;
        note(&format!(
            "of {lookups} lookups {lines} lines in the pipe, {unwritten} counted as unwritten"
        ))
    })
}

/// Without owners, whose records are no messages.
fn lab(run: impl FnOnce() -> Result<()>) -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load_hook("tc", &["--local", "--no-owners"])?.ok()?;
    run()?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

fn kill(mut reader: Watch) -> Result<()> {
    reader.daemon().signal(Signal::KILL)?;
    let code = reader.daemon().wait(5)?;
    ensure!(code.is_none(), "the reader ended by itself: {code:?}");
    Ok(())
}

/// Sends until the ring is full, and tells how many messages that took.
fn fill() -> Result<u64> {
    let mut sent = 0;
    for _ in 0..RUNS {
        sent += messages(FLOOD, "3")?;
        if ring_full()? > 0 {
            return Ok(sent);
        }
    }
    anyhow::bail!("{sent} messages did not fill the ring")
}

/// Sends, and tells how many messages were on the wire. With a query unanswered nobody could.
fn messages(rate: &str, seconds: &str) -> Result<u64> {
    let sent = send(QUESTION, rate, seconds)?;
    ensure!(
        sent.queries > 0 && sent.queries == sent.completed,
        "unanswered: {sent:?}"
    );
    Ok(sent.queries + sent.completed)
}

/// The kernel part's count, as `status` has it.
fn ring_full() -> Result<u64> {
    let status = status()?;
    let count = status
        .pointer("/rings/0/counters/ring_full")
        .and_then(Value::as_u64);
    count.with_context(|| format!("no count of a full ring in {status}"))
}
