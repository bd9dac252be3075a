//! Lookups over TCP: whole, in pieces, out of order, repeated, overlapping, several at once, seen from
//! the middle, and as long as they get.

use crate::corpus::{ACK, Builder, Ends, FIN, PSH, Packet, RST, SYN, Transport};
use crate::exchange::{answered, fresh, truncated};
use crate::message::{IN, Message, QNAME, QR, name};
use crate::rdata;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
/// Payload of a segment at most.
const MSS: usize = 1400;

pub(crate) fn all(builder: &mut Builder) {
    for &rtype in rdata::TYPES {
        one(builder, rtype);
    }
    for round in 0..24 {
        pieces(builder, round);
        pipelined(builder, round);
        disorder(builder, round);
        overlap(builder);
        middle(builder);
        retried(builder);
    }
    long(builder);
    transfers(builder);
    ends(builder);
}

/// A message after its length.
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// A connection that speaks when told to.
struct Stream<'b> {
    builder: &'b mut Builder,
    ends: Ends,
    now: u64,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
}

impl<'b> Stream<'b> {
    fn silent(builder: &'b mut Builder) -> Self {
        let v6 = builder.rng.one_in(2);
        let (ends, now) = builder.begin(v6);
        let next = [builder.rng.word() as u32, builder.rng.word() as u32];
        Self {
            builder,
            ends,
            now,
            next,
        }
    }

    fn open(builder: &'b mut Builder) -> Self {
        let mut stream = Self::silent(builder);
        stream.send(true, SYN, vec![]);
        stream.next[0] = stream.next[0].wrapping_add(1);
        stream.send(false, SYN | ACK, vec![]);
        stream.next[1] = stream.next[1].wrapping_add(1);
        stream.send(true, ACK, vec![]);
        stream
    }

    /// Sends bytes that begin at an offset from where this side is, and stays there.
    fn send_at(&mut self, from_client: bool, offset: u32, flags: u8, payload: Vec<u8>) {
        let (own, other) = (usize::from(!from_client), usize::from(from_client));
        let (source, destination) = if from_client {
            (self.ends.client, self.ends.server)
        } else {
            (self.ends.server, self.ends.client)
        };
        self.now += self.builder.rng.range(10 * US, 900 * US);
        let ack = if flags & ACK == 0 {
            0
        } else {
            self.next[other]
        };
        self.builder.packet(Packet {
            time_ns: self.now,
            source,
            destination,
            transport: Transport::Tcp {
                seq: self.next[own].wrapping_add(offset),
                ack,
                flags,
            },
            payload,
            from_client,
        });
    }

    fn send(&mut self, from_client: bool, flags: u8, payload: Vec<u8>) {
        self.send_at(from_client, 0, flags, payload);
    }

    fn advance(&mut self, from_client: bool, octets: usize) {
        let own = usize::from(!from_client);
        self.next[own] = self.next[own].wrapping_add(octets as u32);
    }

    /// Sends all bytes in order, in segments of a size.
    fn data(&mut self, from_client: bool, bytes: &[u8], size: usize) {
        for part in bytes.chunks(size) {
            self.send(from_client, PSH | ACK, part.to_vec());
            self.advance(from_client, part.len());
        }
    }

    fn close(mut self) {
        for from_client in [true, false] {
            self.send(from_client, FIN | ACK, vec![]);
            self.advance(from_client, 1);
        }
        self.send(true, ACK, vec![]);
    }
}

/// A query and its response, both framed.
fn pair(builder: &mut Builder, rtype: u16) -> [Vec<u8>; 2] {
    let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
    let query = Message::query(id, &qname, rtype).0;
    let response = answered(&mut builder.rng, id, &qname, rtype);
    [framed(&query), framed(&response)]
}

fn one(builder: &mut Builder, rtype: u16) {
    let [query, response] = pair(builder, rtype);
    let mut stream = Stream::open(builder);
    stream.data(true, &query, MSS);
    stream.data(false, &response, MSS);
    stream.close();
}

/// Segments of every small size: the prefix is split, too.
fn pieces(builder: &mut Builder, round: usize) {
    let [query, response] = pair(builder, 1);
    let mut stream = Stream::open(builder);
    stream.data(true, &query, 1 + round % 8);
    stream.data(false, &response, 1 + round);
    stream.close();
}

/// Several queries in one segment; the responses come in another order, in one segment or in two.
fn pipelined(builder: &mut Builder, round: usize) {
    let pairs: Vec<_> = (0..2 + round % 4).map(|_| pair(builder, 28)).collect();
    let queries: Vec<u8> = pairs.iter().flat_map(|[query, _]| query.clone()).collect();
    let responses: Vec<u8> = pairs
        .iter()
        .rev()
        .flat_map(|[_, response]| response.clone())
        .collect();
    let mut stream = Stream::open(builder);
    stream.data(true, &queries, MSS);
    stream.data(
        false,
        &responses,
        if round.is_multiple_of(2) {
            MSS
        } else {
            responses.len() / 2 + 1
        },
    );
    stream.close();
}

