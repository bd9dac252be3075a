//! What comes out of the pipeline: one lookup, with all that a sink may want to show of it.

use domain::base::iana::{Class, Opcode, OptRcode, Rtype};

use crate::container::Place;
use crate::matcher::{Pending, Question};
use crate::message::edns::Edns;
use crate::message::fault::{self, Fault};
use crate::message::{Bit, Decoded, Flags};
use crate::path::Path;
use crate::process::Process;
use crate::record::{Direction, Endpoint, Hook, Packet, Transport};

/// ECS `error.type` of what cannot be read.
const MALFORMED: &str = "malformed";

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Query and response were seen.
    Answered,
    /// A response whose query the kernel part leaves out by choice, see [`crate::record::Select`].
    Response,
    /// No response within the time-out.
    Timeout,
    /// A response whose query was not seen.
    Orphan,
    /// The query had to make room for others before its response came.
    Evicted,
    /// A multicast query, which nobody need answer.
    Multicast,
    /// A multicast response that no query asked for (RFC 6762, section 8.3).
    Announcement,
    /// No DNS message at all.
    Malformed,
}

impl Outcome {
    /// ECS `error.type`; `None` for what is no error.
    #[must_use]
    pub const fn error(self) -> Option<&'static str> {
        match self {
            Self::Answered | Self::Response | Self::Multicast | Self::Announcement => None,
            Self::Timeout => Some("timeout"),
            Self::Orphan => Some("orphan"),
            Self::Evicted => Some("evicted"),
            Self::Malformed => Some(MALFORMED),
        }
    }
}

/// Whose rules a message follows. Told by the server's port, as clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// DNS.
    Dns,
    /// Multicast DNS (RFC 6762).
    Mdns,
    /// Link-local multicast name resolution (RFC 4795).
    Llmnr,
}

/// mDNS (RFC 6762, section 5).
pub const PORT_MDNS: u16 = 5353;
/// LLMNR (RFC 4795, section 2).
pub const PORT_LLMNR: u16 = 5355;

impl Protocol {
    /// ECS `network.protocol`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Mdns => "mdns",
            Self::Llmnr => "llmnr",
        }
    }
}

/// One lookup. Borrows the pending query and the response's record.
#[derive(Debug)]
pub struct Lookup<'a> {
    /// How it ended.
    pub outcome: Outcome,
    /// Boot time of the query, or of the response where there is no query; nanoseconds. Over TCP that
    /// is the segment by which all of the message was there.
    pub time_ns: u64,
    /// From the first query to the response by kernel time, nanoseconds; over TCP from the segment
    /// that completes the query to the one that completes the response.
    pub duration_ns: Option<u64>,
    /// Who asks.
    pub client: Endpoint,
    /// Who is asked; for an answered multicast query, who answered.
    pub server: Endpoint,
    /// Transport.
    pub transport: Transport,
    /// Hook that saw the query, or the response where there is no query.
    pub hook: Hook,
    /// Its way through the device.
    pub direction: Direction,
    /// The device.
    pub ifindex: u32,
    /// The device's network namespace, 0 if unknown.
    pub netns_cookie: u64,
    /// How often the query was sent again.
    pub retransmissions: u32,
    /// The record of query or response did not hold the whole message.
    pub truncated: bool,
    /// Asked over TCP after a truncated answer over UDP, see `TC` of RFC 1035, section 4.1.1.
    pub retry_of_truncated: bool,
    /// It stands for so many lookups, since one in so many is captured.
    pub sample: u16,
    /// Process that sent the query, if it was a local one and is known.
    pub process: Option<&'a Process>,
    /// Container or unit that it is in, or that its socket was made in.
    pub place: Option<&'a Place>,
    /// Where a host-wide hook saw it; nothing of a multicast query and of [`Outcome::Malformed`].
    pub path: Option<Path<'a>>,
    /// The message; of [`Outcome::Malformed`] what can be read of it, if anything.
    pub dns: Option<Dns<'a>>,
    /// Where a message of [`Outcome::Malformed`] breaks.
    broken: Option<Fault>,
}

/// The DNS part of a lookup.
#[derive(Debug)]
pub struct Dns<'a> {
    /// Message id.
    pub id: u16,
    /// Opcode.
    pub opcode: Opcode,
    /// The question; its name is empty if there was none.
    pub question: Question<'a>,
    /// Flags of the response, or of the query where there is no response.
    pub flags: Flags,
    /// What the query says by EDNS, where the query was seen.
    pub query_edns: Option<Edns<'a>>,
    /// The query cannot be read to its end.
    pub query_broken: bool,
    /// The response.
    pub response: Option<&'a Decoded<'a>>,
}

impl<'a> Dns<'a> {
    /// A message that stands for itself.
    fn alone(message: &'a Decoded<'a>, cut: bool) -> Self {
        let response = message.is_response();
        Self {
            id: message.id(),
            opcode: message.opcode(),
            question: message.question(),
            flags: message.flags(),
            query_edns: message.edns.filter(|_| !response),
            query_broken: !response && !message.complete && !cut,
            response: response.then_some(message),
        }
    }
    /// Name of the opcode, as ECS `dns.op_code` has it.
    #[must_use]
    pub const fn opcode_name(&self) -> &'static str {
        // Opcodes have four bits; the rest is not assigned.
        match self.opcode.to_mnemonic_str() {
            Some(name) => name,
            None => "UNASSIGNED",
        }
    }

    /// Response code, if there was a response.
    #[must_use]
    pub fn rcode(&self) -> Option<OptRcode> {
        self.response.map(|response| response.rcode)
    }

    /// Type of the question; `None` if there was no question.
    #[must_use]
    pub fn qtype(&self) -> Option<Rtype> {
        (!self.question.name.is_empty()).then(|| Rtype::from_int(self.question.qtype))
    }

    /// Class of the question; `None` if there was no question. The top bit of mDNS is no part of it, see
    /// [`Bit::UnicastResponse`].
    #[must_use]
    pub fn qclass(&self) -> Option<Class> {
        (!self.question.name.is_empty()).then(|| Class::from_int(self.question.qclass))
    }
}

