//! What host-wide hooks have seen of each message: a flow is a question of a client, with its hops and
//! those of the response. A flow outlives its lookup for a while, so that copies which are still on
//! their way are told from messages that are sent anew.

use std::hash::{BuildHasher, Hasher};

use hashbrown::DefaultHashBuilder;
use slab::Slab;

use crate::matcher::{Key, Pending, Question, Tuple};
use crate::path::{Path, Way};
use crate::record::Packet;
use crate::table::index::Index;
use crate::table::order::Order;

/// How long a response may take from where it is first seen to the first hop of its query,
/// nanoseconds of kernel time. The hops are of one host.
pub(super) const GRACE_NS: u64 = 200_000_000;
/// How long a flow outlives its lookup, likewise.
const LINGER_NS: u64 = 500_000_000;
/// Most flows that outlive their lookups; the oldest makes room.
const ENDED_MAX: usize = 8192;
/// Most flows of one client, server and id, beside those that a lookup needs.
const SAME_TUPLE_MAX: usize = 32;
/// Most responses that wait; the oldest is shown before its time.
const WAITING_MAX: usize = 1024;
/// Most bytes that one buffer is kept with: a message over TCP may have 64 KiB.
const BUFFER_MAX: usize = 4096;

/// What a flow waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The query is in the matcher.
    Pending,
    /// A response has been seen, and waits in this place.
    Waiting(u32),
    /// Nothing.
    Ended,
}

/// A question and where it was seen.
#[derive(Debug)]
pub(super) struct Flow {
    tuple: Tuple,
    question: u64,
    hash: u32,
    query: Way,
    response: Way,
    pub(super) state: State,
    ended_ns: u64,
}

impl Flow {
    pub(super) const fn path(&self) -> Path<'_> {
        Path {
            query: &self.query,
            response: &self.response,
        }
    }
}

/// A response on its way to the first hop of its query.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The query, if it was seen.
    pub(super) pending: Option<Pending>,
    packet: Packet<'static>,
    payload: Vec<u8>,
}

impl Waiting {
    /// The packet as it came.
    pub(super) fn packet(&self) -> Packet<'_> {
        Packet {
            payload: &self.payload,
            ..self.packet
        }
    }
}

/// All flows.
#[derive(Debug)]
pub(super) struct Flows {
    slots: Slab<Flow>,
    index: Index,
    hasher: DefaultHashBuilder,
    /// Flows that wait, and those that have ended, from the oldest.
    waits: Order,
    ended: Order,
    ended_len: usize,
    waiting: Slab<Waiting>,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
    /// Kernel time, as far as it is known.
    now_ns: u64,
}

impl Flows {
    pub(super) fn new() -> Self {
        Self {
            slots: Slab::new(),
            index: Index::with_capacity(0),
            hasher: DefaultHashBuilder::default(),
            waits: Order::new(),
            ended: Order::new(),
            ended_len: 0,
            waiting: Slab::new(),
            spare: Vec::new(),
            now_ns: 0,
        }
    }

    /// What tells the questions of one tuple apart.
    pub(super) fn question(&self, question: &Question<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(u32::from(question.qtype) << 16 | u32::from(question.qclass));
        hasher.write(question.name);
        hasher.finish()
    }

    /// The same for messages that are told by all of their bytes.
    pub(super) fn payload(&self, payload: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(payload);
        hasher.finish()
    }

    /// The flow of a message, which may be new. A response without question is of the only flow with
    /// its tuple that has not ended, or of the only one.
    pub(super) fn of(&mut self, key: &Key, question: Option<u64>, now_ns: u64) -> u32 {
        self.pass(now_ns);
        let (mut same, mut open, mut old) = (0_usize, None, None);
        let mut several = false;
        for slot in self.index.places(key.hash) {
            let Some(flow) = self
                .slots
                .get(slot as usize)
                .filter(|f| f.tuple == key.tuple)
            else {
                continue;
            };
            if Some(flow.question) == question {
                return slot;
            }
            same += 1;
            if flow.state == State::Ended {
                old = Some(slot);
            } else {
                several |= open.is_some();
                open = Some(slot);
            }
        }
        if question.is_none() && !several {
            match (open, old) {
                (Some(slot), _) => return slot,
                (None, Some(slot)) if same == 1 => return slot,
                _ => {}
            }
        }
        if same >= SAME_TUPLE_MAX
            && let Some(slot) = old
        {
            self.remove(slot);
        }
        self.insert(Flow {
            tuple: key.tuple,
            question: question.unwrap_or_default(),
            hash: key.hash,
            query: Way::new(),
            response: Way::new(),
            state: State::Ended,
            ended_ns: self.now_ns,
        })
    }

