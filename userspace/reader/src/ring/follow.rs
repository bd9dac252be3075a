//! Keeps to an instance: every two seconds it looks whether programs still see packets, and whether other
//! rings stand in the place of those that are open, since the bundle was loaded anew.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dns_trace_event::{RINGS_DIR, Stats};

use crate::bundle::{self, OpenError, Ring};
use crate::heartbeat::{Heartbeat, Trouble};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Failures in a row after which it is said why other rings cannot be opened: while they are handed over they
/// are not yet for everybody.
const FAILURES: u32 = 2;

/// What has happened to an instance.
#[derive(Debug)]
pub enum Notice {
    /// Devices count packets and the programs none, or a device is gone.
    Stopped(Trouble),
    /// That is over.
    Beats,
    /// The instance is not loaded any more.
    Unloaded,
    /// It is loaded, and cannot be read.
    Unreadable(OpenError),
    /// So many rings of a bundle that was loaded anew are open.
    Reopened(usize),
}

impl Notice {
    /// Whether nothing is known that keeps packets from the reader from now on.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Beats | Self::Reopened(_))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(trouble) => {
                write!(f, "no heartbeat: {trouble} (run: sudo dns-tracectl status)")
            }
            Self::Beats => f.write_str("the heartbeat is back"),
            Self::Unloaded => f.write_str(
                "the instance was unloaded: waiting until it is loaded again \
                 (run: sudo dns-tracectl load --help)",
            ),
            Self::Unreadable(error) => write!(f, "the instance was loaded anew: {error}"),
            Self::Reopened(rings) => {
                write!(f, "the instance was loaded anew: reading {rings} ring(s)")
            }
        }
    }
}

/// What a look found.
pub(super) enum Found {
    /// Nothing new.
    Nothing,
    /// Something to be said.
    Said(Notice),
    /// Rings to be read instead of the others.
    Rings(Vec<Ring>),
}

/// An instance that is followed.
#[derive(Debug)]
pub struct Follow {
    root: PathBuf,
    instance: String,
    heartbeat: Heartbeat,
    /// Device and inode number of the folder whose rings are open.
    open: Option<(u64, u64)>,
    next: Instant,
    unloaded: bool,
    failures: u32,
}

impl Follow {
    /// Follows an instance whose rings are about to be opened. To be made before the process is confined.
    #[must_use]
    pub fn new(root: &Path, instance: &str) -> Self {
        let mut follow = Self {
            root: root.to_owned(),
            instance: instance.to_owned(),
            heartbeat: Heartbeat::new(root, instance),
            open: None,
            next: Instant::now(),
            unloaded: false,
            failures: 0,
        };
        follow.open = follow.folder().ok().flatten();
        follow
    }

    /// When to look next.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// Looks; `stats` are the counters of the open rings.
    pub(super) fn look(
        &mut self,
        stats: impl FnOnce() -> anyhow::Result<Stats>,
    ) -> anyhow::Result<Found> {
        self.next = Instant::now() + INTERVAL;
        let Ok(folder) = self.folder() else {
            // Not to be looked at for want of permission, say: nothing is known, and the open rings go on.
            return Ok(Found::Nothing);
        };
        if folder.is_none() {
            self.failures = 0;
            self.heartbeat.reset();
            let said = std::mem::replace(&mut self.unloaded, true);
            return Ok(if said {
                Found::Nothing
            } else {
                Found::Said(Notice::Unloaded)
            });
        }
        if folder != self.open {
            return Ok(self.reopen(folder));
        }
        self.unloaded = false;
        let change = self.heartbeat.look(|| stats().map(|stats| stats.packets))?;
        Ok(match change {
            None => Found::Nothing,
            Some(None) => Found::Said(Notice::Beats),
            Some(Some(trouble)) => Found::Said(Notice::Stopped(trouble)),
        })
    }

    fn reopen(&mut self, folder: Option<(u64, u64)>) -> Found {
        self.heartbeat.reset();
        match bundle::open(&self.root, &self.instance) {
            Ok(rings) => {
                self.open = folder;
                self.unloaded = false;
                self.failures = 0;
                Found::Rings(rings)
            }
            Err(error) => {
                self.failures += 1;
                if self.failures == FAILURES {
                    Found::Said(Notice::Unreadable(error))
                } else {
                    Found::Nothing
                }
            }
        }
    }

    /// The folder of the rings, `None` if there is none. bpffs never gives an inode number twice.
    fn folder(&self) -> io::Result<Option<(u64, u64)>> {
        let folder = self.root.join(&self.instance).join(RINGS_DIR);
        match fs::metadata(folder) {
            Ok(found) => Ok(Some((found.dev(), found.ino()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
