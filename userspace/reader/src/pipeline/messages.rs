//! From a decoded message to a lookup: matching, and the counter that every message ends in.

use std::io;

use super::flows::Flows;
use super::held::{self, Held};
use super::truncated::Truncated;
use crate::clock::WallClock;
use crate::counts::Counts;
use crate::filter::Filter;
use crate::lookup::{Lookup, Outcome, PORT_LLMNR, PORT_MDNS};
use crate::matcher::{Facts, Key, Matcher, Pending, Queried, Tuple};
use crate::message::{self, Decoded};
use crate::name::WireName;
use crate::owners::Owners;
use crate::path::Path;
use crate::record::{Direction, Packet, Select, Transport};
use crate::sink::Sink;
use crate::tap::{Asker, Tap};
use crate::tcp::Transfer;

/// DNS (RFC 1035, section 4.2).
const PORT_DNS: u16 = 53;

/// What is known of messages so far, and where lookups go.
pub(super) struct Messages<'s> {
    pub(super) matcher: Matcher,
    pub(super) held: Held,
    pub(super) flows: Flows,
    pub(super) truncated: Truncated,
    pub(super) owners: Owners,
    pub(super) counts: Counts,
    pub(super) output: Output<'s>,
    pub(super) tap: Option<&'s mut dyn Tap>,
}

