//! From a record to a sink. One thread runs it, no allocation a message; every message ends in one
//! counter of [`Counts`].

mod flows;
mod held;
mod hops;
mod messages;
mod truncated;
mod twins;

use std::io;

use crate::bundle::FEW;
use crate::clock::WallClock;
use crate::counts::{Counts, KernelCounts};
use crate::encrypted::{self, Encrypted, EncryptedCounts};
use crate::filter::Filter;
use crate::matcher::Matcher;
use crate::owners::{OwnerCounts, Owners};
use crate::record::{Direction, LOOPBACK_IFINDEX, Packet, Record, Transport};
use crate::sink::Sink;
use crate::tap::Tap;
use crate::tcp::Streams;
use flows::Flows;
use held::Held;
use messages::{Messages, Output};
use truncated::Truncated;
use twins::Twins;

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

/// What is known of a record that has been looked at: the hash of whose message it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead(Option<u32>);

/// The route of a record.
pub struct Pipeline<'s> {
    messages: Messages<'s>,
    twins: Twins,
    streams: Streams,
    encrypted: Encrypted,
    start_ns: u64,
    /// When the drain began whose first packet has yet to come.
    lag_from: Option<u64>,
    /// Namespaces whose loopback shows packets on the way out.
    loopbacks: Vec<u64>,
}

impl<'s> Pipeline<'s> {
    /// A pipeline into a sink.
    pub fn new(options: Options, sink: &'s mut dyn Sink) -> Self {
        Self {
            messages: Messages {
                matcher: Matcher::new(options.max_pending, options.timeout_ns),
                held: Held::new(options.hold_ns),
                flows: Flows::new(),
                truncated: Truncated::new(),
                owners: Owners::new(),
                counts: Counts::default(),
                output: Output {
                    sink,
                    clock: WallClock::sample(),
                    filter: options.filter,
                    left: options.count,
                },
                tap: None,
            },
            twins: Twins::new(options.hold_ns > 0),
            streams: Streams::new(),
            encrypted: Encrypted::new(),
            start_ns: options.start_ns,
            lag_from: None,
            loopbacks: Vec::new(),
        }
    }

    /// Lets a tap take what passes on its way to the sink.
    #[must_use]
    pub fn with_tap(mut self, tap: Option<&'s mut dyn Tap>) -> Self {
        self.messages.tap = tap;
        self
    }

