//! Where packets and messages are taken as they are, on their way to being lookups. A [`Sink`] gets what
//! came of a message, a tap the bytes. Without one the pipeline pays for a branch.
//!
//! [`Recorder`] is the tap of `dns-trace record`: it encodes what passes its filter in a [`Format`], into a
//! [`Spool`], from which another thread writes. So the ring is never held up: what finds no room
//! is dropped and counted.
//!
//! [`Sink`]: crate::sink::Sink

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::WallClock;
use crate::container::Place;
use crate::counts::KernelCounts;
use crate::message::Decoded;
use crate::process::Process;
use crate::record::{Packet, Transport};
use crate::spool::{Spool, Whole};

pub mod dnstap;
mod filter;
mod note;
pub mod pcapng;

pub use filter::MessageFilter;

/// Who asked, as far as it is known: the client that sends a query, also with the response. What is forwarded
/// and what a local server sends is nobody's.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    /// The process.
    pub process: Option<Rc<Process>>,
    /// Its container or unit.
    pub place: Option<Arc<Place>>,
}

/// Takes packets and messages.
pub trait Tap {
    /// A TCP segment as it was captured, before its stream is put together. Who asked is known of segments
    /// that the client sends only.
    ///
    /// # Errors
    /// What the output says.
    fn segment(&mut self, packet: &Packet<'_>, asker: &Asker, clock: WallClock) -> io::Result<()>;

    /// A message in a packet of its own: a datagram, or a message of a stream. `message` is `None`
    /// where it is no DNS.
    ///
    /// # Errors
    /// What the output says.
    fn message(
        &mut self,
        packet: &Packet<'_>,
        message: Option<&Decoded<'_>>,
        asker: &Asker,
        clock: WallClock,
    ) -> io::Result<()>;

    /// The rings are empty: whoever reads the output is to see what there is.
    ///
    /// # Errors
    /// What the output says.
    fn flush(&mut self) -> io::Result<()>;

    /// Nothing more comes. The kernel's counters are those of the time of the tap.
    ///
    /// # Errors
    /// What the output says.
    fn finish(&mut self, kernel: &KernelCounts) -> io::Result<()>;

    /// What became of it all; what is on its way counts once it has been written.
    fn counts(&self) -> TapCounts;
}

/// What became of what a tap took. After the end:
///
/// ```text
/// pcapng: udp_messages + tcp.segments = written + filtered + dropped
/// dnstap: udp_messages + tcp.messages = written + filtered + dropped + cut
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TapCounts {
    /// Written.
    pub written: u64,
    /// Not asked for.
    pub filtered: u64,
    /// Left out by a format that holds whole messages only, since the capture does not.
    pub cut: u64,
    /// Lost since the output was slow, away, or failed.
    pub dropped: u64,
}

/// What a recording looks like.
pub trait Format {
    /// It holds TCP segments rather than the messages of streams.
    const SEGMENTS: bool;
    /// Tells whole messages apart.
    const WHOLE: Whole;

    /// Appends what a file begins with.
    fn head(&mut self, out: &mut Vec<u8>);

    /// Appends what a file ends with. The kernel's counters are known at the very end only.
    fn tail(&mut self, clock: WallClock, kernel: Option<&KernelCounts>, out: &mut Vec<u8>);

    /// Appends a packet or message. `from_server` says which of its ends is the server.
    fn write(
        &mut self,
        packet: &Packet<'_>,
        from_server: bool,
        asker: &Asker,
        clock: WallClock,
        out: &mut Vec<u8>,
    );