impl Messages<'_> {
    /// Time-outs only: what is held may not be let go while other rings have not been read so far.
    pub(super) fn expire(&mut self, now_ns: u64) -> io::Result<()> {
        while let Some(pending) = self.matcher.expire(now_ns) {
            self.unanswered(pending, Outcome::Timeout)?;
        }
        Ok(())
    }

    /// Lets the tap see a segment, before its stream is put together.
    pub(super) fn segment(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let Some(tap) = &mut self.tap else {
            return Ok(());
        };
        let asker = if is_from_server(packet) {
            Asker::default()
        } else {
            asker_of_query(&mut self.owners, packet)
        };
        tap.segment(packet, &asker, self.output.clock)
    }

    /// Takes in a packet that holds one message: a datagram, or a message of a stream. `hash` is that of its
    /// [key](Self::key), if it is known.
    pub(super) fn message(
        &mut self,
        packet: &Packet<'_>,
        hash: Option<u32>,
        transfer: &mut Transfer,
    ) -> io::Result<()> {
        // First of all: what it fetches comes while the message is decoded.
        let key = match hash {
            Some(hash) => Key {
                tuple: tuple_of(packet),
                hash,
            },
            None => self.key(packet),
        };
        let mut name = WireName::new();
        let decoded = Decoded::decode(packet.payload, is_mdns(packet), &mut name);
        if self.tap.is_some() {
            self.tapped(packet, &key, decoded.as_ref().ok())?;
        }
        match decoded {
            Ok(message) if message.is_response() => self.response(packet, &key, &message, transfer),
            Ok(message) => self.query(packet, &key, &message),
            Err(error) => {
                tracing::trace!(%error, "no DNS message");
                self.counts.add(1, packet.sample, |t| &mut t.malformed);
                if self.malformed_before(packet) {
                    return Ok(());
                }
                let mut name = WireName::new();
                let remains = Decoded::remains(packet.payload, is_mdns(packet), &mut name);
                let lookup = Lookup::remains(packet, is_from_server(packet), remains.as_ref());
                self.output.show(&lookup, &mut self.counts)
            }
        }
    }

    /// Whom a message belongs to. What will be looked up for it is being fetched from here on.
    pub(super) fn key(&self, packet: &Packet<'_>) -> Key {
        self.matcher.key(tuple_of(packet))
    }

    /// Lets the tap see a message, before anything becomes of it.
    fn tapped(
        &mut self,
        packet: &Packet<'_>,
        key: &Key,
        message: Option<&Decoded<'_>>,
    ) -> io::Result<()> {
        let asker = match message {
            Some(message) if message.is_response() => self.asker_of_response(key, message),
            Some(_) => asker_of_query(&mut self.owners, packet),
            None => Asker::default(),
        };
        let clock = self.output.clock;
        let tap = self.tap.as_mut();
        tap.map_or(Ok(()), |tap| tap.message(packet, message, &asker, clock))
    }

    /// Who sent the query of a response, while it is pending.
    fn asker_of_response(&mut self, key: &Key, message: &Decoded<'_>) -> Asker {
        let slot = self.matcher.find(key, Some(&message.question()));
        let Some(pending) = slot.and_then(|slot| self.matcher.get_mut(slot)) else {
            return Asker::default();
        };
        let facts = &pending.facts;
        Asker {
            process: facts.process.clone().or_else(|| {
                let owners = &self.owners;
                owners.of_query(facts.socket_cookie, facts.time_ns)
            }),
            place: facts.place.clone(),
        }
    }

    fn query(&mut self, packet: &Packet<'_>, key: &Key, message: &Decoded<'_>) -> io::Result<()> {
        self.counts.add(1, packet.sample, |t| &mut t.queries);
        if packet.hook.host_wide() {
            return self.query_at_hop(packet, key, message);
        }
        self.query_sent(packet, key, message)
    }

    /// A query that its client sends, for the first time or again.
    pub(super) fn query_sent(
        &mut self,
        packet: &Packet<'_>,
        key: &Key,
        message: &Decoded<'_>,
    ) -> io::Result<()> {
        let tuple = &key.tuple;
        let cookie = sender(packet);
        let process = self.owners.query(cookie, packet.time_ns);
        let cgroup_id = if cookie == 0 { 0 } else { packet.cgroup_id };
        let place = self.owners.place(process.as_deref(), cgroup_id);
        if is_mdns_peer(packet) {
            // Answered to everybody, without question and without id (RFC 6762, section 6).
            let mut lookup = Lookup::alone(packet, message, Outcome::Multicast);
            lookup.process = process.as_deref();
            lookup.place = place.as_deref();
            count_owner(&mut self.counts, cookie, lookup.process.is_some());
            return self.show(&lookup);
        }
        self.expire(packet.time_ns)?;
        let question = message.question();
        let edns = message.edns.unwrap_or_default();
        let facts = Facts {
            time_ns: packet.time_ns,
            destination: packet.destination,
            hook: packet.hook,
            direction: packet.direction,
            flags: message.flags(),
            edns_version: edns.version,
            udp_size: edns.udp_size,
            // A message has at most 65,535 octets.
            options_len: edns.options.len() as u16,
            opcode: message.opcode().to_int(),
            cut: packet.cut,
            sample: packet.sample,
            socket_cookie: cookie,
            process,
            place,
            retry: packet.transport == Transport::Tcp
                && self.truncated.take(tuple, &question, packet.time_ns),
        };
        match self.matcher.query(key, &question, facts, edns.options) {
            Queried::Pending => {}
            Queried::Retransmission => {
                self.counts
                    .add(1, packet.sample, |t| &mut t.retransmissions);
                return Ok(());
            }
            Queried::Evicted(pending) => self.unanswered(*pending, Outcome::Evicted)?,
        }
        match self.held.take(tuple, &question, packet.time_ns) {
            Some(record) => self.released(&record),
            None => Ok(()),
        }
    }

    fn response(
        &mut self,
        packet: &Packet<'_>,
        key: &Key,
        message: &Decoded<'_>,
        transfer: &mut Transfer,
    ) -> io::Result<()> {
        self.counts.add(1, packet.sample, |t| &mut t.responses);
        self.expire(packet.time_ns)?;
        let further = *transfer == Some(message.id()) && message.may_be_of_transfer();
        if packet.transport == Transport::Tcp && message.is_of_transfer() {
            *transfer = Some(message.id());
        }
        if packet.hook.host_wide() {
            return self.response_at_hop(packet, key, message, further);
        }
        if self.answer(packet, key, message)? {
            return Ok(());
        }
        if further {
            self.further_of_transfer(packet, message);
            return Ok(());
        }
        if self.held.hold(packet, &key.tuple, message) {
            return Ok(());
        }
        self.show(&Lookup::alone(packet, message, orphaned(packet)))
    }

    pub(super) fn further_of_transfer(&mut self, packet: &Packet<'_>, message: &Decoded<'_>) {
        let (counts, sample) = (&mut self.counts, packet.sample);
        counts.add(1, sample, |t| &mut t.axfr_messages);
        counts.add(message.answers.into(), sample, |t| &mut t.axfr_records);
    }

    /// Shows the lookup that a response ends; `false` if its query is not pending.
    fn answer(
        &mut self,
        packet: &Packet<'_>,
        key: &Key,
        message: &Decoded<'_>,
    ) -> io::Result<bool> {
        if is_mdns_peer(packet) {
            return Ok(false);
        }
        let question = message.question();
        let question = message.has_question().then_some(&question);
        let Some(slot) = self.matcher.find(key, question) else {
            return Ok(false);
        };
        // It is shown where it is: to take it out first is to copy it, three times over.
        let Some(pending) = self.matcher.get_mut(slot) else {
            return Ok(false);
        };
        self.counts.matched(pending.facts.sample, packet.sample);
        own(pending, &mut self.owners, &mut self.counts);
        if packet.transport == Transport::Udp && message.is_truncated() {
            self.truncated.note(pending, packet.time_ns);
        }
        let lookup = Lookup::answered(pending, packet, message);
        let shown = self.output.lookup(&lookup, &mut self.counts);
        self.matcher.take(key, slot);
        shown.map(|()| true)
    }

    /// A held response whose query has come.
    fn released(&mut self, record: &held::Record) -> io::Result<()> {
        let packet = record.packet();
        match Decoded::decode(packet.payload, is_mdns(&packet), &mut WireName::new()) {
            Ok(message) => {
                let key = self.key(&packet);
                self.answer(&packet, &key, &message).map(drop)
            }
            Err(_) => Ok(()),
        }
    }

    /// A held response whose query has not come.
    pub(super) fn orphan(&mut self, record: &held::Record) -> io::Result<()> {
        let packet = record.packet();
        match Decoded::decode(packet.payload, is_mdns(&packet), &mut WireName::new()) {
            Ok(message) => self.show(&Lookup::alone(&packet, &message, orphaned(&packet))),
            Err(_) => Ok(()),
        }
    }

    /// Shows the lookup of a query that nobody answered. With a query to a group that is no error.
    fn unanswered(&mut self, mut pending: Pending, outcome: Outcome) -> io::Result<()> {
        own(&mut pending, &mut self.owners, &mut self.counts);
        let group = pending.tuple.server == [0; 16];
        let outcome = if group { Outcome::Multicast } else { outcome };
        let ways = self.end_of(&pending);
        let mut lookup = Lookup::unanswered(&pending, outcome);
        if let Some((query, response)) = &ways {
            lookup = lookup.along(Path { query, response });
        }
        self.show(&lookup)
    }

    pub(super) fn show(&mut self, lookup: &Lookup<'_>) -> io::Result<()> {
        self.output.lookup(lookup, &mut self.counts)
    }
}

