//! The limit of memory that the reader's unit sets: under a flood it stays far below; a reader that reaches
//! one is killed by the kernel, and what that costs is known to the message.

use anyhow::{Context as _, Result, ensure};

use crate::init::note;
use crate::lab::cgroup::Cgroup;
use crate::lab::ctl::{ctl, nothing_left};
use crate::lab::flood;
use crate::lab::names::{NameServers, ask};
use crate::lab::net::{self, CLIENT_DEVICE};
use crate::lab::reader::{Seen, Watch};
use crate::lab::sh;

/// The unit of the reader.
const UNIT: &str = include_str!("../../../images/deploy/systemd/dns-trace.service");
/// Questions without an answer: more than may wait for one ([`PENDING`]) and than the ring holds.
const FLOOD: u32 = 100_000;
/// Queries that wait for their response at most, `--max-pending`.
const PENDING: u64 = 65_536;
/// Memory that they have to take, bytes: else the limit is not tried.
const TAKEN: u64 = 10 << 20;
/// What is left of memory for a reader that is to reach its limit, bytes: some ten thousand queries.
const LITTLE: u64 = 4 << 20;
/// Lookups that are answered, and reported at once.
const ANSWERED: u64 = 3;
/// No query is given up while a scenario runs.
const PATIENT: [&str; 2] = ["--timeout", "10m"];

/// With the table of pending queries full, the reader uses a small part of what the unit allows. What `watch`
/// prints counts, too: here it goes to a file in memory.
pub(crate) fn below() -> Result<()> {
    lab(|| {
        let max = UNIT
            .lines()
            .find_map(|line| line.strip_prefix("MemoryMax="))
            .context("the unit sets no limit")?;
        for command in [
            ["serve", "--names", "64"].as_slice(),
            &["watch", "--output", "json"],
        ] {
            let group = Cgroup::create("reader", max)?;
            let words = [command, &PATIENT].concat();
            let reader = Watch::start_within(&group, &words)?;
            let before = group.memory("peak")?;
            flood::ask(FLOOD)?;
            let seen = reader.stop()?;
            let sent = u64::from(FLOOD);
            seen.counts(&[
                ("kernel/submitted", sent),
                ("kernel/ring_full", 0),
                ("reader/queries", sent),
                ("reader/lookups", sent - PENDING),
                ("reader/evicted", sent - PENDING),
                ("reader/pending", PENDING),
            ])?;
            let peak = group.memory("peak")?;
            note(&format!(
                "{} under {max}: {} KiB, after {FLOOD} queries of which {PENDING} wait {} KiB at most",
                words.join(" "),
                before >> 10,
                peak >> 10,
            ))?;
            for event in ["max", "oom", "oom_kill"] {
                let count = group.events(event)?;
                ensure!(count == 0, "memory.events has {event} {count}");
            }
            ensure!(
                peak - before > TAKEN,
                "the flood took {} bytes only",
                peak - before
            );
        }
        Ok(())
    })
}

/// The kernel kills a reader that reaches its limit. The ring keeps what it holds; what it refuses is
/// counted; the next reader tells both.
pub(crate) fn reached() -> Result<()> {
    lab(|| {
        let group = Cgroup::create("reader", "max")?;
        let words = [["watch", "--output", "json"].as_slice(), &PATIENT].concat();
        let mut first = Watch::start_within(&group, &words)?;
        asks()?;
        sh::wait_for("the answered lookups", 10, || {
            Ok(first.daemon().stdout().lines().count() as u64 == ANSWERED)
        })?;
        group.limit(&(group.memory("current")? + LITTLE).to_string())?;
        flood::ask(FLOOD)?;
        let status = first.daemon().ended(10)?;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        ensure!(signal == Some(9), "the reader ended with {status}");
        let kills = group.events("oom_kill")?;
        ensure!(
            kills == 1,
            "the kernel has killed {kills} processes of the group"
        );
        let reported = first.daemon().stdout().lines().count() as u64;
        ensure!(
            reported == ANSWERED,
            "{reported} lookups, {ANSWERED} were answered"
        );

        let mut second = Watch::start(&[])?;
        asks()?;
        let said = second.daemon().stderr();
        let seen = second.stop()?;
        balance(&seen, &said)
    })
}

/// Sent = reported + counted lost, over both readers.
fn balance(seen: &Seen, said: &str) -> Result<()> {
    let sent = u64::from(FLOOD) + 2 * ANSWERED;
    let refused = seen.number("before/ring_full")?;
    let kept = seen.number("reader/stale")?;
    ensure!(refused > 0 && kept > 0, "refused {refused}, kept {kept}");
    let line = format!("{refused} messages found no room in the ring");
    ensure!(said.contains(&line), "not {line:?}: {said}");
    seen.counts(&[
        ("before/submitted", sent - refused),
        ("reader/answered", ANSWERED),
        ("reader/lookups", ANSWERED),
        ("kernel/submitted", 2 * ANSWERED),
        ("kernel/ring_full", 0),
    ])?;
    // What the first reader had read, but for what it had reported, has gone with it.
    let gone = (sent - refused - kept)
        .checked_sub(2 * ANSWERED)
        .context("the ring kept what was reported")?;
    ensure!(
        gone > 0 && gone <= PENDING,
        "{gone} queries were pending in the killed reader"
    );
    note(&format!(
        "{sent} messages: {} reported, {gone} gone with the reader that was killed, {kept} left in the ring, {refused} \
         refused by it",
        2 * ANSWERED
    ))
}

fn asks() -> Result<()> {
    for _ in 0..ANSWERED {
        ask("www.example.test", "A", "NOERROR")?;
    }
    Ok(())
}

/// At the client's device, which sees what is sent before any queue of the way could drop it.
fn lab(run: impl FnOnce() -> Result<()>) -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    flood::prepare()?;
    let load = [
        "load",
        "--local",
        "--hook",
        "tc",
        "--no-owners",
        "--iface",
        CLIENT_DEVICE,
        "--netns",
        "client",
    ];
    ctl(&load)?.ok()?;
    run()?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}
