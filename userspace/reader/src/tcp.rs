//! TCP: segments to messages. Each direction of a connection is reassembled by itself, in bounded
//! memory, and cut into messages by their length prefix; whatever is given up is counted by reason.
//!
//! A message has the time of the segment by which all of it was there: latency is from the last
//! byte of the query to the last byte of the response.
//!
//! A connection whose SYN was not seen is taken up at the first segment that looks like the start of a
//! message (`start.rs` says what does). Segments that do not are counted until one does.
//!
//! Bytes that no record holds, since the capture was truncated or a record was lost, are passed over
//! by their sequence numbers: the message around them is reported as truncated, and the next one is
//! found by the length of this one. Only if a length prefix is among them is the stream taken up anew.

mod counts;
mod framing;
mod half;
mod start;

use std::collections::VecDeque;
use std::io;

use dns_trace_event::{TCP_FIN, TCP_RST, TCP_SYN};
use lru::LruCache;

use crate::record::{Direction, Packet};
pub use counts::TcpCounts;
pub use half::Transfer;
use half::{Half, Out};

/// Most connections; each has two directions.
const CONNECTIONS_MAX: usize = 4096;
/// Most bytes of all streams together.
const BYTES_MAX: usize = 8 << 20;
/// Most beginnings of waiting that are remembered.
const WAITING_MAX: usize = 4 * CONNECTIONS_MAX;
/// How long segments wait for one before them, nanoseconds of kernel time. Senders repeat a segment
/// within 200 ms at first (Linux, `TCP_RTO_MIN`); what has not come by then was lost on the way to
/// the reader.
const GAP_NS: u64 = 1_000_000_000;

/// One direction of a connection, as one hook sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    netns_cookie: u64,
    ifindex: u32,
    /// Of a host-wide hook, which sees a packet on its way out of a device and back in.
    host_wide: Option<Direction>,
    source: [u8; 16],
    destination: [u8; 16],
    ports: (u16, u16),
}

impl Key {
    fn of(packet: &Packet<'_>) -> Self {
        Self {
            netns_cookie: packet.netns_cookie,
            ifindex: packet.ifindex,
            host_wide: packet.hook.host_wide().then_some(packet.direction),
            source: packet.source,
            destination: packet.destination,
            ports: (packet.source_port, packet.destination_port),
        }
    }

    /// The other direction, which passes the device the other way.
    fn reverse(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            ports: (self.ports.1, self.ports.0),
            host_wide: self.host_wide.map(Direction::reverse),
            ..*self
        }
    }
}

/// Takes a message in a packet of its own, and what is known of a zone transfer in its stream.
pub type Take<'t> = dyn FnMut(&Packet<'_>, &mut Transfer) -> io::Result<()> + 't;

/// All connections.
#[derive(Debug)]
pub struct Streams {
    halves: LruCache<Key, Half>,
    /// Who began to wait, and when, oldest first; may have ended since.
    waiting: VecDeque<(u64, Key)>,
    bytes: usize,
    counts: TcpCounts,
}

impl Streams {
    /// No connection.
    #[must_use]
    pub fn new() -> Self {
        Self {
            halves: LruCache::unbounded(),
            waiting: VecDeque::new(),
            bytes: 0,
            counts: TcpCounts::default(),
        }
    }

    /// The counters, `unfinished` as of now; looks at every stream.
    #[must_use]
    pub fn counts(&self) -> TcpCounts {
        let inside = self.halves.iter().filter(|(_, half)| half.is_inside());
        TcpCounts {
            unfinished: inside.count() as u64,
            ..self.counts
        }
    }

