//! What became of segments and of the messages in them.

use serde::Serialize;

/// Counters of the TCP streams.
///
/// ```text
/// segments = used + empty + retransmitted + no_start + dropped + waiting
/// ```
///
/// `waiting` and `unfinished` are only known at the end. The `given_up_*` count stretches of a stream from which
/// messages may be missing: how many, nobody can know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TcpCounts {
    /// Segments, each in exactly one of the following six.
    pub segments: u64,
    /// Segments whose bytes were put in their place.
    pub used: u64,
    /// Segments without data for the stream: SYN, FIN, RST.
    pub empty: u64,
    /// Segments with bytes that had been there before only: sent again, or keep-alives.
    pub retransmitted: u64,
    /// Segments of streams whose beginning was not seen, with which no message begins.
    pub no_start: u64,
    /// Segments that waited for one before them until their connection ended or had to make room.
    pub dropped: u64,
    /// Segments that wait for one before them.
    pub waiting: u64,
    /// Messages found, the ones with missing bytes included.
    pub messages: u64,
    /// Messages of which bytes are missing, reported as truncated.
    pub truncated: u64,
    /// Messages of which more is to come.
    pub unfinished: u64,
    /// Given up: bytes between two segments that never came, or more missing at the end of a record
    /// than the message that began in it has.
    pub given_up_gap: u64,
    /// Given up: the connection ended, or began anew, within a message.
    pub given_up_cut_off: u64,
    /// Given up: a connection within a message had to make room for others.
    pub given_up_evicted: u64,
}

impl TcpCounts {
    /// Everything that was given up, by the reason; the last are segments.
    #[must_use]
    pub const fn given_up(&self) -> [(&'static str, u64); 5] {
        [
            ("TCP gaps", self.given_up_gap),
            ("TCP messages cut off", self.given_up_cut_off),
            ("TCP connections evicted", self.given_up_evicted),
            ("TCP segments without a start", self.no_start),
            ("TCP segments dropped", self.dropped),
        ]
    }
}
