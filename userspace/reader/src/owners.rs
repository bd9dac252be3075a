//! Which process a socket belongs to: announcements of the owner programs, joined with queries by the
//! socket's cookie, which no other socket ever has. The rule stands in `owners/socket.rs`.
//!
//! Only a query on its way out is anybody's: what a local server answers leaves through its socket too,
//! and what is forwarded comes in first.

mod processes;
mod procfs;
mod socket;

use std::fmt;
use std::hash::BuildHasher;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use dns_trace_event::OWNERS_MAX;
use hashbrown::DefaultHashBuilder;
use serde::Serialize;
use slab::Slab;

use crate::cgroups::Cgroups;
use crate::container::Place;
use crate::process::{Process, write_escaped};
use crate::record::Owner;
use crate::table::index::Index;
use crate::table::order::Order;
use processes::Processes;
use socket::Socket;
pub use socket::{QUIET_NS, SETTLE_NS};

/// Most sockets remembered: twice what the programs do, so that none is forgotten here which they think
/// is known.
const MAX: usize = 2 * OWNERS_MAX as usize;

/// What became of announcements and of lookups by sockets of this host.
///
/// `known + unknown` is the number of lookups whose query was seen on its way out of a local socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OwnerCounts {
    /// Announcements.
    pub records: u64,
    /// Lookups whose process is known.
    pub known: u64,
    /// Lookups by a local socket whose process is not known: not announced, or shared.
    pub unknown: u64,
    /// Sockets found to be shared by several processes.
    pub contended: u64,
    /// Sockets that had to make room.
    pub evicted: u64,
}

/// Sockets and their processes.
pub struct Owners {
    slots: Slab<Socket>,
    index: Index,
    hasher: DefaultHashBuilder,
    /// From the one used longest ago.
    order: Order,
    processes: Processes,
    cgroups: Cgroups,
    losses: u32,
    read_until_ns: u64,
    counts: OwnerCounts,
}

impl Owners {
    /// Knows nobody.
    #[must_use]
    pub fn new() -> Self {
        Self {
            slots: Slab::with_capacity(MAX),
            index: Index::with_capacity(MAX),
            hasher: DefaultHashBuilder::default(),
            order: Order::with_capacity(MAX),
            processes: Processes::new(),
            cgroups: Cgroups::default(),
            losses: 0,
            read_until_ns: u64::MAX,
            counts: OwnerCounts::default(),
        }
    }

    /// The counters of announcements; those of lookups are the pipeline's.
    #[must_use]
    pub const fn counts(&self) -> OwnerCounts {
        self.counts
    }

    /// Also looks for the programs of processes in procfs, from now on.
    pub fn look_for_programs(&mut self) {
        self.processes.look_for_programs();
    }

    /// Also tells containers and units, from now on.
    pub fn look_for_containers(&mut self, cgroups: Cgroups) {
        self.cgroups = cgroups;
    }

    /// Where a process is; without one, where the socket with this cgroup id was made.
    #[inline]
    pub fn place(&mut self, process: Option<&Process>, cgroup_id: u64) -> Option<Arc<Place>> {
        let id = process.map_or(0, |process| process.cgroup_id);
        match if id == 0 { cgroup_id } else { id } {
            0 => None,
            id => self.cgroups.place(id).cloned(),
        }
    }

    /// Takes in an announcement.
    pub fn announce(&mut self, owner: &Owner) {
        self.counts.records += 1;
        let process = self.processes.of(owner);
        if let Some(slot) = self.find(owner.socket_cookie) {
            self.touch(slot);
            if let Some(socket) = self.slots.get_mut(slot as usize) {
                let shared = socket.announce(process, owner.time_ns, self.losses);
                self.counts.contended += u64::from(shared);
            }
            return;
        }
        if self.slots.len() >= MAX {
            self.evict();
        }
        let socket = Socket::new(owner.socket_cookie, process, owner.time_ns, self.losses);
        self.insert(socket);
    }

    /// Announcements have been lost: no socket has an owner until it is announced anew.
    pub const fn lost(&mut self) {
        self.losses = self.losses.wrapping_add(1);
    }

    /// Announcements up to this boot time have been read; of a later packet nobody knows whether its
    /// process has been announced. For several rings; with one, the order in the ring is enough.
    pub const fn read_until(&mut self, time_ns: u64) {
        self.read_until_ns = time_ns;
    }

    /// Whose query this is, by the socket that sent it and the time at which it was seen.
    #[inline]
    pub fn query(&mut self, cookie: u64, time_ns: u64) -> Option<Rc<Process>> {
        if cookie == 0 {
            return None;
        }
        let slot = self.find(cookie)?;
        self.touch(slot);
        let late = time_ns > self.read_until_ns;
        let owner = self.slots.get_mut(slot as usize)?;
        let owner = owner.packet(time_ns, self.losses);
        owner.filter(|_| !late).cloned()
    }

    /// Whose query that was, asked again when its lookup ends.
    #[must_use]
    pub fn of_query(&self, cookie: u64, time_ns: u64) -> Option<Rc<Process>> {
        if cookie == 0 || time_ns > self.read_until_ns {
            return None;
        }
        let socket = self.slots.get(self.find(cookie)? as usize)?;
        socket.owner(time_ns, self.losses).cloned()
    }

    fn find(&self, cookie: u64) -> Option<u32> {
        let is = |slot: &u32| {
            self.slots
                .get(*slot as usize)
                .is_some_and(|s| s.cookie == cookie)
        };
        self.index.places(self.hash(cookie)).find(is)
    }

    fn hash(&self, cookie: u64) -> u32 {
        self.hasher.hash_one(cookie) as u32
    }

    fn touch(&mut self, slot: u32) {
        self.order.remove(slot);
        self.order.push(slot);
    }

    fn insert(&mut self, socket: Socket) {
        let hash = self.hash(socket.cookie);
        let slot = self.slots.insert(socket) as u32;
        self.index.insert(hash, slot);
        self.order.push(slot);
    }

    fn evict(&mut self) {
        let Some(slot) = self.order.oldest() else {
            return;
        };
        self.order.remove(slot);
        self.counts.evicted += 1;
        let Some(socket) = self.slots.try_remove(slot as usize) else {
            return;
        };
        self.index.remove(self.hash(socket.cookie), slot);
    }
}

impl Default for Owners {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owners")
            .field("sockets", &self.slots.len())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// A path as text that harms no terminal.
fn escaped(path: &Path) -> Box<str> {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write_escaped(&mut text, path.as_os_str().as_bytes());
    text.into()
}
