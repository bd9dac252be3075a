//! DNS messages, and records as the kernel programs write them.

use dns_trace_event as event;
use event::PacketHeader;
use zerocopy::IntoBytes as _;

/// Type A, class IN.
const A_IN: [u8; 4] = [0, 1, 0, 1];

fn message(id: u16, flags: u16, name: &str, answers: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [id, flags, 1, u16::from(answers), 0, 0] {
        bytes.extend(word.to_be_bytes());
    }
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(A_IN);
    for i in 0..answers {
        // The name, as a pointer to the question's; time to live 300; four bytes of address.
        bytes.extend([0xc0, 12]);
        bytes.extend(A_IN);
        bytes.extend([0, 0, 1, 44, 0, 4, 192, 0, 2, i]);
    }
    bytes
}

/// A query for an address.
pub(crate) fn query(id: u16, name: &str) -> Vec<u8> {
    message(id, 0x0100, name, 0)
}

/// The response to it, with one address.
pub(crate) fn response(id: u16, name: &str) -> Vec<u8> {
    message(id, 0x8180, name, 1)
}

/// A record: query or response between a client and the one server.
pub(crate) fn record(
    time_ns: u64,
    client: [u8; 4],
    ifindex: u32,
    payload: &[u8],
    is_response: bool,
) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let (client, server) = (mapped(client), mapped([10, 0, 0, 1]));
    let (source, destination, ports, direction) = if is_response {
        (server, client, (53, 40000), event::DIRECTION_INGRESS)
    } else {
        (client, server, (40000, 53), event::DIRECTION_EGRESS)
    };
    let header = PacketHeader {
        abi: event::ABI_VERSION,
        kind: event::KIND_PACKET,
        hook: event::HOOK_TCX,
        direction,
        flags: 0,
        l4: event::L4_UDP,
        tcp_flags: 0,
        time_ns,
        netns_cookie: 0,
        socket_cookie: 0,
        cgroup_id: 0,
        source,
        destination,
        ifindex,
        tcp_seq: 0,
        wire_len: len,
        captured_len: len,
        source_port: ports.0,
        destination_port: ports.1,
        sample: 1,
        select: 0,
        padding: 0,
    };
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(payload);
    let class = event::PAYLOAD_CLASSES.iter().find(|class| **class >= len);
    bytes.resize(
        size_of::<PacketHeader>() + class.map_or(0, |c| *c as usize),
        0,
    );
    bytes
}

fn mapped(address: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::from(address).to_ipv6_mapped().octets()
}

/// 1000 lookups by one client, query and response by turns, over the devices from index 2 on.
pub(crate) fn lookups(interfaces: u32) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for id in 0..1000_u16 {
        let name = format!("host{}.example.com", id % 100);
        let at = u64::from(id) * 1000;
        let ifindex = 2 + u32::from(id) % interfaces;
        let client = [10, 0, 0, 2];
        records.push(record(at, client, ifindex, &query(id, &name), false));
        records.push(record(
            at + 500,
            client,
            ifindex,
            &response(id, &name),
            true,
        ));
    }
    records
}

/// Gives the client of [`lookups`] another port, so that a table is not met at the same places.
pub(crate) fn set_client_port(records: &mut [Vec<u8>], port: u16) {
    let fields = [
        std::mem::offset_of!(PacketHeader, source_port),
        std::mem::offset_of!(PacketHeader, destination_port),
    ];
    for (i, record) in records.iter_mut().enumerate() {
        let at = fields[i % 2];
        if let Some(bytes) = record.get_mut(at..at + 2) {
            bytes.copy_from_slice(&port.to_ne_bytes());
        }
    }
}
