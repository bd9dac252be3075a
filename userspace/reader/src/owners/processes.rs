//! Processes by id, so that the many sockets of one process share what is known of it.

use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use super::procfs::{Procfs, started};
use crate::process::Process;
use crate::record::Owner;

/// Most processes remembered.
const MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);
/// How long a process id is trusted to be the same process's, nanoseconds. The kernel gives out all
/// others (32768 at least) before it gives out one again.
const TRUST_NS: u64 = 1_000_000_000;

#[derive(Debug)]
struct Known {
    process: Rc<Process>,
    /// Clock ticks at its start, where it has a program.
    ticks: u64,
    checked_ns: u64,
}

/// Processes that were announced.
#[derive(Debug)]
pub(super) struct Processes {
    known: LruCache<u32, Known>,
    procfs: Option<Procfs>,
}

impl Processes {
    pub(super) fn new() -> Self {
        Self {
            known: LruCache::new(MAX),
            procfs: None,
        }
    }

    pub(super) fn look_for_programs(&mut self) {
        self.procfs = Procfs::new();
    }

    /// The process of an announcement. Allocates for one that was not announced before.
    pub(super) fn of(&mut self, owner: &Owner) -> Rc<Process> {
        if let Some(known) = self.known.get_mut(&owner.pid)
            && known.is(owner)
        {
            return Rc::clone(&known.process);
        }
        let found = self.procfs.as_ref();
        let found = found.and_then(|p| p.executable(owner.pid, owner.name, owner.time_ns));
        let (executable, ticks) = found.unzip();
        let process = Rc::new(Process {
            pid: owner.pid,
            uid: owner.uid,
            name: owner.name,
            cgroup_id: owner.cgroup_id,
            executable,
        });
        let known = Known {
            process: Rc::clone(&process),
            ticks: ticks.unwrap_or(0),
            checked_ns: owner.time_ns,
        };
        self.known.put(owner.pid, known);
        process
    }
}

impl Known {
    fn is(&mut self, owner: &Owner) -> bool {
        let process = &self.process;
        let same = process.uid == owner.uid
            && process.name == owner.name
            && process.cgroup_id == owner.cgroup_id;
        if !same || process.executable.is_none() {
            return same;
        }
        if owner.time_ns.saturating_sub(self.checked_ns) < TRUST_NS {
            return true;
        }
        self.checked_ns = owner.time_ns;
        started(owner.pid).is_some_and(|started| started.ticks == self.ticks)
    }
}
