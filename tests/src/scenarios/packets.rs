//! Every form of packet, run through the programs by `BPF_PROG_TEST_RUN`: what is in the ring and
//! in the counters afterwards is compared exactly.

use anyhow::{Context, Result, bail, ensure};
use aya::programs::{Program, SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use dns_trace_event::{
    FLAG_FRAGMENT, FLAG_TRUNCATED, PAYLOAD_CLASSES, PAYLOAD_MAX, PROG_TC_INGRESS, PROG_TCX,
    PROG_XDP, PacketHeader, Stats, TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN,
};
use zerocopy::FromBytes as _;

use crate::lab::ctl::unpack_object;
use crate::lab::packet::{
    AUTHENTICATION, DESTINATION, FRAGMENT, HOP_BY_HOP, IPV4, IPV6, QINQ, ROUTING, TCP, UDP, VLAN,
    ethernet, extension, fragment, ipv4, ipv4_with, ipv6, pattern, tag, tcp, udp, udp_lying,
};
use crate::lab::ring::Ring;

const CLIENT: u16 = 40000;
const DNS: u16 = 53;
/// Bytes of payload that fit a test run.
const MOST: usize = 3000;

/// What must come of a packet.
enum Outcome {
    /// A record with this payload, these flags, and this length on the wire.
    Record {
        payload: Vec<u8>,
        flags: u8,
        wire_len: usize,
    },
    /// No record, and one more in this counter.
    Counted(fn(&Stats) -> u64),
    /// No record, and nothing counted but the packet.
    Ignored,
}

struct Case {
    name: String,
    packet: Vec<u8>,
    outcome: Outcome,
}

fn case(name: impl Into<String>, packet: Vec<u8>, outcome: Outcome) -> Case {
    Case {
        name: name.into(),
        packet,
        outcome,
    }
}

fn record(payload: &[u8]) -> Outcome {
    Outcome::Record {
        payload: payload.to_vec(),
        flags: 0,
        wire_len: payload.len(),
    }
}

/// The wanted packet in every wrapping that is followed.
fn wrappings() -> Vec<Case> {
    let payload = pattern(33);
    let query = udp(CLIENT, DNS, &payload);
    let v4 = ipv4(UDP, &query);
    let wrapped = [
        ("ethernet, IPv4", ethernet(IPV4, &v4)),
        (
            "IPv4 with options",
            ethernet(IPV4, &ipv4_with(UDP, 0, 8, &query)),
        ),
        (
            "IPv4 with the most options",
            ethernet(IPV4, &ipv4_with(UDP, 0, 40, &query)),
        ),
        ("IPv6", ethernet(IPV6, &ipv6(UDP, &query))),
        ("VLAN", ethernet(VLAN, &tag(IPV4, &v4))),
        ("VLAN, IPv6", ethernet(VLAN, &tag(IPV6, &ipv6(UDP, &query)))),
        ("QinQ", ethernet(QINQ, &tag(VLAN, &tag(IPV4, &v4)))),
        (
            "response",
            ethernet(IPV4, &ipv4(UDP, &udp(DNS, CLIENT, &payload))),
        ),
        (
            "mDNS",
            ethernet(IPV4, &ipv4(UDP, &udp(5353, 5353, &payload))),
        ),
        (
            "LLMNR",
            ethernet(IPV4, &ipv4(UDP, &udp(CLIENT, 5355, &payload))),
        ),
        ("one extension header", extended(&[(HOP_BY_HOP, 0)], &query)),
        (
            "extension header of 2 units",
            extended(&[(DESTINATION, 2)], &query),
        ),
        (
            "authentication header",
            extended(&[(AUTHENTICATION, 4)], &query),
        ),
        (
            "five extension headers",
            extended(
                &[
                    (HOP_BY_HOP, 0),
                    (DESTINATION, 1),
                    (ROUTING, 2),
                    (AUTHENTICATION, 4),
                    (DESTINATION, 0),
                ],
                &query,
            ),
        ),
        (
            "atomic fragment",
            ethernet(IPV6, &ipv6(FRAGMENT, &fragment(UDP, 0, false, &query))),
        ),
    ];
    wrapped
        .into_iter()
        .map(|(name, packet)| case(name, packet, record(&payload)))
        .collect()
}

/// IPv6 with these extension headers (kind, units) around UDP.
fn extended(headers: &[(u8, u8)], query: &[u8]) -> Vec<u8> {
    let mut next = UDP;
    let mut inner = query.to_vec();
    for &(kind, units) in headers.iter().rev() {
        inner = extension(kind, next, units, &inner);
        next = kind;
    }
    ethernet(IPV6, &ipv6(next, &inner))
}

/// Every payload of the two smallest size classes, which are copied in blocks, and those at the borders of the
/// others. A test run carries a page less room for headers, hence `MOST`.
fn sizes() -> Vec<Case> {
    let mut sizes: Vec<usize> = (0..PAYLOAD_CLASSES[1] as usize - 1).collect();
    for class in PAYLOAD_CLASSES.into_iter().skip(1) {
        let class = class as usize;
        sizes.extend([class - 1, class, class + 1]);
    }
    sizes
        .into_iter()
        .filter(|size| *size <= MOST)
        .map(|size| {
            let payload = pattern(size);
            let packet = ethernet(IPV4, &ipv4(UDP, &udp(CLIENT, DNS, &payload)));
            let captured = size.min(PAYLOAD_MAX as usize);
            let flags = if captured < size { FLAG_TRUNCATED } else { 0 };
            let outcome = Outcome::Record {
                payload: pattern(captured),
                flags,
                wire_len: size,
            };
            case(format!("{size} bytes of payload"), packet, outcome)
        })
        .collect()
}

/// Fragments, contradictions, and what is not DNS.
fn refusals() -> Vec<Case> {
    let payload = pattern(33);
    let query = udp(CLIENT, DNS, &payload);
    let first = udp_lying(CLIENT, DNS, &payload, 1000);
    let cut = |flags| Outcome::Record {
        payload: payload.clone(),
        flags: flags | FLAG_TRUNCATED,
        wire_len: payload.len() + 1000,
    };
    let mut padded = ethernet(IPV4, &ipv4(UDP, &query));
    padded.extend([0xee; 18]);
    vec![
        case("padding is no payload", padded, record(&payload)),
        case(
            "first fragment",
            ethernet(IPV4, &ipv4_with(UDP, 0x2000, 0, &first)),
            cut(FLAG_FRAGMENT),
        ),
        case(
            "first fragment, IPv6",
            ethernet(IPV6, &ipv6(FRAGMENT, &fragment(UDP, 0, true, &first))),
            cut(FLAG_FRAGMENT),
        ),
        case(
            "later fragment",
            ethernet(IPV4, &ipv4_with(UDP, 100, 0, &query)),
            Outcome::Counted(|stats| stats.later_fragments),
        ),
        case(
            "later fragment, IPv6",
            ethernet(IPV6, &ipv6(FRAGMENT, &fragment(UDP, 100, true, &query))),
            Outcome::Counted(|stats| stats.later_fragments),
        ),
        case(
            "UDP length beyond the packet",
            ethernet(IPV4, &ipv4(UDP, &udp_lying(CLIENT, DNS, &payload, 1))),
            Outcome::Counted(|stats| stats.malformed),
        ),
        case(
            "UDP length below its header",
            ethernet(IPV4, &ipv4(UDP, &udp_lying(CLIENT, DNS, &payload, -34))),
            Outcome::Counted(|stats| stats.malformed),
        ),
        case(
            "TCP cut within its header",
            ethernet(IPV4, &ipv4(TCP, &tcp(CLIENT, DNS, 1, TCP_ACK, &[])[..18])),
            Outcome::Counted(|stats| stats.malformed),
        ),
        case(
            "too many extension headers",
            extended(&[(DESTINATION, 0); 7], &query),
            Outcome::Counted(|stats| stats.unparsable),
        ),
        case(
            "other port",
            ethernet(IPV4, &ipv4(UDP, &udp(CLIENT, 443, &payload))),
            Outcome::Ignored,
        ),
        case(
            "other port, IPv6",
            ethernet(IPV6, &ipv6(TCP, &tcp(CLIENT, 443, 1, TCP_PSH, &payload))),
            Outcome::Ignored,
        ),
        case("ICMP", ethernet(IPV4, &ipv4(1, &query)), Outcome::Ignored),
        case(
            "ICMPv6",
            ethernet(IPV6, &ipv6(58, &query)),
            Outcome::Ignored,
        ),
        case("ARP", ethernet(0x0806, &[0; 46]), Outcome::Ignored),
    ]
}

/// TCP: what carries a message or the state of a connection is reported, a bare acknowledgement
/// counted.
fn segments() -> Vec<Case> {
    let payload = pattern(60);
    let segment =
        |flags, payload: &[u8]| ethernet(IPV4, &ipv4(TCP, &tcp(CLIENT, DNS, 7, flags, payload)));
    let mut ack = segment(TCP_ACK, &[]);
    ack.resize(60, 0);
    vec![
        case(
            "TCP payload",
            segment(TCP_ACK | TCP_PSH, &payload),
            record(&payload),
        ),
        case("SYN", segment(TCP_SYN, &[]), record(&[])),
        case("FIN", segment(TCP_FIN | TCP_ACK, &[]), record(&[])),
        case("RST", segment(TCP_RST, &[]), record(&[])),
        case(
            "bare ACK, padded",
            ack,
            Outcome::Counted(|stats| stats.bare_acks),
        ),
        case(
            "TCP over IPv6 in a VLAN",
            ethernet(
                VLAN,
                &tag(IPV6, &ipv6(TCP, &tcp(CLIENT, DNS, 7, TCP_ACK, &payload))),
            ),
            record(&payload),
        ),
    ]
}

/// All of it at TCX (or tc, where there is no TCX program to load: the type is the same) and XDP.
pub(crate) fn forms() -> Result<()> {
    let object = std::fs::read(unpack_object()?).context("cannot read the object")?;
    for program in [PROG_TCX, PROG_TC_INGRESS, PROG_XDP] {
        let mut bench = Bench::load(&object, program)?;
        for case in wrappings()
            .into_iter()
            .chain(sizes())
            .chain(refusals())
            .chain(segments())
        {
            bench
                .check(&case)
                .with_context(|| format!("{program}: {}", case.name))?;
        }
    }
    Ok(())
}

/// One program with its maps.
struct Bench {
    ebpf: Ebpf,
    program: &'static str,
    ring: Ring,
}

impl Bench {
    fn load(object: &[u8], program: &'static str) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .load(object)
            .context("cannot load the object")?;
        match ebpf
            .program_mut(program)
            .context("the program is not in the object")?
        {
            Program::SchedClassifier(program) => program.load(),
            Program::Xdp(program) => program.load(),
            _ => bail!("{program} is of another type"),
        }
        .with_context(|| format!("cannot load {program}"))?;
        let ring = Ring::of(&mut ebpf)?;
        Ok(Self {
            ebpf,
            program,
            ring,
        })
    }

    /// Runs the program once and checks that the packet goes on, unchanged.
    fn run(&mut self, packet: &[u8]) -> Result<()> {
        let mut out = vec![0; packet.len() + 64];
        let options = TestRunOptions {
            data_in: Some(packet),
            data_out: Some(&mut out),
            ..TestRunOptions::default()
        };
        let (result, pass) = match self.ebpf.program_mut(self.program) {
            Some(Program::SchedClassifier(program)) => {
                let program: &mut SchedClassifier = program;
                let pass = if self.program == PROG_TCX { -1 } else { 3 };
                (program.test_run(options)?, pass)
            }
            Some(Program::Xdp(program)) => {
                let program: &mut Xdp = program;
                (program.test_run(options)?, 2)
            }
            _ => bail!("no program"),
        };
        ensure!(
            result.return_value.cast_signed() == pass,
            "returned {}, not {pass}",
            result.return_value
        );
        ensure!(out[..packet.len()] == *packet, "the packet was changed");
        Ok(())
    }

    fn check(&mut self, case: &Case) -> Result<()> {
        let before = self.ring.stats()?;
        self.run(&case.packet)?;
        let after = self.ring.stats()?;
        let records = self.ring.records();
        ensure!(
            after.packets == before.packets + 1,
            "the packet was not counted"
        );
        let total = |stats: &Stats| stats.values().iter().sum::<u64>() - stats.packets;
        let counted = total(&after) - total(&before);
        match &case.outcome {
            Outcome::Ignored => {
                ensure!(records.is_empty() && counted == 0, "reported or counted");
            }
            Outcome::Counted(counter) => {
                ensure!(records.is_empty(), "reported");
                ensure!(
                    counter(&after) == counter(&before) + 1 && counted == 1,
                    "counters {before:?} became {after:?}"
                );
            }
            Outcome::Record {
                payload,
                flags,
                wire_len,
            } => {
                let truncated = u64::from(flags & FLAG_TRUNCATED != 0);
                ensure!(
                    after.submitted == before.submitted + 1 && counted == 1 + truncated,
                    "counters {before:?} became {after:?}"
                );
                ensure!(records.len() == 1, "{} records", records.len());
                compare(&records[0], payload, *flags, *wire_len)?;
            }
        }
        Ok(())
    }
}

fn compare(record: &[u8], payload: &[u8], flags: u8, wire_len: usize) -> Result<()> {
    let Ok((header, rest)) = PacketHeader::read_from_prefix(record) else {
        bail!("a record of {} bytes", record.len());
    };
    ensure!(
        header.flags == flags,
        "flags {:#x}, not {flags:#x}",
        header.flags
    );
    ensure!(
        header.wire_len as usize == wire_len,
        "wire length {}, not {wire_len}",
        header.wire_len
    );
    ensure!(
        header.captured_len as usize == payload.len(),
        "captured {}, not {}",
        header.captured_len,
        payload.len()
    );
    ensure!(rest[..payload.len()] == *payload, "the payload differs");
    ensure!(header.time_ns > 0, "no time");
    let ports = (header.source_port, header.destination_port);
    ensure!(
        [(CLIENT, DNS), (DNS, CLIENT), (5353, 5353), (CLIENT, 5355)].contains(&ports),
        "ports {ports:?}"
    );
    let mapped = |last| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last];
    let private = |last| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let addresses = (header.source, header.destination);
    ensure!(
        addresses == (mapped(1), mapped(2)) || addresses == (private(1), private(2)),
        "addresses {addresses:?}"
    );
    if header.l4 == TCP {
        ensure!(header.tcp_seq == 7, "sequence number {}", header.tcp_seq);
    }
    Ok(())
}