/// Two segments change places; every third time one of them comes again.
fn disorder(builder: &mut Builder, round: usize) {
    let [query, response] = pair(builder, 16);
    let mut stream = Stream::open(builder);
    stream.data(true, &query, MSS);
    let (first, second) = response.split_at(response.len() / 2);
    stream.send_at(false, first.len() as u32, PSH | ACK, second.to_vec());
    stream.send(false, PSH | ACK, first.to_vec());
    if round.is_multiple_of(3) {
        stream.send(false, PSH | ACK, first.to_vec());
    }
    stream.advance(false, response.len());
    stream.close();
}

/// A segment that repeats the end of the one before it.
fn overlap(builder: &mut Builder) {
    let [query, response] = pair(builder, 28);
    let mut stream = Stream::open(builder);
    stream.data(true, &query, MSS);
    let half = response.len() / 2;
    stream.send(false, PSH | ACK, response[..half].to_vec());
    let back = half - 4;
    stream.send_at(false, back as u32, PSH | ACK, response[back..].to_vec());
    stream.advance(false, response.len());
    stream.close();
}

/// Without its beginning.
fn middle(builder: &mut Builder) {
    let [query, response] = pair(builder, 1);
    let mut stream = Stream::silent(builder);
    stream.data(true, &query, MSS);
    stream.data(false, &response, MSS);
    stream.close();
}

/// After a truncated answer.
fn retried(builder: &mut Builder) {
    let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
    let [query, response] = truncated(id, &qname);
    let (ends, at) = builder.lookup(query, response);
    let id = builder.rng.short();
    let query = framed(&Message::query(id, &qname, 16).0);
    let response = framed(&answered(&mut builder.rng, id, &qname, 16));
    let mut stream = Stream::open(builder);
    stream.ends.client.set_ip(ends.client.ip());
    stream.ends.server.set_ip(ends.server.ip());
    stream.now = stream.now.max(at);
    stream.data(true, &query, MSS);
    stream.data(false, &response, MSS);
    stream.close();
}

/// Messages as long as a length prefix can say, and one short of it.
fn long(builder: &mut Builder) {
    for octets in [65_535, 65_534] {
        let (id, qname) = (builder.rng.short(), fresh(&mut builder.rng));
        let query = framed(&Message::query(id, &qname, 16).0);
        let mut response = Message::response(id, &qname, 16);
        // A record with its owner and head is 12 octets more than its text.
        while octets - response.0.len() > 12 + 256 {
            let mut text = vec![255];
            text.extend((0..255).map(|i| b'a' + (i % 26) as u8));
            response = response.answer(&QNAME, 16, 60, &text);
        }
        let rest = octets - response.0.len() - 12;
        let text = [vec![(rest - 1) as u8], vec![b'z'; rest - 1]].concat();
        response = response.answer(&QNAME, 16, 60, &text);
        let mut stream = Stream::open(builder);
        stream.data(true, &query, MSS);
        stream.data(false, &framed(&response.0), MSS);
        stream.close();
    }
}

/// A zone in many messages.
fn transfers(builder: &mut Builder) {
    for round in 0..4_u8 {
        let id = builder.rng.short();
        let zone = name(&format!("zone{round}.example"));
        let query = framed(&Message::query(id, &zone, 252).0);
        let soa = rdata::of(&mut builder.rng, 6);
        let mut messages = Vec::new();
        for part in 0..5_u8 {
            let mut message = Message::new(id, QR | 0x0400);
            if part == 0 {
                message = message.question(&zone, 252, IN).answer(&zone, 6, 60, &soa);
            }
            for host in 0..10 {
                message = message.answer(&zone, 1, 60, &[10, part, 0, host]);
            }
            messages.extend(framed(&message.0));
        }
        let mut stream = Stream::open(builder);
        stream.data(true, &query, MSS);
        stream.data(false, &messages, MSS);
        stream.close();
    }
}

/// Connections that end without an answer, or within one.
fn ends(builder: &mut Builder) {
    for within in [false, true] {
        for reset in [false, true] {
            let [query, response] = pair(builder, 28);
            let mut stream = Stream::open(builder);
            stream.data(true, &query, MSS);
            if within {
                stream.data(false, &response[..response.len() - 3], MSS);
            }
            if reset {
                stream.send(false, RST | ACK, vec![]);
            } else {
                stream.close();
            }
        }
    }
    builder.pause(10 * MS);
}