/// A query whose lookup ends: its process may have been announced since, by another ring.
pub(super) fn own(pending: &mut Pending, owners: &mut Owners, counts: &mut Counts) {
    let facts = &mut pending.facts;
    if facts.process.is_none() {
        facts.process = owners.of_query(facts.socket_cookie, facts.time_ns);
    }
    if facts.place.is_none() {
        facts.place = owners.place(facts.process.as_deref(), 0);
    }
    count_owner(counts, facts.socket_cookie, facts.process.is_some());
}

const fn count_owner(counts: &mut Counts, cookie: u64, known: bool) {
    match (cookie, known) {
        (0, _) => {}
        (_, true) => counts.owners.known += 1,
        (_, false) => counts.owners.unknown += 1,
    }
}

/// The end of the route: filter, limit, sink.
pub(super) struct Output<'s> {
    pub(super) sink: &'s mut dyn Sink,
    pub(super) clock: WallClock,
    pub(super) filter: Filter,
    pub(super) left: Option<u64>,
}

impl Output<'_> {
    /// Counts a lookup, and shows it.
    fn lookup(&mut self, lookup: &Lookup<'_>, counts: &mut Counts) -> io::Result<()> {
        let sample = lookup.sample;
        let retries = u64::from(lookup.retry_of_truncated);
        counts.add(1, sample, |t| &mut t.lookups);
        counts.add(retries, sample, |t| &mut t.retries_of_truncated);
        if let Some(dns) = &lookup.dns {
            counts.encrypted.bootstraps.lookup(dns);
        }
        match lookup.outcome {
            Outcome::Answered => {
                let malformed = u64::from(lookup.error().is_some());
                counts.add(1, sample, |t| &mut t.answered);
                counts.add(malformed, sample, |t| &mut t.malformed_answers);
            }
            Outcome::Response => counts.add(1, sample, |t| &mut t.responses_only),
            Outcome::Timeout => counts.add(1, sample, |t| &mut t.timeouts),
            Outcome::Orphan => counts.add(1, sample, |t| &mut t.orphans),
            Outcome::Evicted => counts.add(1, sample, |t| &mut t.evicted),
            Outcome::Multicast => counts.add(1, sample, |t| &mut t.multicast),
            Outcome::Announcement => counts.add(1, sample, |t| &mut t.announcements),
            Outcome::Malformed => {}
        }
        self.show(lookup, counts)
    }

    fn show(&mut self, lookup: &Lookup<'_>, counts: &mut Counts) -> io::Result<()> {
        if self.left == Some(0) || !self.filter.admits(lookup) {
            return Ok(());
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        counts.shown += 1;
        self.sink.lookup(lookup, self.clock)
    }
}