    /// There was no room for a packet or message.
    fn dropped(&mut self, packet: &Packet<'_>);
}

/// Records.
#[derive(Debug)]
pub struct Recorder<F> {
    format: F,
    spool: Spool,
    filter: MessageFilter,
    /// A file that has so many bytes is full.
    rotate_size: Option<u64>,
    /// The file has its head.
    begun: bool,
    /// Bytes of the file.
    length: u64,
    /// What was encoded; not all of it need have been written.
    encoded: u64,
    counts: TapCounts,
    finished: bool,
}

impl<F: Format> Recorder<F> {
    /// A recorder that has begun the first file.
    ///
    /// # Errors
    /// The output's.
    pub fn new(
        format: F,
        spool: Spool,
        filter: MessageFilter,
        rotate_size: Option<u64>,
    ) -> io::Result<Self> {
        let mut recorder = Self {
            format,
            spool,
            filter,
            rotate_size,
            begun: true,
            length: 0,
            encoded: 0,
            counts: TapCounts::default(),
            finished: false,
        };
        if let Some(chunk) = recorder.spool.chunk()? {
            recorder.format.head(&mut chunk.bytes);
        }
        recorder.spool.flush()?;
        Ok(recorder)
    }

    /// Takes in what the format holds. `admitted` by the conditions on messages.
    fn take(
        &mut self,
        packet: &Packet<'_>,
        from_server: bool,
        admitted: bool,
        asker: &Asker,
        clock: WallClock,
    ) -> io::Result<()> {
        if !admitted || !self.filter.admits_ends(packet, from_server) {
            self.counts.filtered += 1;
            return Ok(());
        }
        if packet.cut && !F::SEGMENTS {
            self.counts.cut += 1;
            return Ok(());
        }
        if self.rotate_size.is_some_and(|size| self.length >= size) {
            self.end_file(clock)?;
        }
        let Some(chunk) = self.spool.chunk()? else {
            self.counts.dropped += 1;
            self.format.dropped(packet);
            return Ok(());
        };
        let before = chunk.bytes.len();
        if !self.begun {
            self.format.head(&mut chunk.bytes);
            self.begun = true;
        }
        self.format
            .write(packet, from_server, asker, clock, &mut chunk.bytes);
        self.length += (chunk.bytes.len() - before) as u64;
        self.encoded += 1;
        self.spool.filled();
        Ok(())
    }

    /// Ends a full file, if there is room for its end.
    fn end_file(&mut self, clock: WallClock) -> io::Result<()> {
        if let Some(chunk) = self.spool.chunk()? {
            self.format.tail(clock, None, &mut chunk.bytes);
            self.spool.end_file();
            self.begun = false;
            self.length = 0;
        }
        Ok(())
    }
}

impl<F: Format> Tap for Recorder<F> {
    fn segment(&mut self, packet: &Packet<'_>, asker: &Asker, clock: WallClock) -> io::Result<()> {
        if F::SEGMENTS {
            self.take(packet, from_server(packet, None), true, asker, clock)?;
        }
        Ok(())
    }

    fn message(
        &mut self,
        packet: &Packet<'_>,
        message: Option<&Decoded<'_>>,
        asker: &Asker,
        clock: WallClock,
    ) -> io::Result<()> {
        if F::SEGMENTS && packet.transport == Transport::Tcp {
            return Ok(());
        }
        let admitted = self.filter.admits_message(message);
        let from_server = from_server(packet, message);
        self.take(packet, from_server, admitted, asker, clock)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }

    fn finish(&mut self, kernel: &KernelCounts) -> io::Result<()> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        if self.begun {
            let clock = WallClock::sample();
            let chunk = self.spool.last_chunk();
            self.format.tail(clock, Some(kernel), &mut chunk.bytes);
        }
        let result = self.spool.close();
        self.counts.dropped += self.encoded.saturating_sub(self.spool.written());
        result
    }

    fn counts(&self) -> TapCounts {
        TapCounts {
            written: self.spool.written(),
            ..self.counts
        }
    }
}

/// Which end of a packet is the server: by the message, and where there is none by the ports.
fn from_server(packet: &Packet<'_>, message: Option<&Decoded<'_>>) -> bool {
    match message {
        Some(message) => message.is_response(),
        None => packet.source_port < packet.destination_port,
    }
}