    /// The flow of a query that is pending or was.
    pub(super) fn find(&self, key: &Key, question: &Question<'_>) -> Option<u32> {
        let question = self.question(question);
        let mut slots = self.index.places(key.hash);
        slots.find(|slot| {
            let flow = self.get(*slot);
            flow.is_some_and(|flow| flow.question == question && flow.tuple == key.tuple)
        })
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Flow> {
        self.slots.get(slot as usize)
    }

    /// Where its messages were seen.
    pub(super) fn ways(&self, slot: u32) -> Option<(Way, Way)> {
        self.get(slot).map(|flow| (flow.query, flow.response))
    }

    /// Whether the response has come back to where the query was seen first.
    pub(super) fn is_home(&self, slot: u32) -> bool {
        self.get(slot)
            .is_some_and(|flow| flow.path().home().is_some())
    }

    pub(super) fn state(&self, slot: u32) -> State {
        self.get(slot).map_or(State::Ended, |flow| flow.state)
    }

    /// Notes where a query was seen; whether it was sent once more. If nothing waits for it, it begins a
    /// lookup: what was seen before is of another one.
    pub(super) fn query(&mut self, slot: u32, packet: &Packet<'_>) -> bool {
        let Some(flow) = self.slots.get_mut(slot as usize) else {
            return true;
        };
        let again = flow.query.see(packet);
        if again && flow.state == State::Ended {
            (flow.query, flow.response) = (Way::new(), Way::new());
            flow.query.see(packet);
        }
        again
    }

    /// Notes where a response was seen; whether it is another one than before.
    pub(super) fn response(&mut self, slot: u32, packet: &Packet<'_>) -> bool {
        let flow = self.slots.get_mut(slot as usize);
        flow.is_none_or(|flow| flow.response.see(packet))
    }

    /// The query of a flow is in the matcher now.
    pub(super) fn pend(&mut self, slot: u32) {
        self.leave(slot);
        self.set(slot, State::Pending);
    }

    /// The lookup of a flow has ended.
    pub(super) fn end(&mut self, slot: u32) {
        self.leave(slot);
        let now_ns = self.now_ns;
        if let Some(flow) = self.slots.get_mut(slot as usize) {
            flow.state = State::Ended;
            flow.ended_ns = now_ns;
            self.ended.push(slot);
            self.ended_len += 1;
        }
    }

    /// Keeps a response until it has come to the first hop of its query.
    pub(super) fn wait(&mut self, slot: u32, pending: Option<Pending>, packet: &Packet<'_>) {
        self.leave(slot);
        let mut payload = self.spare.pop().unwrap_or_default();
        payload.clear();
        payload.extend_from_slice(packet.payload);
        let place = self.waiting.insert(Waiting {
            pending,
            packet: Packet {
                payload: &[],
                ..*packet
            },
            payload,
        });
        self.set(slot, State::Waiting(place as u32));
        self.waits.push(slot);
    }

    /// The response that waits in a flow.
    pub(super) fn waiting(&mut self, slot: u32) -> Option<&mut Waiting> {
        match self.state(slot) {
            State::Waiting(place) => self.waiting.get_mut(place as usize),
            State::Pending | State::Ended => None,
        }
    }

    /// Takes it out. The flow has ended with it.
    pub(super) fn take(&mut self, slot: u32) -> Option<Waiting> {
        let State::Waiting(place) = self.state(slot) else {
            return None;
        };
        let waiting = self.waiting.try_remove(place as usize)?;
        self.end(slot);
        Some(waiting)
    }

    /// Gives back what [`Self::take`] gave, so that its buffer is used again.
    pub(super) fn give_back(&mut self, waiting: Waiting) {
        if waiting.payload.capacity() <= BUFFER_MAX && self.spare.len() < WAITING_MAX {
            self.spare.push(waiting.payload);
        }
    }

    /// The flow whose response has waited longest, if its time is up at `now_ns` or too many wait.
    pub(super) fn due(&self, now_ns: u64) -> Option<u32> {
        let up = self.next_due()? <= now_ns;
        (up || self.waiting.len() > WAITING_MAX).then(|| self.waits.oldest())?
    }

    /// Boot time at which the next one is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        let State::Waiting(place) = self.state(self.waits.oldest()?) else {
            return None;
        };
        let waiting = self.waiting.get(place as usize)?;
        Some(waiting.packet.time_ns.saturating_add(GRACE_NS))
    }

    /// Responses that wait.
    pub(super) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// Queries whose response waits.
    pub(super) fn answered(&self) -> usize {
        let waiting = self.waiting.iter();
        waiting.filter(|(_, w)| w.pending.is_some()).count()
    }

    /// Takes a flow out of the list that it is in.
    fn leave(&mut self, slot: u32) {
        match self.get(slot).map(|flow| flow.state) {
            Some(State::Waiting(_)) => self.waits.remove(slot),
            Some(State::Ended) => {
                self.ended.remove(slot);
                self.ended_len -= 1;
            }
            Some(State::Pending) | None => {}
        }
    }

    fn set(&mut self, slot: u32, state: State) {
        if let Some(flow) = self.slots.get_mut(slot as usize) {
            flow.state = state;
        }
    }

    /// Time passes: forgets flows whose lookup has ended long ago, or that are too many.
    pub(super) fn pass(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        while let Some(slot) = self.ended.oldest()
            && let Some(flow) = self.get(slot)
            && (flow.ended_ns.saturating_add(LINGER_NS) < self.now_ns
                || self.ended_len >= ENDED_MAX)
        {
            self.remove(slot);
        }
    }

    /// A new flow is in the list of those that have ended, until something is made of it.
    fn insert(&mut self, flow: Flow) -> u32 {
        let hash = flow.hash;
        let slot = self.slots.insert(flow) as u32;
        self.index.insert(hash, slot);
        self.ended.push(slot);
        self.ended_len += 1;
        slot
    }

    fn remove(&mut self, slot: u32) {
        self.leave(slot);
        let Some(flow) = self.slots.try_remove(slot as usize) else {
            return;
        };
        self.index.remove(flow.hash, slot);
    }
}