/// Which end is the server, by the ports: what the message says of itself cannot be trusted.
const fn is_from_server(packet: &Packet<'_>) -> bool {
    const fn known(port: u16) -> bool {
        matches!(port, PORT_DNS | PORT_MDNS | PORT_LLMNR)
    }
    match (known(packet.source_port), known(packet.destination_port)) {
        (true, false) => true,
        (false, true) => false,
        _ => packet.source_port < packet.destination_port,
    }
}

/// Whom a message belongs to, by its packet and the first octets of its header.
#[inline]
fn tuple_of(packet: &Packet<'_>) -> Tuple {
    let (id, response) = message::head(packet.payload).unwrap_or_default();
    tuple(packet, id, response)
}

/// Whom a message belongs to.
pub(super) fn tuple(packet: &Packet<'_>, id: u16, response: bool) -> Tuple {
    let source = (packet.source, packet.source_port);
    let destination = (packet.destination, packet.destination_port);
    let (client, server) = if response {
        (destination, source)
    } else {
        (source, destination)
    };
    // Asked of a group, answered by a member.
    let group = matches!(server.1, PORT_MDNS | PORT_LLMNR) && packet.transport == Transport::Udp;
    let (netns_cookie, ifindex) = packet.place();
    Tuple {
        netns_cookie,
        ifindex,
        host_wide: packet.hook.host_wide(),
        transport: packet.transport,
        client: client.0,
        client_port: client.1,
        server: if group { [0; 16] } else { server.0 },
        server_port: server.1,
        id,
    }
}

/// Between full mDNS implementations, which both use port 5353. A query from another port is a
/// legacy one and is answered like any other (RFC 6762, section 6.7).
pub(super) const fn is_mdns_peer(packet: &Packet<'_>) -> bool {
    packet.source_port == PORT_MDNS && packet.destination_port == PORT_MDNS
}

/// Cookie of the socket that sent a packet, 0 where that is not for certain: what comes in may have been
/// given a socket on its way, that of its receiver (`bpf_sk_assign`).
pub(super) const fn sender(packet: &Packet<'_>) -> u64 {
    match packet.direction {
        Direction::Egress => packet.socket_cookie,
        Direction::Ingress => 0,
    }
}

/// Who sends a query, as far as it is known by now.
fn asker_of_query(owners: &mut Owners, packet: &Packet<'_>) -> Asker {
    let cookie = sender(packet);
    if cookie == 0 {
        return Asker::default();
    }
    let process = owners.of_query(cookie, packet.time_ns);
    let place = owners.place(process.as_deref(), packet.cgroup_id);
    Asker { process, place }
}

/// Only mDNS asks several questions in a message (RFC 6762, section 5.3).
pub(super) const fn is_mdns(packet: &Packet<'_>) -> bool {
    packet.source_port == PORT_MDNS || packet.destination_port == PORT_MDNS
}

pub(super) const fn orphaned(packet: &Packet<'_>) -> Outcome {
    if packet.source_port == PORT_MDNS {
        Outcome::Announcement
    } else if matches!(packet.transport, Transport::Udp) && !matches!(packet.select, Select::All) {
        Outcome::Response
    } else {
        Outcome::Orphan
    }
}
