//! Finds the query to a response. A bounded table of pending queries: one hash look-up and no
//! allocation a message, one list in order of arrival for the time-outs, which are all of one
//! length. Time is the kernel's, taken from the records, so that the outcome does not depend on
//! when the reader got round to reading.

use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;
use slab::Slab;

use crate::container::Place;
use crate::message::edns::Edns;
use crate::message::{Bit, Flags};
use crate::name::StoredName;
use crate::process::Process;
use crate::record::{Direction, Hook, Transport};
use crate::table::index::Index;
use crate::table::order::Order;

/// Most queries pending with the same client, server and id that differ only in their question.
/// They share a place in the table, and one client must not make it a long list.
const SAME_TUPLE_MAX: usize = 16;

/// Entries of an index that a cache still keeps beside all else: 256 KiB.
const LARGE: usize = 1 << 15;

/// All of a message that tells whose query it is, or the response to whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// Network namespace of the device, 0 if unknown, see [`crate::record::Packet::place`].
    pub netns_cookie: u64,
    /// Device, likewise.
    pub ifindex: u32,
    /// Seen by a host-wide hook, see [`Hook::host_wide`].
    pub host_wide: bool,
    /// Transport.
    pub transport: Transport,
    /// Who asks.
    pub client: [u8; 16],
    /// Who asks, port.
    pub client_port: u16,
    /// Who is asked; zero for a multicast query, which others answer than were addressed.
    pub server: [u8; 16],
    /// Who is asked, port.
    pub server_port: u16,
    /// Message id.
    pub id: u16,
}

impl Tuple {
    #[inline]
    fn hash(&self, hasher: &DefaultHashBuilder) -> u32 {
        let mut hasher = hasher.build_hasher();
        hasher.write_u128(u128::from_ne_bytes(self.client));
        hasher.write_u128(u128::from_ne_bytes(self.server));
        hasher.write_u64(self.netns_cookie);
        hasher.write_u64(
            u64::from(self.client_port)
                | u64::from(self.server_port) << 16
                | u64::from(self.id) << 32
                | (self.transport as u64) << 48
                | u64::from(self.host_wide) << 56,
        );
        hasher.write_u32(self.ifindex);
        hasher.finish() as u32
    }
}

/// A tuple and its hash, by which tables are searched. Made by [`Matcher::key`].
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Whose message it is.
    pub tuple: Tuple,
    pub(crate) hash: u32,
}

/// Question of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// Wire name in lower case, empty if there is no question.
    pub name: &'a [u8],
    /// Type.
    pub qtype: u16,
    /// Class.
    pub qclass: u16,
}

/// What is kept of a query beside tuple and question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Boot time, nanoseconds.
    pub time_ns: u64,
    /// Where it was sent; differs from [`Tuple::server`] for multicast.
    pub destination: [u8; 16],
    /// Hook that saw it.
    pub hook: Hook,
    /// Its way through the device.
    pub direction: Direction,
    /// Header flags, and what else is one bit.
    pub flags: Flags,
    /// Version of EDNS, see [`crate::message::Bit::Edns`].
    pub edns_version: u8,
    /// Octets of a datagram that the client can take, by EDNS.
    pub udp_size: u16,
    /// Octets of EDNS options, of which [`Pending::name`] may have kept none.
    pub options_len: u16,
    /// Opcode.
    pub opcode: u8,
    /// The record did not hold all of it.
    pub cut: bool,
    /// It follows a truncated answer to the same question.
    pub retry: bool,
    /// It stands for so many lookups.
    pub sample: u16,
    /// Cookie of the local socket that sent it, 0 if there is none.
    pub socket_cookie: u64,
    /// Process that the socket belongs to, as far as known when the query was seen.
    pub process: Option<Rc<Process>>,
    /// Container or unit that the process, or else the socket, is in.
    pub place: Option<Arc<Place>>,
}

/// A query that waits for its response.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Whose it is.
    pub tuple: Tuple,
    /// The first query.
    pub facts: Facts,
    /// Name of the question, and the query's EDNS options where they fit behind it.
    pub name: StoredName,
    /// Type of the question.
    pub qtype: u16,
    /// Class of the question.
    pub qclass: u16,
    /// How often it was sent again.
    pub retransmissions: u32,
}

// The budget of a pending lookup is 256 bytes, its share of index and order included.
const _: () = assert!(size_of::<Pending>() <= 216);

impl Pending {
    /// The question.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        Question {
            name: self.name.as_slice(),
            qtype: self.qtype,
            qclass: self.qclass,
        }
    }

    /// What the query said by EDNS.
    #[must_use]
    pub fn edns(&self) -> Option<Edns<'_>> {
        let Facts {
            flags,
            edns_version,
            udp_size,
            options_len,
            ..
        } = self.facts;
        let options = self.name.more();
        flags.has(Bit::Edns).then(|| Edns {
            version: edns_version,
            udp_size,
            dnssec_ok: flags.has(Bit::Do),
            options,
            // None of them or all.
            left_out: if options.is_empty() { options_len } else { 0 },
        })
    }

    fn is(&self, tuple: &Tuple, question: &Question<'_>) -> bool {
        self.tuple == *tuple && self.question() == *question
    }
}

