//! Keeps to an instance: every two seconds it looks whether programs still see packets, and whether other
//! rings stand beside those that are open or in their place, since the bundle was upgraded or loaded anew.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dns_trace_event::Stats;

use crate::bundle::{Folder, Identity, OpenError, Ring, folders};
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
    /// The pins of the rings are gone: somebody has unloaded the instance, or taken its pins or its mount away.
    Unloaded,
    /// It is loaded, and cannot be read.
    Unreadable(OpenError),
    /// So many rings of a bundle that was loaded anew are open.
    Reopened(usize),
    /// Further rings have come, of new programs beside the old ones: so many are open.
    Joined(usize),
    /// Those of the old programs have gone: so many are open.
    Left(usize),
}

impl Notice {
    /// Whether nothing is known that keeps packets from the reader from now on.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(
            self,
            Self::Beats | Self::Reopened(_) | Self::Joined(_) | Self::Left(_)
        )
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
                "the instance was unloaded, or its pins taken away: waiting until it is loaded again \
                 (run: sudo dns-tracectl load --help)",
            ),
            Self::Unreadable(error) => write!(f, "the instance was loaded anew: {error}"),
            Self::Reopened(rings) => {
                write!(f, "the instance was loaded anew: reading {rings} ring(s)")
            }
            Self::Joined(rings) => write!(f, "new programs have come: reading {rings} ring(s)"),
            Self::Left(rings) => write!(f, "the old programs have gone: reading {rings} ring(s)"),
        }
    }
}

/// What a look found.
pub(super) enum Found {
    /// Nothing new.
    Nothing,
    /// Something to be said.
    Said(Notice),
    /// Other rings stand there.
    Rings(Change),
}

/// Other rings than before.
pub(super) struct Change {
    /// Those that have come, open.
    pub(super) come: Vec<Ring>,
    /// The folders of all that stand there now.
    pub(super) standing: Vec<Identity>,
}

/// An instance that is followed.
#[derive(Debug)]
pub struct Follow {
    root: PathBuf,
    instance: String,
    heartbeat: Heartbeat,
    /// The folders whose rings are open.
    open: Vec<Identity>,
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
            open: Vec::new(),
            next: Instant::now(),
            unloaded: false,
            failures: 0,
        };
        follow.open = identities(&follow.folders().unwrap_or_default());
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
        let folders = match self.folders() {
            Ok(folders) => folders,
            Err(OpenError::NoBundle { .. }) => return Ok(self.gone()),
            // Not to be looked at for want of permission, say: nothing is known, and the open rings go on.
            Err(_) => return Ok(Found::Nothing),
        };
        if identities(&folders) != self.open {
            return Ok(self.reopen(&folders));
        }
        self.unloaded = false;
        let change = self.heartbeat.look(|| stats().map(|stats| stats.packets))?;
        Ok(match change {
            None => Found::Nothing,
            Some(None) => Found::Said(Notice::Beats),
            Some(Some(trouble)) => Found::Said(Notice::Stopped(trouble)),
        })
    }

    fn gone(&mut self) -> Found {
        self.failures = 0;
        self.heartbeat.reset();
        if std::mem::replace(&mut self.unloaded, true) {
            return Found::Nothing;
        }
        Found::Said(Notice::Unloaded)
    }

    fn reopen(&mut self, folders: &[Folder]) -> Found {
        self.heartbeat.reset();
        let is_new = |folder: &&Folder| !self.open.contains(&folder.identity);
        match folders.iter().filter(is_new).map(Ring::open).collect() {
            Ok(come) => {
                self.open = identities(folders);
                self.unloaded = false;
                self.failures = 0;
                let standing = self.open.clone();
                Found::Rings(Change { come, standing })
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

    fn folders(&self) -> Result<Vec<Folder>, OpenError> {
        folders(&self.root, &self.instance)
    }
}

fn identities(folders: &[Folder]) -> Vec<Identity> {
    folders.iter().map(|folder| folder.identity).collect()
}
