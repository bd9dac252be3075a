//! A long time with a fault every now and then: nothing grows, and what was sent is what was reported and what
//! was counted as lost.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::rate::{Sender, kilobytes};
use super::upgrade::other_object;
use crate::init::{argument, note};
use crate::lab::ctl::{ctl, load_hook, nothing_left};
use crate::lab::names::NameServers;
use crate::lab::net::{self, SERVER_DEVICE};
use crate::lab::reader::Watch;
use crate::lab::sh::{self, sh};

const QUESTIONS: &str = "www.example.test A\nwww.example.test AAAA\nnowhere.example.test A\n";
/// Queries a second.
const RATE: &str = "100";
/// Seconds of a round, with one fault in its middle.
const ROUND: u64 = 4;
/// Without word from outside: every fault once.
const SHORT: Plan = Plan {
    seconds: 0,
    seed: 1,
};
const LOAD: &[&str] = &["--local", "--no-owners"];
/// Anonymous memory by which a reader may grow after its first round, KiB: a huge page, and pages of the
/// allocator.
const GROWTH: u64 = 4096;

/// How long, and which faults.
#[derive(Clone, Copy, Debug)]
struct Plan {
    seconds: u64,
    seed: u64,
}

impl Plan {
    /// What the kernel's command line says: `dns_trace.soak=SECONDS,SEED`.
    fn given() -> Result<Self> {
        let Some(text) = argument("soak")? else {
            return Ok(SHORT);
        };
        let (seconds, seed) = text.split_once(',').context("no seed")?;
        Ok(Self {
            seconds: seconds.parse()?,
            seed: seed.parse()?,
        })
    }
}

/// How much longer than the short form it takes, as the kernel's command line says.
pub(crate) fn longer() -> Result<Duration> {
    Plan::given().map(|plan| Duration::from_secs(plan.seconds))
}

/// What goes wrong, and when: while queries come, or between two rounds.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The reader is killed, and the next one begins after a round without.
    ReaderKilled,
    /// The reader stands still for a second.
    ReaderStopped,
    /// Other programs take over, and those before them come back.
    Upgraded,
    /// The pins are handed over anew.
    Granted,
    /// The bundle is unloaded, and loaded anew.
    LoadedAnew,
    /// The interface goes down and comes up.
    LinkDown,
    /// The name server stands still for a second.
    ServerStopped,
}

const FAULTS: [Fault; 7] = [
    Fault::ReaderKilled,
    Fault::ReaderStopped,
    Fault::Upgraded,
    Fault::Granted,
    Fault::LoadedAnew,
    Fault::LinkDown,
    Fault::ServerStopped,
];

/// Every fault in turn, in an order that the seed gives, until the time is over.
pub(crate) fn soak() -> Result<()> {
    let plan = Plan::given()?;
    let end = Instant::now() + Duration::from_secs(plan.seconds);
    net::create()?;
    let _names = NameServers::start()?;
    let other = other_object()?;
    load_hook("tc", LOAD)?.ok()?;
    let mut lab = Lab {
        reader: Life::start()?,
        other,
        lives: 1,
        sent: 0,
        unread: 0,
    };
    let mut dice = plan.seed;
    let mut rounds = 0_u32;
    while rounds == 0 || Instant::now() < end {
        for fault in shuffled(&mut dice) {
            lab.round(fault)
                .with_context(|| format!("round {rounds}, seed {}: {fault:?}", plan.seed))?;
            rounds += 1;
        }
    }
    let Lab {
        reader,
        lives,
        sent,
        unread,
        ..
    } = lab;
    reader.ends()?;
    ctl(&["unload"])?.ok()?;
    note(&format!(
        "{rounds} faults, {lives} readers, {sent} messages: {} reported, {unread} passed while there was no reader",
        sent - unread
    ))?;
    nothing_left()
}

struct Lab {
    reader: Life,
    other: String,
    lives: u32,
    /// Messages on the wire, and those of them that no reader was there for.
    sent: u64,
    unread: u64,
}

impl Lab {
    /// Queries, a fault, and a look at the sums.
    fn round(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::ReaderKilled => {
                self.reader.dies()?;
                let passed = self.sends(|_| Ok(()))?;
                self.unread += passed;
                self.reader = Life::start()?;
                self.reader.stale = passed;
                self.lives += 1;
            }
            Fault::LoadedAnew => {
                ctl(&["unload"])?.ok()?;
                load_hook("tc", LOAD)?.ok()?;
                self.reader.reloads += 1;
                self.reader.follows()?;
            }
            Fault::LinkDown => {
                for way in ["down", "up"] {
                    sh(&["ip", "-n", "server", "link", "set", SERVER_DEVICE, way])?;
                }
            }
            Fault::ReaderStopped | Fault::Upgraded | Fault::Granted | Fault::ServerStopped => {}
        }
        let messages = self.sends(|lab| lab.meanwhile(fault))?;
        self.reader.expected += messages;
        self.reader.adds_up()
    }

    /// What happens while queries come.
    fn meanwhile(&self, fault: Fault) -> Result<()> {
        match fault {
            Fault::ReaderStopped => stands_still(&[self.reader.pid]),
            Fault::ServerStopped => stands_still(&processes_of("nsd")?),
            Fault::Upgraded => {
                ctl(&["upgrade", "--object", &self.other])?.ok()?;
                ctl(&["upgrade"])?.ok().map(drop)
            }
            Fault::Granted => ctl(&["grant"])?.ok().map(drop),
            Fault::ReaderKilled | Fault::LoadedAnew | Fault::LinkDown => Ok(()),
        }
    }

    /// A round of queries with something in its middle; how many messages were on the wire.
    fn sends(&mut self, meanwhile: impl FnOnce(&Self) -> Result<()>) -> Result<u64> {
        let sender = Sender::start(QUESTIONS, RATE, &ROUND.to_string())?;
        thread::sleep(Duration::from_secs(1));
        meanwhile(self)?;
        let sent = sender.sent()?;
        ensure!(
            sent.queries > 0 && sent.queries == sent.completed,
            "unanswered: {sent:?}"
        );
        let messages = sent.queries + sent.completed;
        self.sent += messages;
        Ok(messages)
    }
}