    /// The counters, `pending` and `waiting` as of now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            twins_evicted: self.twins.evicted(),
            unwritten: self.messages.output.sink.unwritten(),
            pending: (self.messages.matcher.len() + self.messages.flows.answered()) as u64,
            waiting: (self.messages.held.len() + self.messages.flows.waiting_len()) as u64,
            tcp: self.streams.counts(),
            tap: self
                .messages
                .tap
                .as_ref()
                .map(|tap| tap.counts())
                .unwrap_or_default(),
            encrypted: EncryptedCounts {
                bootstraps: self.messages.counts.encrypted.bootstraps,
                ..self.encrypted.counts()
            },
            owners: OwnerCounts {
                known: self.messages.counts.owners.known,
                unknown: self.messages.counts.owners.unknown,
                ..self.messages.owners.counts()
            },
            ..self.messages.counts
        }
    }

    /// Counts that devices count packets and the programs none, or that an interface went.
    pub const fn heartbeat_stopped(&mut self) {
        self.messages.counts.heartbeat_stops += 1;
    }

    /// Further rings have come. Where none of the others stays, sockets have to be announced again.
    pub const fn reloaded(&mut self, all: bool) {
        self.messages.counts.reloads += 1;
        if all {
            self.messages.owners.lost();
        }
    }

    /// There are more rings from now on, or fewer: with several ones, responses may come before their query,
    /// and records twice. `hold_ns` is as in [`Options`].
    pub fn rings_changed(&mut self, hold_ns: u64) {
        self.messages.held.hold_for(hold_ns);
        self.twins.rings(hold_ns > 0);
    }

    /// The records that follow are of that ring, by any number that no other one has.
    pub const fn reading(&mut self, ring: u32) {
        self.twins.reading(ring);
    }

    /// Whether the wanted number of lookups has been shown.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.messages.output.left == Some(0)
    }

    /// A drain begins at this boot time; by its first packet the lag is measured.
    pub const fn drains(&mut self, now_ns: u64) {
        self.lag_from = Some(now_ns);
    }

    /// Looks at a record that will be taken in soon, if that pays: what is looked up for it then is being
    /// fetched meanwhile.
    #[inline]
    fn look_ahead(&self, bytes: &[u8]) -> Ahead {
        if !self.messages.matcher.is_large() {
            return Ahead::default();
        }
        match Record::decode(bytes) {
            Ok(Record::Packet(packet)) => Ahead(Some(self.messages.key(&packet).hash)),
            _ => Ahead::default(),
        }
    }

    /// Looks at the records that will be taken in next, each in its place.
    #[inline]
    pub fn look_ahead_at(&self, records: &[impl AsRef<[u8]>]) -> [Ahead; FEW] {
        let mut ahead = [Ahead::default(); FEW];
        for (record, ahead) in records.iter().zip(&mut ahead) {
            *ahead = self.look_ahead(record.as_ref());
        }
        ahead
    }

    /// Takes in a record that has not been looked at.
    ///
    /// # Errors
    /// The sink's.
    pub fn record(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.take(bytes, Ahead::default())
    }

    /// Takes in a record that has been looked at.
    ///
    /// # Errors
    /// The sink's.
    pub fn take(&mut self, bytes: &[u8], ahead: Ahead) -> io::Result<()> {
        self.messages.counts.records += 1;
        let packet = match Record::decode(bytes) {
            Ok(Record::Packet(packet)) => packet,
            Ok(Record::Owner(owner)) => {
                // Also one from before the start: the socket may be in use still.
                self.messages.owners.announce(&owner);
                return Ok(());
            }
            Err(error) => {
                self.messages.counts.undecodable += 1;
                tracing::debug!(%error, "record left out");
                return Ok(());
            }
        };
        if packet.time_ns < self.start_ns {
            self.messages.counts.stale += 1;
            return Ok(());
        }
        if let Some(now) = self.lag_from.take() {
            let lag = now.saturating_sub(packet.time_ns);
            self.messages.counts.max_lag_ns = self.messages.counts.max_lag_ns.max(lag);
        }
        if self.twins.is_twin(&packet) {
            self.messages.counts.twins += 1;
            return Ok(());
        }
        if self.is_duplicate(&packet) {
            self.messages.counts.duplicates += 1;
            return Ok(());
        }
        if encrypted::is_encrypted(&packet) {
            self.encrypted.packet(&packet);
            return Ok(());
        }
        let messages = &mut self.messages;
        match packet.transport {
            Transport::Udp => {
                messages.counts.udp_messages += 1;
                messages.message(&packet, ahead.0, &mut None)
            }
            Transport::Tcp => {
                messages.segment(&packet)?;
                let mut take = |message: &Packet<'_>, transfer: &mut _| {
                    messages.message(message, None, transfer)
                };
                self.streams.segment(&packet, &mut take)
            }
        }
    }

    /// What is known of sockets and processes.
    pub const fn owners(&mut self) -> &mut Owners {
        &mut self.messages.owners
    }

    /// Lets time-outs fall due up to a boot time before which all records have been taken in.
    ///
    /// # Errors
    /// The sink's.
    pub fn advance(&mut self, now_ns: u64) -> io::Result<()> {
        self.twins.pass(now_ns);
        let messages = &mut self.messages;
        self.streams.expire(now_ns, &mut |message, transfer| {
            messages.message(message, None, transfer)
        })?;
        messages.expire(now_ns)?;
        messages.flows.pass(now_ns);
        messages.arrive(now_ns)?;
        while let Some(record) = messages.held.expire(now_ns) {
            messages.orphan(&record)?;
        }
        Ok(())
    }

    /// To be called when the rings are empty: hands on what sinks keep back.
    ///
    /// # Errors
    /// The sink's.
    pub fn drained(&mut self) -> io::Result<()> {
        self.messages.output.clock = WallClock::sample();
        if let Some(tap) = &mut self.messages.tap {
            tap.flush()?;
        }
        self.messages.output.sink.flush()
    }

    /// To be called at the end: what was held back is shown; what is pending stays counted as such.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(&mut self) -> io::Result<()> {
        self.messages.arrive(u64::MAX)?;
        while let Some(record) = self.messages.held.expire(u64::MAX) {
            self.messages.orphan(&record)?;
        }
        self.messages.output.sink.finish()
    }

    /// To be called last: ends the tap, if there is one.
    ///
    /// # Errors
    /// The tap's.
    pub fn finish_tap(&mut self, kernel: &KernelCounts) -> io::Result<()> {
        let tap = self.messages.tap.as_mut();
        tap.map_or(Ok(()), |tap| tap.finish(kernel))
    }

    /// Boot time at which [`Pipeline::advance`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        let messages = &self.messages;
        let due = [
            messages.matcher.next_due(),
            messages.held.next_due(),
            messages.flows.next_due(),
            self.streams.next_due(),
        ];
        due.into_iter().flatten().min()
    }

    /// Takes another clock until the rings are empty next, for tests.
    pub const fn set_clock(&mut self, clock: WallClock) {
        self.messages.output.clock = clock;
    }

    /// A packet on a loopback device passes its way out and then its way in. Where the way out is
    /// watched, the way in is the same packet again. To a host-wide hook both are hops of a path.
    fn is_duplicate(&mut self, packet: &Packet<'_>) -> bool {
        if packet.ifindex != LOOPBACK_IFINDEX || packet.hook.host_wide() {
            return false;
        }
        let known = self.loopbacks.contains(&packet.netns_cookie);
        if packet.direction == Direction::Ingress {
            return known;
        }
        if !known && self.loopbacks.len() < LOOPBACKS_MAX {
            self.loopbacks.push(packet.netns_cookie);
        }
        false
    }
}
