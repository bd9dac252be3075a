//! dnstap: a message an event, verbatim. A message that was captured in part is left out, since an event
//! cannot say that it is not whole.

use dns_trace_dnstap::{Encoder, Event, Kind, Transport as Protocol, frames};

use super::{Asker, Format, note};
use crate::clock::WallClock;
use crate::counts::KernelCounts;
use crate::interface::Interfaces;
use crate::record::{Direction, LOOPBACK_IFINDEX, Packet, Transport};
use crate::sink::json::out::Out;
use crate::spool::Whole;

/// Bytes that `extra` has at most without growing.
const EXTRA: usize = 512;

/// What stands around the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A file, which begins and ends by itself.
    File,
    /// A collector, with whom that is agreed for each connection.
    Connection,
}

/// Writes events in Frame Streams.
#[derive(Debug)]
pub struct Dnstap {
    framing: Framing,
    encoder: Encoder,
    interfaces: Interfaces,
    extra: Out,
}

impl Dnstap {
    /// Events that say they come from this host, by this program.
    #[must_use]
    pub fn new(framing: Framing, interfaces: Interfaces) -> Self {
        let host = rustix::system::uname();
        let version = concat!("dns-trace ", env!("CARGO_PKG_VERSION"));
        Self {
            framing,
            encoder: Encoder::new(&host.nodename().to_string_lossy(), version),
            interfaces,
            extra: Out::with_capacity(EXTRA),
        }
    }
}

impl Format for Dnstap {
    const SEGMENTS: bool = false;
    const WHOLE: Whole = frames::whole;

    fn head(&mut self, out: &mut Vec<u8>) {
        if self.framing == Framing::File {
            frames::start(out);
        }
    }

    fn tail(&mut self, _: WallClock, _: Option<&KernelCounts>, out: &mut Vec<u8>) {
        if self.framing == Framing::File {
            frames::stop(out);
        }
    }

    fn write(
        &mut self,
        packet: &Packet<'_>,
        from_server: bool,
        asker: &Asker,
        clock: WallClock,
        out: &mut Vec<u8>,
    ) {
        let (source, destination) = (packet.from().socket(), packet.to().socket());
        let (initiator, responder) = if from_server {
            (destination, source)
        } else {
            (source, destination)
        };
        let interface = (self.interfaces).name(packet.netns_cookie, packet.ifindex, packet.time_ns);
        self.extra.clear();
        note::json(packet, asker, interface, &mut self.extra);
        let event = Event {
            kind: kind(packet, from_server),
            transport: match packet.transport {
                Transport::Udp => Protocol::Udp,
                Transport::Tcp => Protocol::Tcp,
            },
            initiator,
            responder,
            unix_ns: clock.unix_ns(packet.time_ns),
            message: packet.payload,
            extra: self.extra.as_bytes(),
        };
        self.encoder.encode(&event, out);
    }

    fn dropped(&mut self, _: &Packet<'_>) {}
}

/// By the way the packet goes: who sends a query is its client. On a loopback device, where the host is
/// both, it is the client, so that query and response are of one kind.
const fn kind(packet: &Packet<'_>, response: bool) -> Kind {
    let sent = matches!(packet.direction, Direction::Egress);
    let client = sent != response || packet.ifindex == LOOPBACK_IFINDEX;
    match (client, response) {
        (true, false) => Kind::StubQuery,
        (true, true) => Kind::StubResponse,
        (false, false) => Kind::ClientQuery,
        (false, true) => Kind::ClientResponse,
    }
}