/// Stops processes for a second.
fn stands_still(pids: &[u32]) -> Result<()> {
    for signal in [Signal::STOP, Signal::CONT] {
        for pid in pids {
            let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw);
            rustix::process::kill_process(pid.context("no process id")?, signal)?;
        }
        if signal == Signal::STOP {
            thread::sleep(Duration::from_secs(1));
        }
    }
    Ok(())
}

fn processes_of(program: &str) -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
        let exe = fs::read_link(entry.path().join("exe"));
        let is = exe.is_ok_and(|exe| exe.ends_with(program));
        if is && let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) {
            pids.push(pid);
        }
    }
    ensure!(!pids.is_empty(), "{program} does not run");
    Ok(pids)
}

/// One reader, from its start to its end.
struct Life {
    reader: Watch,
    pid: u32,
    /// Messages that it is to have reported, those from before its start, and loads that it followed.
    expected: u64,
    stale: u64,
    reloads: u64,
    /// Open files and anonymous memory after the first round.
    size: Option<(usize, u64)>,
}

impl Life {
    fn start() -> Result<Self> {
        let mut reader = Watch::start_command(&["stats", "--output", "json"])?;
        let pid = reader.daemon().pid();
        Ok(Self {
            reader,
            pid,
            expected: 0,
            stale: 0,
            reloads: 0,
            size: None,
        })
    }

    /// Waits until it reads the bundle that was loaded anew.
    fn follows(&mut self) -> Result<()> {
        let wanted = usize::try_from(self.reloads)?;
        sh::wait_for("the reader to follow", 15, || {
            let said = self.reader.daemon().stderr();
            Ok(said.matches("loaded anew: reading 1 ring(s)").count() == wanted)
        })
    }

    /// What it has counted a second ago, or two.
    fn number(&mut self, path: &str) -> Result<u64> {
        let lines = self.reader.daemon().stdout();
        // The last one may be half written.
        let whole = lines.rfind('\n').and_then(|end| lines.get(..end));
        let line = whole.and_then(|lines| lines.lines().last());
        let line: Value = serde_json::from_str(line.unwrap_or("null"))?;
        Ok(line.pointer(path).and_then(Value::as_u64).unwrap_or(0))
    }

    /// Every message of this reader is reported, once, and it has not grown.
    fn adds_up(&mut self) -> Result<()> {
        let wanted = self.expected / 2;
        sh::wait_for("the last lookup", 10, || {
            Ok(self.number("/reader/answered")? >= wanted)
        })?;
        for (path, wanted) in [
            ("/reader/answered", wanted),
            ("/reader/lookups", wanted),
            ("/reader/udp_messages", self.expected),
            ("/reader/stale", self.stale),
            ("/reader/retransmissions", 0),
            ("/kernel/ring_full", 0),
        ] {
            let found = self.number(path)?;
            ensure!(found == wanted, "{path} is {found}, expected {wanted}");
        }
        let files = fs::read_dir(format!("/proc/{}/fd", self.pid))?.count();
        let memory = kilobytes(self.pid, "RssAnon:")?;
        let (first_files, first_memory) = *self.size.get_or_insert((files, memory));
        ensure!(
            files == first_files && memory <= first_memory + GROWTH,
            "{files} files and {memory} KiB, after the first round {first_files} and {first_memory}"
        );
        Ok(())
    }

    /// Killed, all that it read having been told.
    fn dies(&mut self) -> Result<()> {
        self.reader.daemon().signal(Signal::KILL)?;
        let code = self.reader.daemon().wait(5)?;
        ensure!(code.is_none(), "the reader ended by itself: {code:?}");
        Ok(())
    }

    /// Ends well, with the sums of its last round.
    fn ends(self) -> Result<()> {
        self.reader.stop()?.counts(&[
            ("reader/answered", self.expected / 2),
            ("reader/udp_messages", self.expected),
            ("reader/stale", self.stale),
            ("reader/reloads", self.reloads),
            ("reader/heartbeat_stops", 0),
            ("kernel/ring_full", 0),
        ])
    }
}

/// The faults in another order each time (xorshift64, Fisher and Yates).
fn shuffled(dice: &mut u64) -> [Fault; FAULTS.len()] {
    let mut faults = FAULTS;
    for last in (1..faults.len()).rev() {
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        faults.swap(last, (*dice % (last as u64 + 1)) as usize);
    }
    faults
}
