//! One direction of a connection: segments in any order, to the bytes of a stream.

use std::io;

use super::counts::TcpCounts;
use super::framing::{Framer, Stop};
use super::start;
use crate::record::Packet;

/// Most bytes that wait for a segment before them: a message with its prefix.
const WAITING_BYTES: usize = 65_535 + 2;
/// Most segments that wait; small ones cost more than their bytes.
const WAITING_SEGMENTS: usize = 128;
/// A sequence number further from the expected one than this belongs to another connection.
const WINDOW: u32 = 1 << 20;

/// Id of a zone transfer whose first message has been seen; its further messages have the same one.
pub type Transfer = Option<u16>;

/// Where messages and counts go.
pub(super) struct Out<'o> {
    pub(super) counts: &'o mut TcpCounts,
    pub(super) take: &'o mut dyn FnMut(&Packet<'_>, &mut Transfer) -> io::Result<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next sequence number is known.
    Open,
    /// It is not known where the next message begins: the start of each segment is tried.
    Lost,
    /// FIN or RST; what comes before `next` is a retransmission.
    Closed,
}

/// A segment that waits.
#[derive(Debug)]
struct Piece {
    seq: u32,
    len: u32,
    time_ns: u64,
    bytes: Box<[u8]>,
}

/// Segments that wait, by sequence number. Not empty.
#[derive(Debug)]
struct Waiting {
    /// Who sends; the payload is empty.
    packet: Packet<'static>,
    pieces: Vec<Piece>,
    bytes: usize,
    since_ns: u64,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Half {
    state: State,
    /// Sequence number of the first byte, to tell a SYN sent again from a new connection.
    start: u32,
    next: u32,
    fin: Option<u32>,
    framer: Framer,
    waiting: Option<Box<Waiting>>,
    transfer: Transfer,
}

impl Half {
    /// A stream whose first byte will have this number.
    pub(super) fn opened(start: u32) -> Self {
        Self {
            state: State::Open,
            start,
            next: start,
            fin: None,
            framer: Framer::default(),
            waiting: None,
            transfer: None,
        }
    }

