//! Daemons: started, waited for, ended with the scenario. What they say is printed if they fail.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use super::sh::{self, Outcome};

/// Bytes of a daemon's output that are logged: the console is a serial port.
const LOGGED: usize = 256 << 10;

/// A process that runs beside the scenario.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    ended: bool,
}

impl Daemon {
    /// Starts a command. Its standard output goes to [`Daemon::stdout`], the rest to
    /// [`Daemon::stderr`].
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let output = file(name, "out")?;
        Self::start_into(name, command, output.into())
    }

    /// The same with its standard output elsewhere.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_into(name: &str, command: &mut Command, output: Stdio) -> Result<Self> {
        sh::log(&format!("$ {} &", sh::line(command)));
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(file(name, "err")?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            ended: false,
        })
    }

    /// Waits until the daemon is ready; an early end is reported with what it said.
    ///
    /// # Errors
    /// If it ends or takes longer than `seconds`.
    pub fn ready(
        mut self,
        seconds: u64,
        mut ready: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<Self> {
        let name = self.name.clone();
        let result = sh::wait_for(&name, seconds, || {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                bail!(
                    "{name} ended with {status}: {}{}",
                    self.stdout(),
                    self.stderr()
                );
            }
            ready(&self)
        });
        result.map(|()| self)
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        fs::read_to_string(format!("/run/lab/{}.out", self.name)).unwrap_or_default()
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        fs::read_to_string(format!("/run/lab/{}.err", self.name)).unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// If its state cannot be read.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("no process id")?;
        rustix::process::kill_process(pid, signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }

    /// Waits for the end and returns the exit code.
    ///
    /// # Errors
    /// If it takes longer than `seconds`.
    pub fn wait(&mut self, seconds: u64) -> Result<Option<i32>> {
        Ok(self.ended(seconds)?.code())
    }

    /// Waits for the end and returns how it came.
    ///
    /// # Errors
    /// If it takes longer than `seconds`.
    pub fn ended(&mut self, seconds: u64) -> Result<ExitStatus> {
        let mut ended = None;
        let name = self.name.clone();
        sh::wait_for(&format!("the end of {name}"), seconds, || {
            ended = self.child.try_wait()?;
            self.ended |= ended.is_some();
            Ok(ended.is_some())
        })?;
        ended.with_context(|| format!("{name} has not ended"))
    }

    /// Waits for the end and returns what it said, for a command that was started to be disturbed.
    ///
    /// # Errors
    /// If it takes longer than `seconds`.
    pub fn outcome(mut self, seconds: u64) -> Result<Outcome> {
        Ok(Outcome {
            line: self.name.clone(),
            code: self.wait(seconds)?,
            stdout: self.stdout(),
            stderr: self.stderr(),
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The console's log is kept if the scenario fails, so it holds what the daemons said last.
        for (stream, text) in [("out", self.stdout()), ("err", self.stderr())] {
            let text = end_of(text.trim());
            if !text.is_empty() {
                sh::log(&format!("---- {} ({stream})\n{text}", self.name));
            }
        }
    }
}

fn file(name: &str, suffix: &str) -> Result<File> {
    fs::create_dir_all("/run/lab")?;
    let path = format!("/run/lab/{name}.{suffix}");
    File::create(&path).with_context(|| format!("cannot create {path}"))
}

/// As much of a text's end as is logged, in whole lines.
fn end_of(text: &str) -> &str {
    let begin = text.len().saturating_sub(LOGGED);
    match text.get(begin..) {
        Some(end) if begin > 0 => end.split_once('\n').map_or("", |(_, lines)| lines),
        Some(end) => end,
        // Within a character; what is logged is ASCII but for some messages.
        None => text,
    }
}
