//! Messages that host-wide hooks see once at every device: which of them is a copy on its way, and which
//! begins or ends a lookup.

use std::io;

use super::flows::{Flows, State};
use super::messages::{Messages, is_mdns, is_mdns_peer, orphaned, own, sender, tuple};
use crate::lookup::Lookup;
use crate::matcher::{Key, Pending, Question};
use crate::message::Decoded;
use crate::name::WireName;
use crate::path::{Hop, Path, Way};
use crate::record::{Packet, Transport};

/// The way of what was not seen.
static NOWHERE: Way = Way::new();

/// What tells a message from others of the same tuple; `None` for a response without question.
fn question(flows: &Flows, packet: &Packet<'_>, message: &Decoded<'_>) -> Option<u64> {
    if is_mdns_peer(packet) {
        // Without id, and often with several questions or none.
        return Some(flows.payload(packet.payload));
    }
    let known = !message.is_response() || message.has_question();
    known.then(|| flows.question(&message.question()))
}

impl Messages<'_> {
    /// Takes in a query at one of its hops.
    pub(super) fn query_at_hop(
        &mut self,
        packet: &Packet<'_>,
        key: &Key,
        message: &Decoded<'_>,
    ) -> io::Result<()> {
        self.expire(packet.time_ns)?;
        let question = question(&self.flows, packet, message);
        let slot = self.flows.of(key, question, packet.time_ns);
        let earlier = self.flows.waiting(slot).is_some_and(|waiting| {
            waiting.pending.is_none() && waiting.packet().time_ns < packet.time_ns
        });
        if earlier {
            // It is no response to this query.
            self.release(slot)?;
        }
        if !self.flows.query(slot, packet) {
            self.counts.add(1, packet.sample, |t| &mut t.query_hops);
            self.first_hop(slot, packet, key, message);
            return Ok(());
        }
        if let Some(waiting) = self.flows.waiting(slot)
            && let Some(pending) = &mut waiting.pending
        {
            pending.retransmissions = pending.retransmissions.saturating_add(1);
            self.counts
                .add(1, packet.sample, |t| &mut t.retransmissions);
            return Ok(());
        }
        self.query_sent(packet, key, message)?;
        if is_mdns_peer(packet) {
            self.flows.end(slot);
            return Ok(());
        }
        match self.flows.state(slot) {
            State::Pending => {}
            State::Ended => self.flows.pend(slot),
            // Several rings: the response was read first. It waits until all hops have been read.
            State::Waiting(_) => {
                let pending = self.taken(key, Some(&message.question()));
                if let Some(waiting) = self.flows.waiting(slot) {
                    if let Some(pending) = &pending {
                        let response = waiting.packet().sample;
                        self.counts.matched(pending.facts.sample, response);
                    }
                    waiting.pending = pending;
                }
            }
        }
        Ok(())
    }

    /// Takes in a response at one of its hops. `further` says that it may be one more of a transfer.
    pub(super) fn response_at_hop(
        &mut self,
        packet: &Packet<'_>,
        key: &Key,
        message: &Decoded<'_>,
        further: bool,
    ) -> io::Result<()> {
        let question = question(&self.flows, packet, message);
        let slot = self.flows.of(key, question, packet.time_ns);
        if !self.flows.response(slot, packet) {
            self.counts.add(1, packet.sample, |t| &mut t.response_hops);
            return match self.arrived(slot) {
                Some(pending) => self.answered_along(slot, pending, packet, message),
                None => Ok(()),
            };
        }
        if self.flows.state(slot) == State::Pending {
            let question = message.question();
            let question = message.has_question().then_some(&question);
            if let Some(pending) = self.taken(key, question) {
                self.counts.matched(pending.facts.sample, packet.sample);
                return self.answered_at(slot, pending, packet, message);
            }
        }
        if further {
            self.further_of_transfer(packet, message);
            return Ok(());
        }
        if let State::Waiting(_) = self.flows.state(slot) {
            return self.alone_along(slot, packet, message);
        }
        self.flows.wait(slot, None, packet);
        self.make_room()
    }

    /// Whether a message that cannot be read was seen at another hop before.
    pub(super) fn malformed_before(&mut self, packet: &Packet<'_>) -> bool {
        if !packet.hook.host_wide() {
            return false;
        }
        let key = self.matcher.key(tuple(packet, 0, false));
        let payload = self.flows.payload(packet.payload);
        let slot = self.flows.of(&key, Some(payload), packet.time_ns);
        let before = !self.flows.query(slot, packet);
        self.flows.end(slot);
        self.counts
            .add(before.into(), packet.sample, |t| &mut t.malformed_hops);
        before
    }

    /// Shows responses that have waited long enough at `now_ns`.
    pub(super) fn arrive(&mut self, now_ns: u64) -> io::Result<()> {
        while let Some(slot) = self.flows.due(now_ns) {
            self.release(slot)?;
        }
        Ok(())
    }

    /// Takes out the query to a response.
    fn taken(&mut self, key: &Key, question: Option<&Question<'_>>) -> Option<Pending> {
        let slot = self.matcher.find(key, question)?;
        self.matcher.take(key, slot)
    }

    /// The end of a flow whose query nobody answered, and its path.
    pub(super) fn end_of(&mut self, pending: &Pending) -> Option<(Way, Way)> {
        if !pending.tuple.host_wide {
            return None;
        }
        let slot = self
            .flows
            .find(&self.matcher.key(pending.tuple), &pending.question())?;
        self.flows.end(slot);
        self.flows.ways(slot)
    }

    /// The first response to a query: its lookup ends if the response has come back to where the query was
    /// seen first.
    fn answered_at(
        &mut self,
        slot: u32,
        pending: Pending,
        packet: &Packet<'_>,
        message: &Decoded<'_>,
    ) -> io::Result<()> {
        if self.flows.is_home(slot) {
            self.flows.end(slot);
            return self.answered_along(slot, pending, packet, message);
        }
        self.flows.wait(slot, Some(pending), packet);
        self.make_room()
    }

    /// The query of a response that waited, once it has come back.
    fn arrived(&mut self, slot: u32) -> Option<Pending> {
        let asked = self.flows.waiting(slot)?.pending.is_some();
        if !asked || !self.flows.is_home(slot) {
            return None;
        }
        let mut waiting = self.flows.take(slot)?;
        let pending = waiting.pending.take();
        self.flows.give_back(waiting);
        pending
    }

    fn make_room(&mut self) -> io::Result<()> {
        self.arrive(0)
    }

    /// With several rings the first hop may be read after others: only there the sender is known.
    fn first_hop(&mut self, slot: u32, packet: &Packet<'_>, key: &Key, message: &Decoded<'_>) {
        let cookie = sender(packet);
        let first = self
            .flows
            .get(slot)
            .and_then(|flow| flow.path().query.hops().first());
        if cookie == 0 || first != Some(&Hop::of(packet)) {
            return;
        }
        let process = self.owners.query(cookie, packet.time_ns);
        let place = self.owners.place(process.as_deref(), packet.cgroup_id);
        let waiting = self.flows.waiting(slot).and_then(|w| w.pending.as_mut());
        let pending = match waiting {
            Some(pending) => Some(pending),
            None => {
                let slot = self.matcher.find(key, Some(&message.question()));
                slot.and_then(|slot| self.matcher.get_mut(slot))
            }
        };
        if let Some(pending) = pending {
            let facts = &mut pending.facts;
            facts.socket_cookie = cookie;
            (facts.process, facts.place) = (process, place);
        }
    }

    /// Shows what waits in a flow.
    fn release(&mut self, slot: u32) -> io::Result<()> {
        let Some(mut waiting) = self.flows.take(slot) else {
            return Ok(());
        };
        let pending = waiting.pending.take();
        let packet = waiting.packet();
        let mut name = WireName::new();
        let result = match Decoded::decode(packet.payload, is_mdns(&packet), &mut name) {
            Ok(message) => match pending {
                Some(pending) => self.answered_along(slot, pending, &packet, &message),
                None => self.alone_along(slot, &packet, &message),
            },
            // It was decoded before it was kept.
            Err(_) => Ok(()),
        };
        self.flows.give_back(waiting);
        result
    }

    fn answered_along(
        &mut self,
        slot: u32,
        mut pending: Pending,
        packet: &Packet<'_>,
        message: &Decoded<'_>,
    ) -> io::Result<()> {
        own(&mut pending, &mut self.owners, &mut self.counts);
        if packet.transport == Transport::Udp && message.is_truncated() {
            self.truncated.note(&pending, packet.time_ns);
        }
        let (query, response) = self.flows.ways(slot).unwrap_or_default();
        let path = Path {
            query: &query,
            response: &response,
        };
        self.show(&Lookup::answered(&pending, packet, message).along(path))
    }

    /// A response that nobody asked for.
    fn alone_along(
        &mut self,
        slot: u32,
        packet: &Packet<'_>,
        message: &Decoded<'_>,
    ) -> io::Result<()> {
        let (_, response) = self.flows.ways(slot).unwrap_or_default();
        let path = Path {
            query: &NOWHERE,
            response: &response,
        };
        self.show(&Lookup::alone(packet, message, orphaned(packet)).along(path))
    }
}
