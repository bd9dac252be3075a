//! Connections of encrypted DNS, and lookups that lead to it, are counted, exactly, and are no malformed messages.

use dns_trace::encrypted::EncryptedCounts;
use dns_trace::encrypted::bootstrap::Bootstraps;
use dns_trace_event::{TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};
use domain::base::Rtype;
use domain::base::iana::Rcode;

use crate::memory::{options, run};
use crate::records::{CLIENT, Rec, SERVER, query, response};
use crate::streams::Segment as _;

const SECOND: u64 = 1_000_000_000;

fn up(at: u64, port: u16) -> Rec {
    Rec::query(at, vec![0x16, 3, 1, 0, 5])
        .from(CLIENT, port)
        .to(SERVER, 853)
}

fn down(at: u64, port: u16) -> Rec {
    Rec::response(at, vec![0x16, 3, 3, 0, 9])
        .from(SERVER, 853)
        .to(CLIENT, port)
}

fn empty(rec: Rec, seq: u32, flags: u8) -> Rec {
    let rec = rec.segment(seq, flags).with(|header| {
        header.wire_len = 0;
        header.captured_len = 0;
    });
    Rec {
        payload: vec![],
        ..rec
    }
}

fn counts(records: &[Rec]) -> EncryptedCounts {
    let (seen, counts) = run(options(), records, 0);
    assert_eq!(
        (seen.len(), counts.raw.malformed, counts.tcp.segments),
        (0, 0, 0)
    );
    assert_eq!(counts.encrypted.packets, records.len() as u64);
    counts.encrypted
}

#[test]
fn a_connection_over_tls_counts_once() {
    let whole = |port, isn| {
        [
            empty(up(1, port), isn, TCP_SYN),
            empty(up(2, port), isn, TCP_SYN),
            empty(down(3, port), 900, TCP_SYN | TCP_ACK),
            up(4, port).segment(isn + 1, TCP_ACK),
            down(5, port).segment(901, TCP_ACK),
            empty(up(6, port), isn + 6, TCP_FIN | TCP_ACK),
            empty(down(7, port), 906, TCP_FIN | TCP_ACK),
            empty(up(8, port), isn + 7, TCP_RST),
        ]
    };
    assert_eq!(counts(&whole(40000, 7)).tcp_connections, 1);
    let two_ports = [whole(40000, 7), whole(40001, 7)].concat();
    assert_eq!(counts(&two_ports).tcp_connections, 2);
    // The same port again.
    let again = [whole(40000, 7), whole(40000, 8000)].concat();
    assert_eq!(counts(&again).tcp_connections, 2);
    // On two interfaces it is seen twice, as a lookup would be.
    let elsewhere = whole(40000, 7).map(|rec| rec.with(|header| header.ifindex = 3));
    assert_eq!(
        counts(&[whole(40000, 7), elsewhere].concat()).tcp_connections,
        2
    );
}

#[test]
fn a_connection_from_the_middle_counts_at_its_data() {
    let middle = [
        down(1, 40000).segment(70, TCP_ACK),
        up(2, 40000).segment(9, TCP_ACK),
    ];
    assert_eq!(counts(&middle).tcp_connections, 1);
    let end = [
        empty(up(1, 40000), 9, TCP_FIN | TCP_ACK),
        empty(down(2, 40000), 9, TCP_RST),
    ];
    assert_eq!(counts(&end).tcp_connections, 0);
}

#[test]
fn a_port_over_quic_counts_until_it_is_silent() {
    let at = |seconds: u64| up(seconds * SECOND, 40000);
    assert_eq!(
        counts(&[at(1), down(2 * SECOND, 40000), at(61)]).udp_connections,
        1
    );
    assert_eq!(counts(&[at(1), at(61), at(121)]).udp_connections, 1);
    assert_eq!(counts(&[at(1), at(62)]).udp_connections, 2);
    assert_eq!(counts(&[at(1), up(2 * SECOND, 40001)]).udp_connections, 2);
}

