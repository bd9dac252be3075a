//! From a record to a sink. One thread runs it, no allocation a message; every message ends in one
//! counter of [`Counts`].

mod held;

use std::io;

use crate::clock::WallClock;
use crate::counts::Counts;
use crate::filter::Filter;
use crate::lookup::{Lookup, Outcome};
use crate::matcher::{Facts, Matcher, Queried, Tuple};
use crate::message::Decoded;
use crate::record::{Direction, Packet, Transport};
use crate::sink::Sink;
use held::Held;

/// mDNS (RFC 6762).
const PORT_MDNS: u16 = 5353;
/// LLMNR (RFC 4795).
const PORT_LLMNR: u16 = 5355;
/// The loopback device has this index in every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK_IFINDEX: u32 = 1;
/// Namespaces of which we remember that their loopback shows the way out.
const LOOPBACKS_MAX: usize = 1024;

/// What the pipeline is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which lookups are shown.
    pub filter: Filter,
    /// A query without response is given up after this much kernel time, nanoseconds.
    pub timeout_ns: u64,
    /// Most queries that wait for their response.
    pub max_pending: usize,
    /// Stop after this many shown.
    pub count: Option<u64>,
    /// Leave out records from before this boot time, nanoseconds; 0 takes all.
    pub start_ns: u64,
    /// How long to hold a response whose query may still come through another ring, nanoseconds
    /// of kernel time; 0 with one ring.
    pub hold_ns: u64,
}

/// The route of a record.
pub struct Pipeline<'s> {
    matcher: Matcher,
    held: Held,
    counts: Counts,
    output: Output<'s>,
    start_ns: u64,
    /// Namespaces, and whether by a host-wide hook, whose loopback shows packets on the way out.
    loopbacks: Vec<(u64, bool)>,
}

impl<'s> Pipeline<'s> {
    /// A pipeline into a sink.
    pub fn new(options: Options, sink: &'s mut dyn Sink) -> Self {
        Self {
            matcher: Matcher::new(options.max_pending, options.timeout_ns),
            held: Held::new(options.hold_ns),
            counts: Counts::default(),
            output: Output {
                sink,
                clock: WallClock::sample(),
                filter: options.filter,
                left: options.count,
            },
            start_ns: options.start_ns,
            loopbacks: Vec::new(),
        }
    }

