//! What the reader gives up once its rings and outputs are open, so that a flaw in a parser leads to
//! nothing: new privileges (`no_new_privs`), everything on disk and on the network that a command has not
//! asked for (Landlock), and every system call that is not on a list (seccomp).
//!
//! A command says what it still needs, as [`Needs`]; nothing here knows commands. Whatever is open already
//! stays usable: rings, outputs, a listening socket.

mod calls;
mod reach;
mod report;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use thiserror::Error;

pub use report::{Confined, trial};

/// How strictly to confine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// What is not needed is refused, as for want of permission.
    #[default]
    On,
    /// A system call that is not needed ends the process, so that tests notice it.
    Strict,
    /// Not at all.
    Off,
}

/// What a command still needs once its rings and outputs are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    reads: Vec<PathBuf>,
    lists: Vec<PathBuf>,
    writes: Vec<PathBuf>,
    connects: Vec<u16>,
    local: bool,
    accepts: bool,
    terminal: bool,
}

impl Needs {
    /// What every command needs to read the bundle in a folder, also one that is loaded anew meanwhile.
    #[must_use]
    pub fn reading(bundle: &Path) -> Self {
        // Unloading takes the folder's mount away, and what is there later is another one. A rule is bound to
        // what exists, and below a mount point the kernel asks the folder around it next: there is no smaller
        // one that a later mount is under.
        let around = bundle.parent().unwrap_or(bundle);
        let bundle = Self::default().reads(bundle).lists(around);
        // Which CPUs may have a value in a map, whose processes and containers ask.
        let bundle = bundle.reads("/sys/devices/system/cpu/possible");
        bundle.reads("/proc").reads("/sys/fs/cgroup")
    }

    /// Opens a file, or files below a folder, for reading. What does not exist is left out.
    #[must_use]
    pub fn reads(mut self, path: impl Into<PathBuf>) -> Self {
        self.reads.push(path.into());
        self
    }

    /// Lists folders below a folder, whose files stay out of reach. Pins are opened by `bpf()`, which
    /// Landlock does not look at.
    #[must_use]
    pub fn lists(mut self, folder: impl Into<PathBuf>) -> Self {
        self.lists.push(folder.into());
        self
    }

    /// Creates, writes, renames and removes files below a folder, which has to exist: output that is
    /// rotated.
    #[must_use]
    pub fn writes(mut self, folder: impl Into<PathBuf>) -> Self {
        self.writes.push(folder.into());
        self
    }

    /// Connects to this TCP port, again if need be, and looks names up for it.
    #[must_use]
    pub fn connects(mut self, port: u16) -> Self {
        self.connects.push(port);
        self
    }

    /// Connects to sockets in the file system, again if need be.
    #[must_use]
    pub const fn connects_locally(mut self) -> Self {
        self.local = true;
        self
    }

    /// Accepts connections on a socket that listens already.
    #[must_use]
    pub const fn accepts(mut self) -> Self {
        self.accepts = true;
        self
    }

    /// Changes the terminal's settings and reads keys.
    #[must_use]
    pub const fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }
}

/// Why the process is not confined.
#[derive(Debug, Error)]
pub enum Error {
    /// Landlock binds the calling thread and those that it starts, and there are others.
    #[error("cannot confine the process: {0} threads run already")]
    Threads(usize),
    /// The kernel refuses `PR_SET_NO_NEW_PRIVS`.
    #[error("cannot give up new privileges: {0}")]
    NewPrivileges(io::Error),
    /// A folder to write to cannot be looked at.
    #[error("cannot keep access to {}: {source}", path.display())]
    Path {
        /// The folder.
        path: PathBuf,
        /// The kernel's.
        source: io::Error,
    },
    /// The kernel has Landlock, and refuses the rules.
    #[error("cannot confine the process with Landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The thread of a trial did not come back.
    #[error("the thread for the trial panicked")]
    Panic,
    /// The rules for system calls make no filter.
    #[error("cannot list the system calls to allow: {0}")]
    Calls(#[from] seccompiler::BackendError),
}

/// Confines the process, or not if that is the mode. To be called before further threads are started. Where the kernel lacks a
/// means, the others are used all the same, and the answer says so.
///
/// # Errors
/// [`enum@Error`]; the process may be confined in part then.
pub fn apply(needs: &Needs, mode: Mode) -> Result<Option<Confined>, Error> {
    if mode == Mode::Off {
        return Ok(None);
    }
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(Error::Threads(threads));
    }
    limit(needs, mode, Threads::All).map(Some)
}

/// Who is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threads {
    /// The calling thread.
    This,
    /// The process; `apply` sees to it that there is one thread as yet.
    All,
}

fn limit(needs: &Needs, mode: Mode, threads: Threads) -> Result<Confined, Error> {
    rustix::thread::set_no_new_privs(true).map_err(|error| Error::NewPrivileges(error.into()))?;
    let landlock = reach::limit(needs)?;
    // The last: it takes away the means to do the others.
    let calls = calls::limit(needs, mode, threads)?;
    Ok(Confined { landlock, calls })
}
