//! A control group (v2) with a limit of memory, and a process that starts in it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context, Result};

use super::sh;

/// Where `/init` has mounted them.
const ROOT: &str = "/sys/fs/cgroup";

/// A group, which is removed with this value.
#[derive(Debug)]
pub struct Cgroup {
    path: String,
}

impl Cgroup {
    /// Makes the group; its memory is limited to what `memory.max` takes: bytes, or `max`.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn create(name: &str, max: &str) -> Result<Self> {
        write(&format!("{ROOT}/cgroup.subtree_control"), "+memory")?;
        let path = format!("{ROOT}/{name}");
        fs::create_dir(&path).with_context(|| format!("cannot create {path}"))?;
        let group = Self { path };
        group.limit(max)?;
        Ok(group)
    }

    /// Limits the memory anew.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn limit(&self, max: &str) -> Result<()> {
        write(&format!("{}/memory.max", self.path), max)
    }

    /// The same command, started in the group.
    #[must_use]
    pub fn start(&self, command: &Command) -> Command {
        let mut within = sh::command(&["guest", "within", &self.path]);
        within.arg(command.get_program()).args(command.get_args());
        within
    }

    /// A number of one of the group's files, such as `current` or `peak` (cgroup-v2.rst).
    ///
    /// # Errors
    /// If the kernel has no such file.
    pub fn memory(&self, file: &str) -> Result<u64> {
        let file = format!("{}/memory.{file}", self.path);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        text.trim()
            .parse()
            .with_context(|| format!("no number in {file}: {text}"))
    }

    /// How often something happened, as `memory.events` has it.
    ///
    /// # Errors
    /// If it does not count that.
    pub fn events(&self, name: &str) -> Result<u64> {
        let file = format!("{}/memory.events", self.path);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
        let number = pairs.find(|(of, _)| *of == name).map(|(_, n)| n.parse());
        number
            .with_context(|| format!("no {name} in {text}"))?
            .with_context(|| format!("{name} is no number in {text}"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // With a process in it that outlives the scenario it stays, which the next one of that name says.
        let _ = fs::remove_dir(&self.path);
    }
}

fn write(file: &str, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {text} to {file}"))
}

/// The other side of [`Cgroup::start`]: enters the group and becomes the program.
///
/// # Errors
/// If one of the two fails; it does not return otherwise.
pub fn main(group: &str, words: &[&str]) -> Result<()> {
    // 0 is whoever writes it.
    write(&format!("{group}/cgroup.procs"), "0")?;
    let mut command = sh::command(words);
    Err(command.exec()).with_context(|| format!("cannot run {}", sh::line(&command)))
}