    /// Bytes kept for all streams, beside a fixed number for each.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in a segment and hands on the messages that it completes.
    ///
    /// # Errors
    /// What `take` says.
    pub fn segment(&mut self, packet: &Packet<'_>, take: &mut Take<'_>) -> io::Result<()> {
        self.expire(packet.time_ns, take)?;
        self.counts.segments += 1;
        let key = Key::of(packet);
        let mut seq = packet.tcp_seq;
        if packet.tcp_flags & TCP_RST != 0 {
            // What it may carry is no data (RFC 9293, section 3.5.3).
            self.counts.empty += 1;
            for key in [key, key.reverse()] {
                let reset = |half: &mut Half, out: &mut Out<'_>| {
                    half.reset(out.counts);
                    Ok(())
                };
                self.change(&key, reset, take)?;
            }
            return Ok(());
        }
        if packet.tcp_flags & TCP_SYN != 0 {
            seq = seq.wrapping_add(1);
            self.open(key, seq);
        }
        if packet.wire_len == 0 {
            self.counts.empty += 1;
        } else {
            self.data(key, packet, seq, take)?;
        }
        if packet.tcp_flags & TCP_FIN != 0 {
            let end = seq.wrapping_add(packet.wire_len);
            let fin = |half: &mut Half, out: &mut Out<'_>| {
                half.fin(end, out.counts);
                Ok(())
            };
            self.change(&key, fin, take)?;
        }
        Ok(())
    }

    /// Gives up waiting where it has been too long at `now_ns`.
    ///
    /// # Errors
    /// What `take` says.
    pub fn expire(&mut self, now_ns: u64, take: &mut Take<'_>) -> io::Result<()> {
        while (self.next_due().is_some_and(|due| due <= now_ns) || self.waiting.len() > WAITING_MAX)
            && let Some((since, key)) = self.waiting.pop_front()
        {
            let half = self.halves.peek(&key);
            if half.and_then(Half::waits_since) == Some(since) {
                self.change(&key, |half, out| half.give_up_gap(now_ns, out), take)?;
            }
        }
        Ok(())
    }

    /// Boot time at which [`Streams::expire`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        let (since, _) = self.waiting.front()?;
        Some(since.saturating_add(GAP_NS))
    }

    /// A SYN: a new stream, unless it is sent again.
    fn open(&mut self, key: Key, start: u32) {
        match self.halves.get_mut(&key) {
            Some(half) if half.starts_at(start) => {}
            Some(half) => {
                let before = half.size();
                half.give_up(&mut self.counts);
                *half = Half::opened(start);
                self.bytes -= before;
            }
            None => self.insert(key, Half::opened(start)),
        }
    }

    fn data(
        &mut self,
        key: Key,
        packet: &Packet<'_>,
        seq: u32,
        take: &mut Take<'_>,
    ) -> io::Result<()> {
        if self.halves.contains(&key) {
            return self.change(&key, |half, out| half.segment(packet, seq, out), take);
        }
        let mut half = Half::lost();
        let counts = &mut self.counts;
        half.segment(packet, seq, &mut Out { counts, take })?;
        // Nothing is known of it then, and the next segment is as good a start.
        if !half.is_lost() {
            self.bytes += half.size();
            self.insert(key, half);
        }
        Ok(())
    }

    fn insert(&mut self, key: Key, half: Half) {
        self.halves.put(key, half);
        self.make_room();
    }

    /// Changes a stream if there is one, and keeps account of what it holds.
    fn change(
        &mut self,
        key: &Key,
        change: impl FnOnce(&mut Half, &mut Out<'_>) -> io::Result<()>,
        take: &mut Take<'_>,
    ) -> io::Result<()> {
        let Some(half) = self.halves.get_mut(key) else {
            return Ok(());
        };
        let (before, waited) = (half.size(), half.waits_since());
        let counts = &mut self.counts;
        let result = change(half, &mut Out { counts, take });
        self.bytes = self.bytes + half.size() - before;
        if let Some(since) = half.waits_since().filter(|since| Some(*since) != waited) {
            self.waiting.push_back((since, *key));
        }
        self.make_room();
        result
    }

    /// Ends the streams that have been silent longest until the rest is within the bounds.
    fn make_room(&mut self) {
        while (self.halves.len() > 2 * CONNECTIONS_MAX || self.bytes > BYTES_MAX)
            && let Some((_, mut half)) = self.halves.pop_lru()
        {
            self.bytes -= half.size();
            let inside = half.abandon(&mut self.counts);
            self.counts.given_up_evicted += u64::from(inside);
        }
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self::new()
    }
}
