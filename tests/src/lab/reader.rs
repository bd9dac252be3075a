//! `dns-trace`, run as somebody who may nothing, and what it prints.

use std::fs;
use std::io::PipeWriter;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::cgroup::Cgroup;
use super::daemon::Daemon;
use super::sh;

/// User and group `nobody`.
pub const NOBODY: &str = "65534";
/// The group whose members may read, as the guest's `/etc/group` has it.
pub const GROUP: &str = "990";

/// Where the reader leaves its summary.
const SUMMARY: &str = "/run/lab/summary.json";

/// A command as user `nobody`, member of `group` if any, without any capability and without a way
/// to get one.
#[must_use]
pub fn unprivileged(group: Option<&str>, words: &[&str]) -> Command {
    let mut line = vec!["setpriv", "--reuid", NOBODY, "--regid", NOBODY];
    match group {
        Some(group) => line.extend(["--groups", group]),
        None => line.push("--clear-groups"),
    }
    line.extend([
        "--no-new-privs",
        "--bounding-set",
        "-all",
        "--inh-caps",
        "-all",
    ]);
    line.extend(words);
    sh::command(&line)
}

/// Lets everybody write into `/run/lab`, as into `/tmp`.
///
/// # Errors
/// If the folder cannot be made.
pub fn writable_lab() -> Result<()> {
    fs::create_dir_all("/run/lab")?;
    fs::set_permissions("/run/lab", fs::Permissions::from_mode(0o1777))?;
    Ok(())
}

/// A running `dns-trace`: `watch --output json`, or another command.
#[derive(Debug)]
pub struct Watch(Daemon);

/// What it printed.
#[derive(Debug)]
pub struct Seen {
    /// The lines.
    pub lookups: Vec<Value>,
    /// The summary.
    pub summary: Value,
}

impl Watch {
    /// Starts it as a member of the group and waits until it reads.
    ///
    /// # Errors
    /// If it ends instead.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let mut words = vec!["watch", "--output", "json"];
        words.extend(arguments);
        Self::start_command(&words)
    }

    /// The same with any command.
    ///
    /// # Errors
    /// Likewise.
    pub fn start_command(arguments: &[&str]) -> Result<Self> {
        Self::run(arguments, |name, mut reader| {
            Daemon::start(name, &mut reader)
        })
    }

    /// The same in a control group.
    ///
    /// # Errors
    /// Likewise.
    pub fn start_within(group: &Cgroup, arguments: &[&str]) -> Result<Self> {
        Self::run(arguments, |name, reader| {
            Daemon::start(name, &mut group.start(&reader))
        })
    }

    /// Starts it with its output in a pipe.
    ///
    /// # Errors
    /// Likewise.
    pub fn start_into(output: PipeWriter) -> Result<Self> {
        Self::run(&["watch", "--output", "json"], |name, mut reader| {
            Daemon::start_into(name, &mut reader, output.into())
        })
    }

    fn run(
        arguments: &[&str],
        start: impl FnOnce(&str, Command) -> Result<Daemon>,
    ) -> Result<Self> {
        writable_lab()?;
        let mut words = vec!["dns-trace"];
        words.extend(arguments);
        words.extend([
            "--summary-file",
            SUMMARY,
            // A system call that confinement forgot ends the reader here, and not at a user's.
            "--confine",
            "strict",
        ]);
        let name = arguments.first().copied().unwrap_or_default();
        let daemon = start(name, unprivileged(Some(GROUP), &words))?;
        let daemon = daemon.ready(20, |d| Ok(d.stderr().contains("dns-trace: reading")))?;
        nothing_is_permitted(daemon.pid())?;
        Ok(Self(daemon))
    }

    /// The process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.0
    }

    /// Waits for the end by `--count` or `--duration`.
    ///
    /// # Errors
    /// If it does not end in time, or not well.
    pub fn ends(mut self, seconds: u64) -> Result<Seen> {
        let code = self
            .0
            .wait(seconds)
            .with_context(|| format!("it has printed: {}", self.0.stdout()))?;
        ensure!(
            code == Some(0),
            "the reader ended with {code:?}: {}",
            self.0.stderr()
        );
        let lines = self.0.stdout();
        let lookups = lines
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>();
        Ok(Seen {
            lookups: lookups.with_context(|| format!("not JSON lines: {lines}"))?,
            summary: summary()?,
        })
    }

    /// Ends it by a signal.
    ///
    /// # Errors
    /// If it does not end in time, or not well.
    pub fn stop(self) -> Result<Seen> {
        self.0.signal(Signal::TERM)?;
        self.ends(10)
    }

    /// Ends one by a signal whose output nobody reads: its exit code, and what it printed but for the lines.
    ///
    /// # Errors
    /// If it does not end in time, or without a summary.
    pub fn stop_unread(mut self) -> Result<(Option<i32>, Seen)> {
        self.0.signal(Signal::TERM)?;
        let code = self.0.wait(20)?;
        let seen = Seen {
            lookups: Vec::new(),
            summary: summary()?,
        };
        Ok((code, seen))
    }
}

fn summary() -> Result<Value> {
    let summary = fs::read_to_string(SUMMARY).context("the reader left no summary")?;
    serde_json::from_str(&summary).context("the summary is no JSON")
}

impl Seen {
    /// A number of the summary, such as `reader/queries`.
    ///
    /// # Errors
    /// If the summary has none of that name.
    pub fn number(&self, path: &str) -> Result<u64> {
        let pointer = format!("/{path}");
        let number = self.summary.pointer(&pointer).and_then(Value::as_u64);
        number.with_context(|| format!("the summary has no {path}: {}", self.summary))
    }

    /// Insists on numbers of the summary.
    ///
    /// # Errors
    /// If one differs; all that differ are named.
    pub fn counts(&self, expected: &[(&str, u64)]) -> Result<()> {
        let mut wrong = Vec::new();
        for (path, number) in expected {
            let found = self.number(path)?;
            if found != *number {
                wrong.push(format!("{path} is {found}, expected {number}"));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        bail!("{}; summary: {}", wrong.join("; "), self.summary)
    }
}

/// Looks, from outside, at what a process may.
fn nothing_is_permitted(pid: u32) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|l| l.strip_prefix(name))
            .unwrap_or_default();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        ensure!(
            field(set) == ["0000000000000000"],
            "the reader has capabilities: {set} {:?}",
            field(set)
        );
    }
    ensure!(
        field("NoNewPrivs:") == ["1"],
        "the reader may get privileges"
    );
    ensure!(
        field("Seccomp:") == ["2"],
        "the reader is not confined by seccomp"
    );
    ensure!(
        field("Uid:") == [NOBODY; 4],
        "the reader's users are {:?}",
        field("Uid:")
    );
    ensure!(
        field("Groups:") == [GROUP],
        "the reader's groups are {:?}",
        field("Groups:")
    );
    Ok(())
}
