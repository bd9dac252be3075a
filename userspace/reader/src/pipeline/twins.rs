//! While programs are replaced side by side, a packet passes the old one and the new one, one after the
//! other, and each puts a record of it into a ring of its own. Such twins are one message: the first one
//! read is told, the other one is left out.
//!
//! Twins are alike in all but their time, which lies [`WINDOW_NS`] apart at most, and stand in two rings. A
//! message that was sent again has a pair of its own; a record belongs to the one of the other ring that is
//! nearest in time. Rings are read one after the other, so a twin may be read long after the first one: what was
//! read is kept in a table of a fixed size, by a hash with a secret key.

use std::hash::{BuildHasher, Hasher};

use hashbrown::DefaultHashBuilder;

use crate::record::Packet;

/// Most time between the stamps of twins, nanoseconds: the programs run within microseconds of each other,
/// unless the processor is taken from them meanwhile, as a virtual one may be. It has to be less than the
/// time for which both programs stand at a place, and less than that after which clients send again.
pub(super) const WINDOW_NS: u64 = 30_000_000;
/// Records remembered: more than a ring holds of the smallest.
const MAX: usize = 1 << 15;
/// Steps of one search. Only what has the same hash is in the way, which is the very same packet, many times.
const STEPS_MAX: u32 = 64;
/// No entry.
const NONE: u32 = u32::MAX;

/// A record that was told and may have a twin.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    time_ns: u64,
    ring: u32,
    /// The next one of its list.
    next: u32,
    live: bool,
}

/// A list of entries, the oldest first.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List {
    first: NONE,
    last: NONE,
};
const DEAD: Entry = Entry {
    hash: 0,
    time_ns: 0,
    ring: 0,
    next: NONE,
    live: false,
};

/// Records by their hash: lists in an array, entries used in turn, so that the oldest one is always the
/// first of its list.
#[derive(Debug)]
struct Table {
    lists: Box<[List]>,
    entries: Box<[Entry]>,
    turn: usize,
}

impl Table {
    fn new(size: usize) -> Self {
        Self {
            lists: vec![EMPTY; size].into(),
            entries: vec![DEAD; size].into(),
            turn: 0,
        }
    }

    /// Takes out the nearest record of another ring.
    fn take(&mut self, new: &Entry) -> bool {
        let mut nearest: Option<(u64, u32, u32)> = None;
        let (mut before, mut at) = (NONE, self.list(new.hash).first);
        let mut steps = 0;
        while let Some(entry) = self.entries.get(at as usize).copied()
            && steps < STEPS_MAX
        {
            let other = entry.hash == new.hash && entry.ring != new.ring;
            if other && entry.time_ns.saturating_add(WINDOW_NS) < new.time_ns {
                // The other ring is in order by time: no twin of this one comes any more.
                self.unlink(before, at);
                at = entry.next;
                continue;
            }
            let apart = entry.time_ns.abs_diff(new.time_ns);
            if other && apart <= WINDOW_NS && nearest.is_none_or(|(least, ..)| apart < least) {
                nearest = Some((apart, before, at));
            }
            (before, at) = (at, entry.next);
            steps += 1;
        }
        let Some((_, before, at)) = nearest else {
            return false;
        };
        self.unlink(before, at);
        true
    }

    /// Remembers a record. Gives the time of one that had to make room.
    fn put(&mut self, new: Entry) -> Option<u64> {
        let at = self.turn;
        self.turn = (at + 1) % self.entries.len();
        let old = self.entries.get(at).copied().filter(|entry| entry.live);
        if old.is_some() {
            self.unlink(NONE, at as u32);
        }
        let last = std::mem::replace(&mut self.list(new.hash).last, at as u32);
        match self.entries.get_mut(last as usize) {
            Some(last) => last.next = at as u32,
            None => self.list(new.hash).first = at as u32,
        }
        if let Some(entry) = self.entries.get_mut(at) {
            *entry = new;
        }
        old.map(|old| old.time_ns)
    }

    /// Takes an entry out of its list, given the one before it.
    fn unlink(&mut self, before: u32, at: u32) {
        let Some(entry) = self.entries.get_mut(at as usize) else {
            return;
        };
        entry.live = false;
        let Entry { hash, next, .. } = *entry;
        match self.entries.get_mut(before as usize) {
            Some(before) => before.next = next,
            None => self.list(hash).first = next,
        }
        if next == NONE {
            self.list(hash).last = before;
        }
    }

    fn list(&mut self, hash: u64) -> &mut List {
        let number = hash as usize % self.lists.len();
        // A remainder by the length, which is not 0.
        &mut self.lists[number]
    }
}

/// Leaves out twins. Without work, and without memory, where there is one ring.
#[derive(Debug)]
pub(super) struct Twins {
    table: Option<Table>,
    hasher: DefaultHashBuilder,
    /// The ring that is being read.
    ring: u32,
    several: bool,
    /// All records from before this boot time have been read.
    read_until_ns: u64,
    evicted: u64,
}

impl Twins {
    /// With one ring, or several.
    pub(super) fn new(several: bool) -> Self {
        Self {
            table: several.then(|| Table::new(MAX)),
            hasher: DefaultHashBuilder::default(),
            ring: 0,
            several,
            read_until_ns: 0,
            evicted: 0,
        }
    }

    /// There is one ring from now on, or there are several.
    pub(super) fn rings(&mut self, several: bool) {
        self.several = several;
        if several && self.table.is_none() {
            self.table = Some(Table::new(MAX));
        }
    }

    /// What is read from now on is in that ring.
    pub(super) const fn reading(&mut self, ring: u32) {
        self.ring = ring;
    }

    /// Records that had to make room while their twin could still come.
    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Whether the twin of a packet's record has been read, which has only one.
    #[inline]
    pub(super) fn is_twin(&mut self, packet: &Packet<'_>) -> bool {
        let Some(table) = &mut self.table else {
            return false;
        };
        let new = Entry {
            hash: hash(&self.hasher, packet),
            time_ns: packet.time_ns,
            ring: self.ring,
            next: NONE,
            live: true,
        };
        if table.take(&new) {
            return true;
        }
        let old = table.put(new);
        let waits = |time: u64| time.saturating_add(WINDOW_NS) >= self.read_until_ns;
        self.evicted += u64::from(old.is_some_and(waits));
        false
    }

    /// All records from before a boot time have been read, in every ring.
    pub(super) fn pass(&mut self, now_ns: u64) {
        self.read_until_ns = now_ns;
        if !self.several {
            self.table = None;
        }
    }
}

/// All that twins have in common.
fn hash(hasher: &DefaultHashBuilder, packet: &Packet<'_>) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u128(u128::from_ne_bytes(packet.source));
    hasher.write_u128(u128::from_ne_bytes(packet.destination));
    hasher.write_u64(packet.netns_cookie);
    hasher.write_u64(
        u64::from(packet.source_port)
            | u64::from(packet.destination_port) << 16
            | u64::from(packet.ifindex) << 32,
    );
    hasher.write_u64(u64::from(packet.tcp_seq) | u64::from(packet.wire_len) << 32);
    hasher.write_u32(
        u32::from(packet.tcp_flags)
            | (packet.transport as u32) << 8
            | (packet.hook as u32) << 16
            | (packet.direction as u32) << 24,
    );
    hasher.write(packet.payload);
    hasher.finish()
}

#[cfg(test)]
mod tests;