impl<'a> Lookup<'a> {
    /// A query that was answered.
    #[must_use]
    pub fn answered(pending: &'a Pending, packet: &Packet<'_>, response: &'a Decoded<'a>) -> Self {
        let mut lookup = Self::unanswered(pending, Outcome::Answered);
        lookup.duration_ns = Some(packet.time_ns.saturating_sub(pending.facts.time_ns));
        // Differs from where the query was sent for multicast only.
        lookup.server = packet.from();
        lookup.truncated |= packet.cut;
        if let Some(dns) = &mut lookup.dns {
            dns.flags = response.flags();
            dns.response = Some(response);
        }
        lookup
    }

    /// A query whose waiting ended otherwise.
    #[must_use]
    pub fn unanswered(pending: &'a Pending, outcome: Outcome) -> Self {
        let Pending { tuple, facts, .. } = pending;
        Self {
            outcome,
            time_ns: facts.time_ns,
            duration_ns: None,
            client: Endpoint {
                address: tuple.client,
                port: tuple.client_port,
            },
            server: Endpoint {
                address: facts.destination,
                port: tuple.server_port,
            },
            transport: tuple.transport,
            hook: facts.hook,
            direction: facts.direction,
            ifindex: tuple.ifindex,
            netns_cookie: tuple.netns_cookie,
            retransmissions: pending.retransmissions,
            truncated: facts.cut,
            retry_of_truncated: facts.retry,
            sample: facts.sample,
            process: facts.process.as_deref(),
            place: facts.place.as_deref(),
            path: None,
            dns: Some(Dns {
                id: tuple.id,
                opcode: Opcode::from_int(facts.opcode),
                question: pending.question(),
                flags: facts.flags,
                query_edns: pending.edns(),
                query_broken: facts.flags.has(Bit::Broken) && !facts.cut,
                response: None,
            }),
            broken: None,
        }
    }

    /// The same, with its path: it was where the path begins.
    #[must_use]
    pub fn along(mut self, path: Path<'a>) -> Self {
        if let Some(first) = path.way().hops().first() {
            self.time_ns = first.time_ns;
            self.hook = first.hook;
            self.direction = first.direction;
            self.ifindex = first.ifindex;
            self.netns_cookie = first.netns_cookie;
        }
        if self.outcome == Outcome::Answered {
            self.duration_ns = path.duration_ns().or(self.duration_ns);
        }
        self.path = Some(path);
        self
    }

    /// A message that stands for itself: an orphan, an announcement, a multicast query.
    #[must_use]
    pub fn alone(packet: &Packet<'_>, message: &'a Decoded<'a>, outcome: Outcome) -> Self {
        let mut lookup = Self::bare(packet, message.is_response(), outcome);
        lookup.dns = Some(Dns::alone(message, packet.cut));
        lookup
    }

    /// A packet that holds no message, with what can be read of it.
    #[must_use]
    pub fn remains(
        packet: &Packet<'_>,
        from_server: bool,
        message: Option<&'a Decoded<'a>>,
    ) -> Self {
        let mut lookup = Self::malformed(packet, from_server);
        lookup.dns = message.map(|message| Dns::alone(message, packet.cut));
        lookup
    }

    /// A packet that holds no message. `from_server` says which of its ends is the server.
    #[must_use]
    pub fn malformed(packet: &Packet<'_>, from_server: bool) -> Self {
        let mut lookup = Self::bare(packet, from_server, Outcome::Malformed);
        let mdns = lookup.protocol() == Protocol::Mdns;
        lookup.broken = fault::find(packet.payload, mdns);
        lookup
    }

    /// Who and where of a packet.
    fn bare(packet: &Packet<'_>, from_server: bool, outcome: Outcome) -> Self {
        let (client, server) = if from_server {
            (packet.to(), packet.from())
        } else {
            (packet.from(), packet.to())
        };
        Self {
            outcome,
            time_ns: packet.time_ns,
            duration_ns: None,
            client,
            server,
            transport: packet.transport,
            hook: packet.hook,
            direction: packet.direction,
            ifindex: packet.ifindex,
            netns_cookie: packet.netns_cookie,
            retransmissions: 0,
            truncated: packet.cut,
            retry_of_truncated: false,
            sample: packet.sample,
            process: None,
            place: None,
            path: None,
            dns: None,
            broken: None,
        }
    }

    /// Whose rules it follows.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self.server.port {
            PORT_MDNS => Protocol::Mdns,
            PORT_LLMNR => Protocol::Llmnr,
            _ => Protocol::Dns,
        }
    }

    /// Where a malformed message, or the answer of a lookup whose answer is malformed, breaks.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.error().filter(|error| *error == MALFORMED)?;
        match self.outcome {
            Outcome::Malformed => self.broken,
            _ => self.dns.as_ref()?.response?.fault(),
        }
    }

    /// ECS `error.type`. An answered lookup has one if its answer cannot be read to the end, or if the
    /// data of an answer record contradicts its type.
    #[must_use]
    pub fn error(&self) -> Option<&'static str> {
        self.outcome.error().or_else(|| {
            let response = self.dns.as_ref()?.response?;
            let broken = response.wrong_data || (!response.complete && !self.truncated);
            broken.then_some(MALFORMED)
        })
    }
}