    /// The counters, `pending` as of now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            pending: self.matcher.len() as u64,
            ..self.counts
        }
    }

    /// Whether the wanted number of lookups has been shown.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.output.left == Some(0)
    }

    /// Takes in one record. `lag_from` is the boot time at which a drain began, given with its
    /// first record.
    ///
    /// # Errors
    /// The sink's.
    pub fn record(&mut self, bytes: &[u8], lag_from: Option<u64>) -> io::Result<()> {
        self.counts.records += 1;
        let packet = match Packet::decode(bytes) {
            Ok(packet) => packet,
            Err(error) => {
                self.counts.undecodable += 1;
                tracing::debug!(%error, "record left out");
                return Ok(());
            }
        };
        if packet.time_ns < self.start_ns {
            self.counts.stale += 1;
            return Ok(());
        }
        if let Some(now) = lag_from {
            let lag = now.saturating_sub(packet.time_ns);
            self.counts.max_lag_ns = self.counts.max_lag_ns.max(lag);
        }
        if self.is_duplicate(&packet) {
            self.counts.duplicates += 1;
            return Ok(());
        }
        match packet.transport {
            Transport::Udp => self.datagram(&packet),
            Transport::Tcp => {
                self.counts.tcp_segments += 1;
                Ok(())
            }
        }
    }

    /// Lets time-outs fall due up to a boot time before which all records have been taken in.
    ///
    /// # Errors
    /// The sink's.
    pub fn advance(&mut self, now_ns: u64) -> io::Result<()> {
        self.expire(now_ns)?;
        while let Some(record) = self.held.expire(now_ns) {
            self.orphan(&record)?;
        }
        Ok(())
    }

    /// Time-outs only: what is held may not be let go while other rings have not been read so far.
    fn expire(&mut self, now_ns: u64) -> io::Result<()> {
        while let Some(pending) = self.matcher.expire(now_ns) {
            let outcome = unanswered(&pending.tuple, Outcome::Timeout);
            self.show(&Lookup::unanswered(&pending, outcome))?;
        }
        Ok(())
    }

    /// To be called when the rings are empty: hands on what sinks keep back.
    ///
    /// # Errors
    /// The sink's.
    pub fn drained(&mut self) -> io::Result<()> {
        self.output.clock = WallClock::sample();
        self.output.sink.flush()
    }

    /// To be called at the end: what was held back is shown; what is pending stays counted as such.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(&mut self) -> io::Result<()> {
        while let Some(record) = self.held.expire(u64::MAX) {
            self.orphan(&record)?;
        }
        self.output.sink.flush()
    }

    /// Boot time at which [`Pipeline::advance`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.matcher
            .next_due()
            .into_iter()
            .chain(self.held.next_due())
            .min()
    }

    /// Takes another clock until the rings are empty next, for tests.
    pub const fn set_clock(&mut self, clock: WallClock) {
        self.output.clock = clock;
    }

    /// A packet on a loopback device passes its way out and then its way in. Where the way out is
    /// watched, the way in is the same packet again.
    fn is_duplicate(&mut self, packet: &Packet<'_>) -> bool {
        if packet.ifindex != LOOPBACK_IFINDEX {
            return false;
        }
        let place = (packet.netns_cookie, packet.hook.host_wide());
        let known = self.loopbacks.contains(&place);
        if packet.direction == Direction::Ingress {
            return known;
        }
        if !known && self.loopbacks.len() < LOOPBACKS_MAX {
            self.loopbacks.push(place);
        }
        false
    }

    fn datagram(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        self.counts.udp_messages += 1;
        let mdns = packet.source_port == PORT_MDNS || packet.destination_port == PORT_MDNS;
        match Decoded::decode(packet.payload, mdns) {
            Ok(message) if message.is_response() => self.response(packet, &message),
            Ok(message) => self.query(packet, &message),
            Err(error) => {
                tracing::trace!(%error, "no DNS message");
                self.counts.malformed += 1;
                let from_server = packet.source_port < packet.destination_port;
                let lookup = Lookup::malformed(packet, from_server);
                self.output.show(&lookup, &mut self.counts)
            }
        }
    }

    fn query(&mut self, packet: &Packet<'_>, message: &Decoded<'_>) -> io::Result<()> {
        self.counts.queries += 1;
        let tuple = tuple(packet, message.id(), false);
        if is_mdns_peer(packet) {
            // Answered to everybody, without question and without id (RFC 6762, section 6).
            let lookup = Lookup::alone(packet, &tuple, message, Outcome::Multicast);
            return self.show(&lookup);
        }
        self.expire(packet.time_ns)?;
        let question = message.question();
        let facts = Facts {
            time_ns: packet.time_ns,
            destination: packet.destination,
            hook: packet.hook,
            direction: packet.direction,
            flags: message.flags(),
            opcode: message.opcode().to_int(),
            cut: packet.cut,
        };
        match self.matcher.query(&tuple, &question, facts) {
            Queried::Pending => {}
            Queried::Retransmission => {
                self.counts.retransmissions += 1;
                return Ok(());
            }
            Queried::Evicted(pending) => {
                let outcome = unanswered(&pending.tuple, Outcome::Evicted);
                self.show(&Lookup::unanswered(&pending, outcome))?;
            }
        }
        match self.held.take(&tuple, &question, packet.time_ns) {
            Some(record) => self.released(&record),
            None => Ok(()),
        }
    }

    fn response(&mut self, packet: &Packet<'_>, message: &Decoded<'_>) -> io::Result<()> {
        self.counts.responses += 1;
        self.expire(packet.time_ns)?;
        if self.answer(packet, message)? {
            return Ok(());
        }
        let tuple = tuple(packet, message.id(), true);
        if self.held.hold(packet, &tuple, message) {
            return Ok(());
        }
        self.show(&Lookup::alone(packet, &tuple, message, orphaned(packet)))
    }

    /// Shows the lookup that a response ends; `false` if its query is not pending.
    fn answer(&mut self, packet: &Packet<'_>, message: &Decoded<'_>) -> io::Result<bool> {
        if is_mdns_peer(packet) {
            return Ok(false);
        }
        let tuple = tuple(packet, message.id(), true);
        let question = message.question();
        let question = message.has_question().then_some(&question);
        let Some(pending) = self.matcher.response(&tuple, question) else {
            return Ok(false);
        };
        self.show(&Lookup::answered(&pending, packet, message))?;
        Ok(true)
    }

    /// A held response whose query has come.
    fn released(&mut self, record: &held::Record) -> io::Result<()> {
        let packet = record.packet();
        match Decoded::decode(packet.payload, false) {
            Ok(message) => self.answer(&packet, &message).map(drop),
            Err(_) => Ok(()),
        }
    }

    /// A held response whose query has not come.
    fn orphan(&mut self, record: &held::Record) -> io::Result<()> {
        let packet = record.packet();
        match Decoded::decode(packet.payload, false) {
            Ok(message) => {
                let tuple = tuple(&packet, message.id(), true);
                self.show(&Lookup::alone(&packet, &tuple, &message, orphaned(&packet)))
            }
            Err(_) => Ok(()),
        }
    }

    fn show(&mut self, lookup: &Lookup<'_>) -> io::Result<()> {
        let counts = &mut self.counts;
        counts.lookups += 1;
        match lookup.outcome {
            Outcome::Answered => {
                counts.answered += 1;
                counts.malformed_answers += u64::from(lookup.error().is_some());
            }
            Outcome::Timeout => counts.timeouts += 1,
            Outcome::Orphan => counts.orphans += 1,
            Outcome::Evicted => counts.evicted += 1,
            Outcome::Multicast => counts.multicast += 1,
            Outcome::Announcement => counts.announcements += 1,
            Outcome::Malformed => {}
        }
        self.output.show(lookup, counts)
    }
}

/// The end of the route: filter, limit, sink.
struct Output<'s> {
    sink: &'s mut dyn Sink,
    clock: WallClock,
    filter: Filter,
    left: Option<u64>,
}

impl Output<'_> {
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

/// Whom a message belongs to.
fn tuple(packet: &Packet<'_>, id: u16, response: bool) -> Tuple {
    let source = (packet.source, packet.source_port);
    let destination = (packet.destination, packet.destination_port);
    let (client, server) = if response {
        (destination, source)
    } else {
        (source, destination)
    };
    // Asked of a group, answered by a member.
    let group = matches!(server.1, PORT_MDNS | PORT_LLMNR) && packet.transport == Transport::Udp;
    Tuple {
        netns_cookie: packet.netns_cookie,
        ifindex: packet.ifindex,
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
const fn is_mdns_peer(packet: &Packet<'_>) -> bool {
    packet.source_port == PORT_MDNS && packet.destination_port == PORT_MDNS
}

/// A query to a group that nobody answers is no error.
fn unanswered(tuple: &Tuple, outcome: Outcome) -> Outcome {
    if tuple.server == [0; 16] {
        Outcome::Multicast
    } else {
        outcome
    }
}

const fn orphaned(packet: &Packet<'_>) -> Outcome {
    if packet.source_port == PORT_MDNS {
        Outcome::Announcement
    } else {
        Outcome::Orphan
    }
}