#[test]
fn both_ends_on_the_port_are_one_connection() {
    let there = up(1, 853);
    let back = down(2, 853);
    assert_eq!(counts(&[there, back]).udp_connections, 1);
}

#[test]
fn memory_is_bounded_and_what_is_forgotten_counted() {
    let ports: Vec<Rec> = (0..8193_u64).map(|i| up(i, 1000 + i as u16)).collect();
    let seen = counts(&ports);
    assert_eq!((seen.udp_connections, seen.forgotten), (8193, 1));
    let again = [ports, vec![up(9000, 1000)]].concat();
    let seen = counts(&again);
    assert_eq!((seen.udp_connections, seen.forgotten), (8194, 2));
}

#[test]
fn other_ports_are_dns() {
    let rec = Rec::query(1, query(7, "a.example", Rtype::A)).to(SERVER, 8853);
    let (_, counts) = run(options(), &[rec], 0);
    assert_eq!((counts.raw.queries, counts.encrypted.packets), (1, 0));
}

#[test]
fn the_summary_says_so() {
    let (_, reader) = run(
        options(),
        &[up(1, 40000), up(2, 40001).segment(1, TCP_ACK)],
        0,
    );
    let summary = dns_trace::counts::Summary {
        reader,
        ..Default::default()
    };
    let wanted = "encrypted, so that lookups cannot be seen: 1 connections over TLS, 1 over QUIC or DTLS, 2 packets\n";
    assert!(summary.to_string().contains(wanted), "{summary}");
}

#[test]
fn lookups_that_lead_there_are_counted_by_kind() {
    let ask_as = |at, id, name: &str, rtype| Rec::query(at, query(id, name, rtype));
    let ask = |at, name: &str, rtype| ask_as(at, at as u16, name, rtype);
    let answer = |at, id, name: &str, rtype, addresses: &[[u8; 4]]| {
        Rec::response(at, response(id, name, rtype, Rcode::NOERROR, addresses))
    };
    let records = [
        ask(1, "DNS.Google", Rtype::A),
        // Sent again: one lookup.
        ask_as(2, 1, "dns.google", Rtype::A),
        ask(3, "mozilla.cloudflare-dns.com", Rtype::HTTPS),
        answer(4, 3, "mozilla.cloudflare-dns.com", Rtype::HTTPS, &[]),
        ask(5, "_dns.resolver.arpa", Rtype::SVCB),
        answer(6, 5, "_dns.resolver.arpa", Rtype::SVCB, &[[192, 0, 2, 1]]),
        ask(7, "_dns.dns.quad9.net", Rtype::SVCB),
        answer(8, 7, "_dns.dns.quad9.net", Rtype::SVCB, &[]),
        ask(9, "use-application-dns.net", Rtype::AAAA),
        // No bootstraps: another type, another name, below one.
        ask(10, "dns.google", Rtype::TXT),
        ask(11, "_dns.resolver.arpa", Rtype::A),
        ask(12, "www.dns.google", Rtype::A),
        ask(13, "www.example", Rtype::SVCB),
    ];
    let (seen, counts) = run(options(), &records, 6 * SECOND);
    assert_eq!(
        counts.encrypted.bootstraps,
        Bootstraps {
            resolvers: 2,
            discoveries: 2,
            designated: 1,
            canaries: 1,
        }
    );
    // Lookups like any other.
    assert_eq!((seen.len(), counts.encrypted.packets), (9, 0));
    let summary = dns_trace::counts::Summary {
        reader: counts,
        ..Default::default()
    };
    let wanted =
        "2 lookups of known resolvers, 2 discoveries (1 of them answered), 1 of the canary\n";
    assert!(summary.to_string().contains(wanted), "{summary}");
    assert!(!summary.to_string().contains("over TLS"), "{summary}");
}
