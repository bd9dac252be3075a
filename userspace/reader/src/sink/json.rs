//! One JSON object a line, with the field names of the Elastic Common Schema. What ECS has no name
//! for stands under `dns_trace`.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use domain::base::iana::{Class, OptRcode, Rtype};
use serde::ser::{Serialize, Serializer};

use super::Sink;
use super::rdata::{Data, resolved_ip};
use crate::clock::{StampWriter, WallClock};
use crate::interface::Interfaces;
use crate::lookup::{Dns, Lookup};
use crate::message::{Decoded, Flags};
use crate::name::{Presented, PresentedParsed};
use crate::record::Direction;

/// Bytes kept back until the rings are empty, at most; a line more.
const BUFFER: usize = 64 * 1024;

/// Writes lookups as JSON lines.
#[derive(Debug)]
pub struct JsonSink<W: Write> {
    writer: W,
    /// Lines, whole ones. Faster to write into than a `BufWriter`, which checks for room each time.
    lines: Vec<u8>,
    interfaces: Interfaces,
    stamps: StampWriter,
}

impl<W: Write> JsonSink<W> {
    /// A sink into a writer.
    pub fn new(writer: W, interfaces: Interfaces) -> Self {
        Self {
            writer,
            lines: Vec::with_capacity(BUFFER + 8 * 1024),
            interfaces,
            stamps: StampWriter::new(),
        }
    }
}

impl<W: Write> JsonSink<W> {
    fn write_lines(&mut self) -> io::Result<()> {
        // What could not be written is not tried again: the session ends with the error.
        let result = self.writer.write_all(&self.lines);
        self.lines.clear();
        result?;
        self.writer.flush()
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn lookup(&mut self, lookup: &Lookup<'_>, clock: WallClock) -> io::Result<()> {
        let interface = Interface {
            id: Text(lookup.ifindex),
            name: self.interfaces.name(lookup.netns_cookie, lookup.ifindex),
        };
        let timestamp = self.stamps.write(clock.unix_ns(lookup.time_ns));
        let line = Line::new(lookup, timestamp, interface);
        serde_json::to_writer(&mut self.lines, &line)?;
        self.lines.push(b'\n');
        if self.lines.len() >= BUFFER {
            self.write_lines()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.write_lines()
    }
}

/// Serialises what displays itself as a string, without one on the heap.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Serialises a number that has a name; most have, and then nothing is formatted.
struct Code<T>(T);

macro_rules! codes {
    ($($code:ty),*) => {$(
        impl Serialize for Code<$code> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.0.to_mnemonic_str() {
                    Some(name) => serializer.serialize_str(name),
                    None => serializer.collect_str(&self.0),
                }
            }
        }
    )*};
}

codes!(Rtype, Class, OptRcode);

#[derive(serde::Serialize)]
struct Line<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<DnsFields<'a>>,
    client: Endpoint,
    server: Endpoint,
    network: Network,
    observer: Observer<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorFields>,
    dns_trace: Own,
}

#[derive(serde::Serialize)]
struct Event {
    duration: u64,
}

#[derive(serde::Serialize)]
struct DnsFields<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: Text<u16>,
    op_code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<QuestionFields<'a>>,
    header_flags: FlagNames,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_code: Option<Code<OptRcode>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Answers<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_ip: Option<ResolvedIp<'a>>,
}

#[derive(serde::Serialize)]
struct QuestionFields<'a> {
    name: Text<Presented<'a>>,
    #[serde(rename = "type")]
    qtype: Code<Rtype>,
    class: Code<Class>,
}

#[derive(serde::Serialize)]
struct Endpoint {
    address: IpAddr,
    port: u16,
}

#[derive(serde::Serialize)]
struct Network {
    transport: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Observer<'a> {
    Ingress { interface: Interface<'a> },
    Egress { interface: Interface<'a> },
}

#[derive(serde::Serialize)]
struct Interface<'a> {
    id: Text<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(serde::Serialize)]
struct ErrorFields {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(serde::Serialize)]
struct Own {
    hook: &'static str,
    retransmissions: u32,
    truncated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    retry_of_truncated: bool,
    #[serde(skip_serializing_if = "is_zero")]
    netns_cookie: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> Line<'a> {
    fn new(lookup: &Lookup<'a>, timestamp: &'a str, interface: Interface<'a>) -> Self {
        Self {
            timestamp,
            event: lookup.duration_ns.map(|duration| Event { duration }),
            dns: lookup.dns.as_ref().map(DnsFields::new),
            client: Endpoint::new(lookup.client),
            server: Endpoint::new(lookup.server),
            network: Network {
                transport: lookup.transport.name(),
                kind: if lookup.client.is_ipv4() {
                    "ipv4"
                } else {
                    "ipv6"
                },
            },
            observer: match lookup.direction {
                Direction::Ingress => Observer::Ingress { interface },
                Direction::Egress => Observer::Egress { interface },
            },
            error: lookup.error().map(|kind| ErrorFields { kind }),
            dns_trace: Own {
                hook: lookup.hook.name(),
                retransmissions: lookup.retransmissions,
                truncated: lookup.truncated,
                retry_of_truncated: lookup.retry_of_truncated,
                netns_cookie: lookup.netns_cookie,
            },
        }
    }
}

impl<'a> DnsFields<'a> {
    fn new(dns: &Dns<'a>) -> Self {
        Self {
            kind: if dns.response.is_some() {
                "answer"
            } else {
                "query"
            },
            id: Text(dns.id),
            op_code: dns.opcode_name(),
            question: dns
                .qtype()
                .zip(dns.qclass())
                .map(|(qtype, class)| QuestionFields {
                    name: Text(Presented(dns.question.name)),
                    qtype: Code(qtype),
                    class: Code(class),
                }),
            header_flags: FlagNames(dns.flags),
            response_code: dns.rcode().map(Code),
            answers: dns
                .response
                .filter(|response| response.answers > 0)
                .map(Answers),
            resolved_ip: dns
                .response
                .filter(|response| response.addresses > 0)
                .map(ResolvedIp),
        }
    }
}

impl Endpoint {
    fn new(address: SocketAddr) -> Self {
        Self {
            address: address.ip(),
            port: address.port(),
        }
    }
}

struct FlagNames(Flags);

impl Serialize for FlagNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.names())
    }
}

struct Answers<'a>(&'a Decoded<'a>);

#[derive(serde::Serialize)]
struct Answer<'a> {
    name: Text<PresentedParsed<'a>>,
    #[serde(rename = "type")]
    rtype: Code<Rtype>,
    class: Code<Class>,
    ttl: u32,
    data: Text<Data<'a>>,
}

impl Serialize for Answers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.answer_records().map(|record| Answer {
            name: Text(PresentedParsed(record.owner())),
            rtype: Code(record.rtype()),
            class: Code(record.class()),
            ttl: record.ttl().as_secs(),
            data: Text(Data(record)),
        }))
    }
}

struct ResolvedIp<'a>(&'a Decoded<'a>);

impl Serialize for ResolvedIp<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            self.0
                .answer_records()
                .filter_map(|record| resolved_ip(&record)),
        )
    }
}
