//! The path of a message through the host, as host-wide hooks see it: device after device, through
//! bridges and network namespaces, each of which sees the same message again.

use crate::record::{Direction, Hook, Packet};

/// Most hops of a path; what is seen beyond them is counted.
pub const HOPS_MAX: usize = 8;

/// A message at a device, on its way in or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Boot time at which it was seen there first, nanoseconds.
    pub time_ns: u64,
    /// Network namespace of the device, 0 if unknown.
    pub netns_cookie: u64,
    /// Device.
    pub ifindex: u32,
    /// Its way through the device.
    pub direction: Direction,
    /// Hook that saw it.
    pub hook: Hook,
    /// How often it was seen there.
    copies: u32,
}

impl Hop {
    /// Fills the places of an array that are not in use.
    const NONE: Self = Self {
        time_ns: 0,
        netns_cookie: 0,
        ifindex: 0,
        direction: Direction::Ingress,
        hook: Hook::ReceiveSkb,
        copies: 0,
    };

    /// Where a packet is.
    #[must_use]
    pub const fn of(packet: &Packet<'_>) -> Self {
        Self {
            time_ns: packet.time_ns,
            netns_cookie: packet.netns_cookie,
            ifindex: packet.ifindex,
            direction: packet.direction,
            hook: packet.hook,
            copies: 1,
        }
    }

    /// Whether both are at one device.
    fn same_device(&self, other: &Self) -> bool {
        (self.netns_cookie, self.ifindex) == (other.netns_cookie, other.ifindex)
    }
}

/// Hops of a message that is sent one way, in the order of kernel time.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    hops: [Hop; HOPS_MAX],
    len: usize,
    /// How often it was seen at devices for which there was no room.
    more: u32,
    /// How often it was sent: the most that one hop saw of it.
    copies: u32,
}

impl Way {
    /// Seen nowhere.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            hops: [Hop::NONE; HOPS_MAX],
            len: 0,
            more: 0,
            copies: 0,
        }
    }

    /// The hops.
    #[must_use]
    pub fn hops(&self) -> &[Hop] {
        self.hops.get(..self.len).unwrap_or_default()
    }

    /// How often it was seen at hops beyond these.
    #[must_use]
    pub const fn more(&self) -> u32 {
        self.more
    }

    /// Takes in a message; whether it was sent once more, which is so if a hop has seen more of it
    /// than any did before. Otherwise it is a copy on its way.
    pub fn see(&mut self, packet: &Packet<'_>) -> bool {
        let here = Hop::of(packet);
        let known = self.hops.iter_mut().take(self.len);
        let mut known =
            known.filter(|hop| hop.same_device(&here) && hop.direction == here.direction);
        let copies = if let Some(hop) = known.next() {
            hop.copies = hop.copies.saturating_add(1);
            hop.copies
        } else if self.len < HOPS_MAX {
            self.insert(here);
            1
        } else {
            self.more = self.more.saturating_add(1);
            return false;
        };
        let again = copies > self.copies;
        self.copies = self.copies.max(copies);
        again
    }

    /// Several rings are not read in the order of time.
    fn insert(&mut self, here: Hop) {
        let before = |hop: &Hop| hop.time_ns <= here.time_ns;
        let at = self.hops().partition_point(before);
        self.len += 1;
        if let Some(hops) = self.hops.get_mut(at..self.len) {
            hops.rotate_right(1);
            if let Some(hop) = hops.first_mut() {
                *hop = here;
            }
        }
    }
}

impl Default for Way {
    fn default() -> Self {
        Self::new()
    }
}

/// The path of a lookup.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// Of the query; empty if it was not seen.
    pub query: &'a Way,
    /// Of the response, likewise.
    pub response: &'a Way,
}

impl<'a> Path<'a> {
    /// The way that begins the lookup: the query's, or the response's where there is no query.
    #[must_use]
    pub fn way(&self) -> &'a Way {
        if self.query.hops().is_empty() {
            self.response
        } else {
            self.query
        }
    }

    /// The response where the query was first seen, going the other way: as the client sees it.
    #[must_use]
    pub fn home(&self) -> Option<&'a Hop> {
        let first = self.query.hops().first()?;
        let mut hops = self.response.hops().iter();
        hops.find(|hop| hop.same_device(first) && hop.direction != first.direction)
    }

    /// Where the response was seen last, if it was seen but not at the first hop of the query.
    #[must_use]
    pub fn last_seen(&self) -> Option<&'a Hop> {
        self.query.hops().first()?;
        match self.home() {
            Some(_) => None,
            None => self.response.hops().last(),
        }
    }

    /// From the query at its first hop to the response there, or to where it was seen last.
    #[must_use]
    pub fn duration_ns(&self) -> Option<u64> {
        let first = self.query.hops().first()?;
        let end = self.home().or_else(|| self.response.hops().last())?;
        Some(end.time_ns.saturating_sub(first.time_ns))
    }
}