/// What became of a query.
#[derive(Debug)]
pub enum Queried {
    /// It is pending now.
    Pending,
    /// It was pending already: the client sends it again.
    Retransmission,
    /// It is pending now, and this other one had to go for it.
    Evicted(Box<Pending>),
}

/// Pending queries.
#[derive(Debug)]
pub struct Matcher {
    slots: Slab<Pending>,
    index: Index,
    hasher: DefaultHashBuilder,
    order: Order,
    capacity: usize,
    timeout_ns: u64,
}

impl Matcher {
    /// Keeps at most `capacity` queries (at least one), each for `timeout_ns` of kernel time.
    #[must_use]
    pub fn new(capacity: usize, timeout_ns: u64) -> Self {
        Self {
            slots: Slab::new(),
            index: Index::with_capacity(0),
            hasher: DefaultHashBuilder::default(),
            order: Order::new(),
            capacity: capacity.clamp(1, u32::MAX as usize - 1),
            timeout_ns,
        }
    }

    /// Queries pending now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the index is too large for a cache to keep, so that it pays to fetch long before a search.
    #[inline]
    #[must_use]
    pub const fn is_large(&self) -> bool {
        self.index.len() > LARGE
    }

    /// The key of a tuple. Begins to fetch what a search for it reads: the sooner it is asked for, the less
    /// the search waits.
    #[inline]
    pub fn key(&self, tuple: Tuple) -> Key {
        let hash = tuple.hash(&self.hasher);
        self.index.prefetch(hash);
        Key { tuple, hash }
    }

    /// Takes in a query, and its EDNS options.
    pub fn query(
        &mut self,
        key: &Key,
        question: &Question<'_>,
        facts: Facts,
        options: &[u8],
    ) -> Queried {
        let mut same_tuple = 0;
        let mut oldest_of_tuple = (u64::MAX, u32::MAX);
        for slot in self.index.places(key.hash) {
            let Some(pending) = self.slots.get_mut(slot as usize) else {
                continue;
            };
            if pending.is(&key.tuple, question) {
                pending.retransmissions = pending.retransmissions.saturating_add(1);
                return Queried::Retransmission;
            }
            if pending.tuple == key.tuple {
                same_tuple += 1;
                let this = (pending.facts.time_ns, slot);
                oldest_of_tuple = oldest_of_tuple.min(this);
            }
        }
        let victim = if same_tuple >= SAME_TUPLE_MAX {
            Some(oldest_of_tuple.1)
        } else if self.slots.len() >= self.capacity {
            self.order.oldest()
        } else {
            None
        };
        let evicted = victim.and_then(|slot| self.remove(slot));
        let slot = self.slots.insert(Pending {
            tuple: key.tuple,
            facts,
            name: StoredName::new(question.name, options),
            qtype: question.qtype,
            qclass: question.qclass,
            retransmissions: 0,
        });
        self.index.insert(key.hash, slot as u32);
        self.order.push(slot as u32);
        evicted.map_or(Queried::Pending, |pending| {
            Queried::Evicted(Box::new(pending))
        })
    }

    /// Finds the query to a response, and gives its slot. A response without question (as servers may send with
    /// FORMERR or REFUSED) finds the query with its tuple, if there is exactly one.
    pub fn find(&self, key: &Key, question: Option<&Question<'_>>) -> Option<u32> {
        let mut found = None;
        for slot in self.index.places(key.hash) {
            let Some(pending) = self.slots.get(slot as usize) else {
                continue;
            };
            match question {
                Some(question) if pending.is(&key.tuple, question) => return Some(slot),
                None if pending.tuple == key.tuple => {
                    if found.is_some() {
                        return None;
                    }
                    found = Some(slot);
                }
                _ => {}
            }
        }
        found
    }

    /// The query in a slot.
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Pending> {
        self.slots.get_mut(slot as usize)
    }

    /// Takes out the query in a slot, which was found by this key.
    pub fn take(&mut self, key: &Key, slot: u32) -> Option<Pending> {
        self.remove_at(key.hash, slot)
    }

    /// Takes out the oldest query if its time is up at `now_ns`.
    #[inline]
    pub fn expire(&mut self, now_ns: u64) -> Option<Pending> {
        if self.next_due()? > now_ns {
            return None;
        }
        self.remove(self.order.oldest()?)
    }

    /// Boot time at which the next query times out.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        let pending = self.slots.get(self.order.oldest()? as usize)?;
        Some(pending.facts.time_ns.saturating_add(self.timeout_ns))
    }

    fn remove(&mut self, slot: u32) -> Option<Pending> {
        let hash = self.slots.get(slot as usize)?.tuple.hash(&self.hasher);
        self.remove_at(hash, slot)
    }

    #[inline]
    fn remove_at(&mut self, hash: u32, slot: u32) -> Option<Pending> {
        let pending = self.slots.try_remove(slot as usize)?;
        self.index.remove(hash, slot);
        self.order.remove(slot);
        Some(pending)
    }
}
