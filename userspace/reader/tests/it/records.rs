//! Records as the kernel program writes them, for tests and benches.

use std::net::{IpAddr, Ipv6Addr};

use dns_trace_event as event;
use domain::base::iana::Rcode;
use domain::base::{MessageBuilder, Name, Rtype};
use domain::rdata::A;
use event::PacketHeader;
use zerocopy::IntoBytes;

pub(crate) const CLIENT: &str = "10.0.0.2";
pub(crate) const SERVER: &str = "10.0.0.1";

fn bytes(address: &str) -> [u8; 16] {
    match address.parse::<IpAddr>().unwrap() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => Ipv6Addr::octets(&v6),
    }
}

/// A record under construction: a query from CLIENT:40000 to SERVER:53 leaving eth2 by TCX.
#[derive(Clone)]
pub(crate) struct Rec {
    pub(crate) header: PacketHeader,
    pub(crate) payload: Vec<u8>,
}

impl Rec {
    pub(crate) fn query(time_ns: u64, payload: Vec<u8>) -> Self {
        Self {
            header: PacketHeader {
                abi: event::ABI_VERSION,
                kind: event::KIND_PACKET,
                hook: event::HOOK_TCX,
                direction: event::DIRECTION_EGRESS,
                flags: 0,
                l4: event::L4_UDP,
                tcp_flags: 0,
                time_ns,
                netns_cookie: 0,
                socket_cookie: 0,
                cgroup_id: 0,
                source: bytes(CLIENT),
                destination: bytes(SERVER),
                ifindex: 2,
                tcp_seq: 0,
                wire_len: payload.len() as u32,
                captured_len: payload.len() as u32,
                source_port: 40000,
                destination_port: 53,
                sample: 1,
                select: 0,
                padding: 0,
            },
            payload,
        }
    }

    pub(crate) fn response(time_ns: u64, payload: Vec<u8>) -> Self {
        let mut rec = Self::query(time_ns, payload);
        rec.header.direction = event::DIRECTION_INGRESS;
        std::mem::swap(&mut rec.header.source, &mut rec.header.destination);
        std::mem::swap(
            &mut rec.header.source_port,
            &mut rec.header.destination_port,
        );
        rec
    }

    pub(crate) fn from(mut self, address: &str, port: u16) -> Self {
        self.header.source = bytes(address);
        self.header.source_port = port;
        self
    }

    pub(crate) fn to(mut self, address: &str, port: u16) -> Self {
        self.header.destination = bytes(address);
        self.header.destination_port = port;
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut PacketHeader)) -> Self {
        change(&mut self.header);
        self
    }

    /// Cuts the payload as a snap length does.
    pub(crate) fn cut(mut self, captured: usize) -> Self {
        self.payload.truncate(captured);
        self.header.captured_len = self.payload.len() as u32;
        self.header.flags |= event::FLAG_TRUNCATED;
        self
    }

    /// The bytes in the ring, filled up to the class.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.as_bytes().to_vec();
        bytes.extend_from_slice(&self.payload);
        let fits = |class: &&u32| **class as usize >= self.payload.len();
        let class = event::PAYLOAD_CLASSES.iter().find(fits).unwrap();
        bytes.resize(size_of::<PacketHeader>() + *class as usize, 0xaa);
        bytes
    }
}

/// An announcement of the owner of a socket, as it stands in the ring.
pub(crate) fn announcement(time_ns: u64, socket_cookie: u64, pid: u32, name: &str) -> Vec<u8> {
    let mut comm = [0; event::COMM_LEN];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    let record = event::OwnerRecord {
        abi: event::ABI_VERSION,
        kind: event::KIND_OWNER,
        padding: 0,
        pid,
        time_ns,
        socket_cookie,
        cgroup_id: 0,
        tid: pid,
        uid: 1000,
        comm,
    };
    record.as_bytes().to_vec()
}

/// A query message with the RD bit.
pub(crate) fn query(id: u16, name: &str, qtype: Rtype) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    let name: Name<Vec<u8>> = name.parse().unwrap();
    question.push((name, qtype)).unwrap();
    question.finish()
}

/// A response with the addresses given.
pub(crate) fn response(
    id: u16,
    name: &str,
    qtype: Rtype,
    rcode: Rcode,
    addresses: &[[u8; 4]],
) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    let header = builder.header_mut();
    header.set_id(id);
    header.set_qr(true);
    header.set_rd(true);
    header.set_ra(true);
    header.set_rcode(rcode);
    let mut question = builder.question();
    let name: Name<Vec<u8>> = name.parse().unwrap();
    question.push((&name, qtype)).unwrap();
    let mut answer = question.answer();
    for [a, b, c, d] in addresses {
        answer
            .push((&name, 300, A::from_octets(*a, *b, *c, *d)))
            .unwrap();
    }
    answer.finish()
}
