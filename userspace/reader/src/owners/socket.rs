//! What is known of one socket: the rule by which it has an owner. A wrong name is worse than none.
//!
//! * An owner program announces a process before the packet that it sends, so until a socket's second
//!   process is announced, all its packets are the first one's.
//! * A second process is announced **while the first still sends** (its last announcement or packet is
//!   less than [`QUIET_NS`] ago): the socket is shared. Whose a packet is cannot be told any more, since
//!   between the entry of the send function, where a process is announced, and the packet hook the other
//!   one may send; and a process that was announced last is not announced again. The owner is unknown
//!   from then on, for as long as the socket is remembered.
//! * It is announced **after a longer quiet**: the socket was handed over, say by a daemon that forks.
//!   But what the first one sent last may still be on its way to the hook: it may have been stopped there,
//!   or the packet waits until a neighbour's address is known, which takes up to three seconds. So the
//!   new owner has the packets that are stamped [`SETTLE_NS`] or more after its announcement, and nobody
//!   has those before. If the first one sends again within the quiet, the socket is shared.
//! * Announcements may come out of order by time, as stamps of two CPUs or records of two rings do. That
//!   is less than the quiet, so it makes a socket shared.
//! * After a loss of announcements nothing is believed until it is announced anew; that a socket is
//!   shared stays known.

use std::rc::Rc;

use crate::process::Process;

/// Without a packet for this long a socket can be handed over, nanoseconds.
pub const QUIET_NS: u64 = 1_000_000_000;
/// How long after that it has no owner, nanoseconds: more than the three probes of `neigh_probe`, one
/// second each, for which a packet may wait before it is sent (arp(7), `ucast_solicit`).
pub const SETTLE_NS: u64 = 5_000_000_000;

/// A socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) cookie: u64,
    process: Rc<Process>,
    /// Packets from this boot time on are the process's.
    since_ns: u64,
    /// Last announcement or packet.
    last_ns: u64,
    /// Announced since that many losses.
    losses: u32,
    shared: bool,
}

impl Socket {
    /// A socket with its first process.
    pub(super) const fn new(cookie: u64, process: Rc<Process>, time_ns: u64, losses: u32) -> Self {
        Self {
            cookie,
            process,
            since_ns: time_ns,
            last_ns: time_ns,
            losses,
            shared: false,
        }
    }

    /// Takes in an announcement; whether the socket has become shared by it.
    pub(super) fn announce(&mut self, process: Rc<Process>, time_ns: u64, losses: u32) -> bool {
        let quiet = time_ns.saturating_sub(self.last_ns) >= QUIET_NS;
        self.last_ns = self.last_ns.max(time_ns);
        self.losses = losses;
        let shared = !self.shared && !quiet && self.process.pid != process.pid;
        if self.process.pid != process.pid {
            self.since_ns = time_ns.saturating_add(SETTLE_NS);
        }
        self.shared |= shared;
        self.process = process;
        shared
    }

    /// Takes in a packet, and tells whose it is.
    pub(super) fn packet(&mut self, time_ns: u64, losses: u32) -> Option<&Rc<Process>> {
        self.last_ns = self.last_ns.max(time_ns);
        self.owner(time_ns, losses)
    }

    /// Whose a packet of that time was.
    pub(super) fn owner(&self, time_ns: u64, losses: u32) -> Option<&Rc<Process>> {
        let known = !self.shared && self.losses == losses && time_ns >= self.since_ns;
        known.then_some(&self.process)
    }
}
