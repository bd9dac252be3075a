//! A process whose use of the machine is known when it has ended.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// What a process used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    /// CPU seconds until it was ready.
    pub(super) start_s: f64,
    /// CPU seconds from then until its end, of its children too.
    pub(super) cpu_s: f64,
    /// Voluntary context switches: it slept and was woken.
    pub(super) wakeups: u64,
    /// Most memory that it had, the pages of mapped rings included, bytes.
    pub(super) peak_rss: f64,
    /// Memory of its own at the end, bytes.
    pub(super) rss_anon: f64,
}

/// A running process; killed if dropped before its end.
pub(super) struct Process {
    child: Child,
    name: &'static str,
    /// CPU seconds until it was ready.
    start_s: f64,
    ended: bool,
}

impl Process {
    /// Starts a command with its output in files, and waits until standard error has `ready`.
    pub(super) fn start(
        name: &'static str,
        command: &mut Command,
        out: &Path,
        ready: &str,
    ) -> Result<Self> {
        let err = Self::errors(name);
        let create =
            |path: &Path| File::create(path).with_context(|| format!("cannot create {path:?}"));
        let child = command
            .stdin(Stdio::null())
            .stdout(create(out)?)
            .stderr(create(Path::new(&err))?)
            .spawn();
        let child = child.with_context(|| format!("cannot start {name}"))?;
        let mut process = Self {
            child,
            name,
            start_s: 0.0,
            ended: false,
        };
        let begin = Instant::now();
        while !process.said().contains(ready) {
            if let Some(status) = process.child.try_wait()? {
                process.ended = true;
                bail!("{name} ended with {status}: {}", process.said());
            }
            ensure!(
                begin.elapsed() < Duration::from_secs(20),
                "{name} does not get ready: {}",
                process.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        process.start_s = process.cpu()?;
        Ok(process)
    }

    fn errors(name: &str) -> String {
        format!("/run/lab/{name}.err")
    }

    /// Standard error so far.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(Self::errors(self.name)).unwrap_or_default()
    }

    /// CPU seconds so far, of all its threads that still run.
    pub(super) fn cpu(&self) -> Result<f64> {
        let folder = format!("/proc/{}/task", self.child.id());
        let mut ns = 0.0;
        for task in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split_whitespace().next().unwrap_or_default();
            ns += first.parse::<f64>().context("no CPU time in schedstat")?;
        }
        Ok(ns / 1e9)
    }

    /// Ends it by a signal and returns what it used and what it said.
    pub(super) fn stop(mut self, signal: Signal, limit: Duration) -> Result<(Use, String)> {
        let memory = self.memory()?;
        let pid = i32::try_from(self.child.id()).context("no process id")?;
        let rustix_pid = Pid::from_raw(pid).context("no process id")?;
        kill_process(rustix_pid, signal).with_context(|| format!("cannot signal {}", self.name))?;
        let begin = Instant::now();
        let used = loop {
            if let Some((status, used)) = wait(pid)? {
                self.ended = true;
                let orderly = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
                ensure!(
                    orderly,
                    "{} ended with status {status}: {}",
                    self.name,
                    self.said()
                );
                break used;
            }
            ensure!(
                begin.elapsed() < limit,
                "{} does not end: {}",
                self.name,
                self.said()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        let used = Use {
            start_s: self.start_s,
            cpu_s: used.cpu_s - self.start_s,
            peak_rss: memory.0,
            rss_anon: memory.1,
            ..used
        };
        Ok((used, self.said()))
    }

    /// Peak and own memory, bytes. The peak that `wait4` tells includes what ran before `exec`.
    fn memory(&self) -> Result<(f64, f64)> {
        let file = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        let field = |name: &str| -> Option<f64> {
            let line = text.lines().find_map(|l| l.strip_prefix(name))?;
            let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kilobytes * 1024.0)
        };
        let fields = field("VmHWM:").zip(field("RssAnon:"));
        fields.with_context(|| format!("no memory in {file}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Status and use of a child of ours, if it has ended.
fn wait(pid: i32) -> Result<Option<(i32, Use)>> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live memory of the right type for the time of the call.
    let ended = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    if ended < 0 {
        return Err(std::io::Error::last_os_error()).context("cannot wait for a process");
    }
    if ended == 0 {
        return Ok(None);
    }
    // SAFETY: it was zeroed, a valid value of a struct of integers, and the kernel filled it.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let used = Use {
        cpu_s: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        wakeups: u64::try_from(usage.ru_nvcsw).unwrap_or(0),
        ..Use::default()
    };
    Ok(Some((status, used)))
}