    /// A stream whose beginning was not seen.
    pub(super) fn lost() -> Self {
        Self {
            state: State::Lost,
            ..Self::opened(0)
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Whether a message has begun and not ended.
    pub(super) const fn is_inside(&self) -> bool {
        self.framer.is_inside()
    }

    /// Whether a SYN with this first byte opens the stream that is here already.
    pub(super) fn starts_at(&self, start: u32) -> bool {
        self.start == start && self.state != State::Lost
    }

    /// Bytes of memory beside the struct.
    pub(super) fn size(&self) -> usize {
        let waiting = self.waiting.as_ref();
        self.framer.size() + waiting.map_or(0, |w| w.bytes + w.pieces.len() * size_of::<Piece>())
    }

    /// Since when a segment waits for one before it, boot time in nanoseconds.
    pub(super) fn waits_since(&self) -> Option<u64> {
        self.waiting.as_ref().map(|waiting| waiting.since_ns)
    }

    /// Takes in a segment with data.
    pub(super) fn segment(
        &mut self,
        packet: &Packet<'_>,
        seq: u32,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let distance = seq.wrapping_sub(self.next).cast_signed();
        let end = i64::from(distance) + i64::from(packet.wire_len);
        if self.state != State::Lost {
            let known = distance.unsigned_abs() <= WINDOW;
            if known && end <= 0 {
                out.counts.retransmitted += 1;
                return Ok(());
            }
            // Another connection, whose SYN was not seen.
            if !known || self.state == State::Closed {
                self.give_up(out.counts);
                *self = Self::lost();
            }
        }
        if self.state == State::Open && distance > 0 {
            self.wait(packet, seq, out.counts);
            return self.bound(packet.time_ns, out);
        }
        self.place(packet, seq, out)?;
        self.drain(packet.time_ns, out)
    }

    /// The stream ends before this number.
    pub(super) fn fin(&mut self, end: u32, counts: &mut TcpCounts) {
        if self.state == State::Open {
            self.fin = Some(end);
            self.end(counts);
        }
    }

    /// The connection is gone.
    pub(super) fn reset(&mut self, counts: &mut TcpCounts) {
        if self.state == State::Open {
            self.give_up(counts);
            self.state = State::Closed;
        }
    }

    /// Counts what is lost with this stream if it ends now, and lets go of it.
    pub(super) fn give_up(&mut self, counts: &mut TcpCounts) {
        counts.given_up_cut_off += u64::from(self.abandon(counts));
    }

    /// Lets go of everything; whether there was a message under way.
    pub(super) fn abandon(&mut self, counts: &mut TcpCounts) -> bool {
        let mut inside = self.framer.is_inside();
        if let Some(waiting) = self.waiting.take() {
            let number = waiting.pieces.len() as u64;
            counts.waiting -= number;
            counts.dropped += number;
            inside = true;
        }
        self.framer = Framer::default();
        inside
    }

    /// No longer waits, at `now_ns`, for what is before the first segment that waits.
    pub(super) fn give_up_gap(&mut self, now_ns: u64, out: &mut Out<'_>) -> io::Result<()> {
        let Some(waiting) = &self.waiting else {
            return Ok(());
        };
        let (packet, first) = (waiting.packet, waiting.pieces.first().map(|p| p.seq));
        if let Some(first) = first.filter(|_| self.state == State::Open) {
            out.counts.given_up_gap += 1;
            let gap = first.wrapping_sub(self.next);
            self.missing(&packet, gap, out)?;
            self.next = first;
        }
        // Messages that were complete before have the time of their own last segment.
        let result = self.drain(0, out);
        if let Some(waiting) = &mut self.waiting {
            waiting.since_ns = now_ns.max(waiting.since_ns.saturating_add(1));
        }
        result
    }

    /// Puts a segment in its place, or tries it as a start.
    fn place(&mut self, packet: &Packet<'_>, seq: u32, out: &mut Out<'_>) -> io::Result<()> {
        if self.state == State::Lost {
            if !start::of_segment(packet.payload) {
                out.counts.no_start += 1;
                return Ok(());
            }
            *self = Self {
                framer: Framer::guessed(),
                transfer: self.transfer,
                waiting: self.waiting.take(),
                ..Self::opened(seq)
            };
        }
        let end = seq.wrapping_add(packet.wire_len);
        // In range: the segment begins at `next` or before, and ends after it.
        let seen = self.next.wrapping_sub(seq);
        let payload = packet.payload.get(seen as usize..).unwrap_or_default();
        let missing = end
            .wrapping_sub(self.next)
            .saturating_sub(payload.len() as u32);
        self.next = end;
        match self.feed(packet, payload, out) {
            Ok(()) => out.counts.used += 1,
            Err(Stop::Lost) => {
                self.state = State::Lost;
                out.counts.no_start += 1;
                return Ok(());
            }
            Err(Stop::Output(error)) => return Err(error),
        }
        self.missing(packet, missing, out)?;
        out.counts.given_up_gap += u64::from(self.is_lost());
        self.end(out.counts);
        Ok(())
    }

    fn feed(&mut self, packet: &Packet<'_>, bytes: &[u8], out: &mut Out<'_>) -> Result<(), Stop> {
        let transfer = &mut self.transfer;
        self.framer.bytes(bytes, &mut |message, cut| {
            out.message(packet, message, cut, transfer)
        })
    }

    /// Passes over bytes that no record holds.
    fn missing(&mut self, packet: &Packet<'_>, number: u32, out: &mut Out<'_>) -> io::Result<()> {
        let transfer = &mut self.transfer;
        let passed = self.framer.missing(number as usize, &mut |message, cut| {
            out.message(packet, message, cut, transfer)
        });
        match passed {
            Ok(()) => Ok(()),
            Err(Stop::Lost) => {
                self.state = State::Lost;
                Ok(())
            }
            Err(Stop::Output(error)) => Err(error),
        }
    }

    /// Keeps a segment that came too early.
    fn wait(&mut self, packet: &Packet<'_>, seq: u32, counts: &mut TcpCounts) {
        let next = self.next;
        let offset = |seq: u32| seq.wrapping_sub(next);
        let waiting = self.waiting.get_or_insert_with(|| {
            Box::new(Waiting {
                packet: Packet {
                    payload: &[],
                    ..*packet
                },
                pieces: Vec::new(),
                bytes: 0,
                since_ns: packet.time_ns,
            })
        });
        let at = waiting
            .pieces
            .partition_point(|piece| offset(piece.seq) <= offset(seq));
        let end = offset(seq).saturating_add(packet.wire_len);
        let covers = |piece: &Piece| {
            let whole = piece.bytes.len() == piece.len as usize;
            whole && offset(piece.seq).saturating_add(piece.len) >= end
        };
        if waiting.pieces[..at].last().is_some_and(covers) {
            counts.retransmitted += 1;
            return;
        }
        waiting.bytes += packet.payload.len();
        waiting.pieces.insert(
            at,
            Piece {
                seq,
                len: packet.wire_len,
                time_ns: packet.time_ns,
                bytes: packet.payload.into(),
            },
        );
        counts.waiting += 1;
    }

    /// Gives up gaps until what waits is within its bounds.
    fn bound(&mut self, now_ns: u64, out: &mut Out<'_>) -> io::Result<()> {
        while self.waiting.as_ref().is_some_and(|waiting| {
            waiting.bytes > WAITING_BYTES || waiting.pieces.len() > WAITING_SEGMENTS
        }) {
            self.give_up_gap(now_ns, out)?;
        }
        Ok(())
    }

    /// Places all waiting segments whose turn it is. A message among them is complete at the time
    /// of its last segment to come, `time_ns` or later.
    fn drain(&mut self, mut time_ns: u64, out: &mut Out<'_>) -> io::Result<()> {
        while let Some(waiting) = &mut self.waiting {
            let Some(first) = waiting.pieces.first() else {
                self.waiting = None;
                break;
            };
            let distance = first.seq.wrapping_sub(self.next).cast_signed();
            if self.state == State::Open && distance > 0 {
                waiting.since_ns = waiting.since_ns.max(time_ns);
                break;
            }
            let piece = waiting.pieces.remove(0);
            waiting.bytes -= piece.bytes.len();
            out.counts.waiting -= 1;
            let end = i64::from(distance) + i64::from(piece.len);
            if self.state == State::Closed || (self.state == State::Open && end <= 0) {
                out.counts.retransmitted += 1;
                continue;
            }
            time_ns = time_ns.max(piece.time_ns);
            let packet = Packet {
                time_ns,
                wire_len: piece.len,
                payload: &piece.bytes,
                ..waiting.packet
            };
            self.place(&packet, piece.seq, out)?;
        }
        Ok(())
    }

    /// Closes the stream if all of it has been seen.
    fn end(&mut self, counts: &mut TcpCounts) {
        let over = |end: u32| self.next.wrapping_sub(end).cast_signed() >= 0;
        if self.state == State::Open && self.fin.is_some_and(over) {
            self.reset(counts);
        }
    }
}

impl Out<'_> {
    /// Hands on a message as if it had come in a packet of its own.
    fn message(
        &mut self,
        packet: &Packet<'_>,
        message: &[u8],
        cut: bool,
        transfer: &mut Transfer,
    ) -> io::Result<()> {
        self.counts.messages += 1;
        self.counts.truncated += u64::from(cut);
        let packet = Packet {
            payload: message,
            cut,
            ..*packet
        };
        (self.take)(&packet, transfer)
    }
}
