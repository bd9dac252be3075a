//! One DNS message as a dnstap event, in a data frame.

use std::net::{IpAddr, SocketAddr};

use prost::Message as _;

use crate::schema;
use crate::schema::message::Type;

/// Nanoseconds of a second.
const SECOND_NS: i64 = 1_000_000_000;

/// Whose view of a message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A query that the host received as a server.
    ClientQuery,
    /// A response that it sent as a server.
    ClientResponse,
    /// A query that it sent as a client.
    StubQuery,
    /// A response that it received as a client.
    StubResponse,
}

impl Kind {
    const fn schema(self) -> Type {
        match self {
            Self::ClientQuery => Type::ClientQuery,
            Self::ClientResponse => Type::ClientResponse,
            Self::StubQuery => Type::StubQuery,
            Self::StubResponse => Type::StubResponse,
        }
    }

    const fn is_response(self) -> bool {
        matches!(self, Self::ClientResponse | Self::StubResponse)
    }
}

/// How a message travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// In a stream.
    Tcp,
}

/// A DNS message and where it went.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Whose view it is.
    pub kind: Kind,
    /// How it travelled.
    pub transport: Transport,
    /// Who asks, be this the query or the response.
    pub initiator: SocketAddr,
    /// Who is asked.
    pub responder: SocketAddr,
    /// When the message was sent or received: nanoseconds since 1970.
    pub unix_ns: i64,
    /// The message, verbatim (RFC 1035, section 4).
    pub message: &'a [u8],
    /// Anything else; left out if empty.
    pub extra: &'a [u8],
}

/// Writes events as data frames. What it writes with is kept, so that an event costs no allocation
/// once there has been one as long.
#[derive(Debug)]
pub struct Encoder {
    event: schema::Dnstap,
    /// Takes the place of the one of query and response that an event does not have.
    spare: Vec<u8>,
}

impl Encoder {
    /// An encoder whose events come from a host, by a program of a version.
    #[must_use]
    pub fn new(identity: &str, version: &str) -> Self {
        Self {
            event: schema::Dnstap {
                identity: Some(identity.into()),
                version: Some(version.into()),
                extra: None,
                message: Some(schema::Message {
                    query_address: Some(Vec::with_capacity(16)),
                    response_address: Some(Vec::with_capacity(16)),
                    ..schema::Message::default()
                }),
                r#type: schema::dnstap::Type::Message.into(),
            },
            spare: Vec::new(),
        }
    }

    /// Appends one data frame: length in four octets, then the event.
    pub fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        fill(&mut self.event.extra, event.extra);
        let message = self.event.message.get_or_insert_default();
        message.set_type(event.kind.schema());
        message.set_socket_family(match event.initiator {
            SocketAddr::V4(_) => schema::SocketFamily::Inet,
            SocketAddr::V6(_) => schema::SocketFamily::Inet6,
        });
        message.set_socket_protocol(match event.transport {
            Transport::Udp => schema::SocketProtocol::Udp,
            Transport::Tcp => schema::SocketProtocol::Tcp,
        });
        address(&mut message.query_address, event.initiator.ip());
        address(&mut message.response_address, event.responder.ip());
        message.query_port = Some(event.initiator.port().into());
        message.response_port = Some(event.responder.port().into());
        verbatim(message, &mut self.spare, event);
        let length = self.event.encoded_len();
        // An event is a message of 64 KiB at most, and a little.
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        self.event.encode_raw(out);
    }
}

/// Sets message and time of the one of query and response that the event is, and clears the other's.
fn verbatim(message: &mut schema::Message, spare: &mut Vec<u8>, event: &Event<'_>) {
    let seconds = u64::try_from(event.unix_ns.div_euclid(SECOND_NS)).unwrap_or(0);
    let fraction = u32::try_from(event.unix_ns.rem_euclid(SECOND_NS)).unwrap_or(0);
    let (is, is_not) = if event.kind.is_response() {
        (&mut message.response_message, &mut message.query_message)
    } else {
        (&mut message.query_message, &mut message.response_message)
    };
    if let Some(old) = is_not.take() {
        *spare = old;
    }
    let bytes = is.get_or_insert_with(|| std::mem::take(spare));
    bytes.clear();
    bytes.extend_from_slice(event.message);
    let time = (Some(seconds), Some(fraction));
    let (query, response) = if event.kind.is_response() {
        ((None, None), time)
    } else {
        (time, (None, None))
    };
    (message.query_time_sec, message.query_time_nsec) = query;
    (message.response_time_sec, message.response_time_nsec) = response;
}

fn fill(field: &mut Option<Vec<u8>>, bytes: &[u8]) {
    if bytes.is_empty() {
        *field = None;
        return;
    }
    let field = field.get_or_insert_default();
    field.clear();
    field.extend_from_slice(bytes);
}

fn address(field: &mut Option<Vec<u8>>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => fill(field, &v4.octets()),
        IpAddr::V6(v6) => fill(field, &v6.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind, message: &[u8]) -> Event<'_> {
        Event {
            kind,
            transport: Transport::Udp,
            initiator: ([10, 0, 0, 2], 40000).into(),
            responder: ([10, 0, 0, 1], 53).into(),
            unix_ns: 1_767_323_045_000_000_007,
            message,
            extra: b"{}",
        }
    }

    /// The bytes by the schema's numbers, and the encoder as good as new after every event.
    #[test]
    fn the_bytes_are_the_schemas() {
        let mut encoder = Encoder::new("host", "v");
        let mut out = Vec::new();
        encoder.encode(&event(Kind::StubResponse, b"a longer response"), &mut out);
        out.clear();
        encoder.encode(&event(Kind::StubQuery, b"ask"), &mut out);
        let mut message = vec![0x08, 9, 0x10, 1, 0x18, 1];
        message.extend([0x22, 4, 10, 0, 0, 2, 0x2a, 4, 10, 0, 0, 1]);
        // 40000 and 53; seconds; fraction in little endian; the query.
        message.extend([0x30, 0xc0, 0xb8, 0x02, 0x38, 53]);
        message.extend([0x40, 0xa5, 0xeb, 0xdc, 0xca, 0x06]);
        message.extend([0x4d, 7, 0, 0, 0]);
        message.extend(b"\x52\x03ask");
        let mut wanted = b"\x0a\x04host\x12\x01v\x1a\x02{}\x72".to_vec();
        wanted.push(message.len() as u8);
        wanted.extend(message);
        wanted.extend([0x78, 1]);
        assert_eq!(out[..4], (wanted.len() as u32).to_be_bytes());
        assert_eq!(out[4..], wanted);
    }

    #[test]
    fn six_and_times_before_1970_are_survived() {
        let mut encoder = Encoder::new("host", "v");
        let mut out = Vec::new();
        let mut six = event(Kind::ClientResponse, b"");
        six.initiator = "[2001:db8::2]:40000".parse().unwrap_or(six.initiator);
        six.unix_ns = -1;
        six.extra = b"";
        encoder.encode(&six, &mut out);
        let decoded = schema::Dnstap::decode(&out[4..]).unwrap_or_default();
        let message = decoded.message.unwrap_or_default();
        assert_eq!(decoded.extra, None);
        assert_eq!(message.socket_family(), schema::SocketFamily::Inet6);
        assert_eq!(message.response_message, Some(vec![]));
        assert_eq!(
            (message.query_message, message.query_time_sec),
            (None, None)
        );
        assert_eq!(message.response_time_sec, Some(0));
        assert_eq!(message.response_time_nsec, Some(999_999_999));
    }
}
