//! One packet through each program: nanoseconds above an empty program of the same type. Between
//! two runs the ring is drained and the doorbell says that the reader naps, as it does while
//! messages come; a run stays below the fill mark, so that no program has to wake anyone.

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use dns_trace::bundle::Ring;
use dns_trace_event::{
    FILL_MARK, PROG_TC_EGRESS, PROG_TC_INGRESS, PROG_TCX, PROG_XDP, PacketHeader, READER_NAPPING,
    Stats,
};

use crate::args::Args;
use crate::packet::Packet;
use crate::table::{Budget, Samples, Table, number};
use crate::{machine, object, packet};

/// Our programs, each with the empty one of its type.
const PROGRAMS: [(&str, &str); 4] = [
    (PROG_TCX, "empty_tc"),
    (PROG_TC_INGRESS, "empty_tc"),
    (PROG_TC_EGRESS, "empty_tc"),
    (PROG_XDP, "empty_xdp"),
];
/// What they are measured against: two that do nothing, two that do the least that any could.
const YARDSTICKS: [&str; 4] = ["empty_tc", "empty_xdp", "least_tc", "least_xdp"];
/// So many packets, the first ones, are plain IPv4 and no DNS.
const PLAIN: usize = 2;
/// Packets in one round, in chunks that fit into the ring. The programs take turns chunk by chunk,
/// and a round's figure is the median of its chunks: a chunk that was interrupted does not count.
const PACKETS: u32 = 32_000;
/// Bytes in the ring of one record that certainly holds each of the packets here.
const RECORD: u32 = 8 + size_of::<PacketHeader>() as u32 + 1024;

/// Programs and ring.
struct Bench {
    ours: Ebpf,
    yardsticks: Ebpf,
    ring: Ring,
    /// Records that must have come out of the ring.
    expected: u64,
    drained: u64,
}

/// Nanoseconds of one round: of the yardsticks and of ours, by packet.
type Round = Vec<([f64; 4], [f64; 4])>;

/// Measures, and adds the rows.
pub(crate) fn run(args: &Args, table: &mut Table) -> Result<()> {
    machine::pin(0)?;
    let names = PROGRAMS.map(|(name, _)| name);
    let ours = object::ours("kernel", &names)?;
    let yardsticks = object::yardsticks(&YARDSTICKS)?;
    let ring = object::rings("kernel")?.pop().context("no ring")?;
    let mut bench = Bench {
        ours,
        yardsticks,
        ring,
        expected: 0,
        drained: 0,
    };
    let packets = packet::all();
    bench.round(&packets, 1000)?; // warms up
    let total = args.choose(PACKETS, PACKETS / 4);
    let mut rounds: Vec<Round> = Vec::new();
    for i in 1..=args.rounds {
        eprintln!("kernel: round {i} of {}", args.rounds);
        rounds.push(bench.round(&packets, total)?);
    }
    bench.adds_up()?;
    rows(&packets, &rounds, table);
    Ok(())
}

impl Bench {
    fn round(&mut self, packets: &[Packet], total: u32) -> Result<Round> {
        let repeat = FILL_MARK / RECORD - 1;
        let chunks = total.div_ceil(repeat);
        let mut round = Vec::new();
        for packet in packets {
            let (mut against, mut ours) = ([const { Vec::new() }; 4], [const { Vec::new() }; 4]);
            for _ in 0..chunks {
                for (times, name) in against.iter_mut().zip(YARDSTICKS) {
                    let time = object::time(&self.yardsticks, name, &packet.bytes, repeat)?;
                    times.push(time);
                }
                for (times, (name, _)) in ours.iter_mut().zip(PROGRAMS) {
                    times.push(self.chunk(name, packet, repeat)?);
                }
            }
            let median = |times| Samples::new(times).median();
            round.push((against.map(median), ours.map(median)));
        }
        Ok(round)
    }

    /// Runs a program on packets that fit into the ring, and empties the ring.
    fn chunk(&mut self, name: &str, packet: &Packet, repeat: u32) -> Result<f64> {
        self.ring.set_doorbell(READER_NAPPING);
        let time = object::time(&self.ours, name, &packet.bytes, repeat)?;
        if packet.is_dns {
            self.expected += u64::from(repeat);
        }
        loop {
            let (few, _) = self.ring.few();
            let records = few.records().len();
            few.release(records);
            if records == 0 {
                break;
            }
            self.drained += records as u64;
        }
        Ok(time)
    }

    /// Every captured packet is a record, and no other.
    fn adds_up(&self) -> Result<()> {
        let Stats {
            submitted,
            ring_full,
            malformed,
            unreadable,
            ..
        } = self.ring.stats()?;
        ensure!(
            submitted == self.expected && self.drained == self.expected,
            "the kernel's counts do not add up: {} captured packets, {submitted} submitted, {} read",
            self.expected,
            self.drained
        );
        ensure!(
            ring_full + malformed + unreadable == 0,
            "messages were lost: {ring_full} ring full, {malformed} malformed, {unreadable} unreadable"
        );
        Ok(())
    }
}

/// The column of the empty program that belongs to one of ours; two further is the least one.
fn empty_of(program: usize) -> usize {
    usize::from(PROGRAMS[program].1 == YARDSTICKS[1])
}

fn rows(packets: &[Packet], rounds: &[Round], table: &mut Table) {
    table.group("kernel: one packet, above the empty program of the same type");
    least(packets, rounds, table);
    for (p, (name, _)) in PROGRAMS.iter().enumerate() {
        for (k, packet) in packets.iter().enumerate() {
            let pairs = rounds.iter().map(|round| {
                let (against, ours) = round[k];
                (against[empty_of(p)], ours[p])
            });
            let empty = Samples::new(pairs.clone().map(|(empty, _)| empty));
            let ratio = Samples::new(pairs.clone().map(|(empty, ours)| ours / empty));
            let beside = format!("empty {} ns", number(empty.median()));
            table.row(
                format!("{name}: {}", packet.name),
                Samples::new(pairs.map(|(empty, ours)| ours - empty)),
                "ns",
                beside,
                budget(name, packet),
            );
            if *name == PROG_TCX && !packet.is_dns {
                let what = format!("{name}: {}, against the empty program", packet.name);
                table.row(what, ratio, "x", "", Some(Budget::AtMost(1.2)));
            }
        }
    }
}

/// What no program could do without: of packets that are plain IPv4 and no DNS.
fn least(packets: &[Packet], rounds: &[Round], table: &mut Table) {
    for (k, packet) in packets.iter().enumerate().take(PLAIN) {
        for empty in 0..2 {
            let above = rounds
                .iter()
                .map(|round| round[k].0[empty + 2] - round[k].0[empty]);
            table.row(
                format!("{}: {}", YARDSTICKS[empty + 2], packet.name),
                Samples::new(above),
                "ns",
                "counts, looks at the ports",
                None,
            );
        }
    }
}

fn budget(program: &str, packet: &Packet) -> Option<Budget> {
    match (program, packet.is_dns) {
        (PROG_TCX, false) => Some(Budget::AtMost(4.0)),
        (PROG_XDP, false) => Some(Budget::AtMost(3.0)),
        (PROG_TCX, true) if packet.name.starts_with("query, 75") => Some(Budget::AtMost(130.0)),
        (PROG_TCX, true) if packet.name.starts_with("response, 300") => Some(Budget::AtMost(150.0)),
        _ => None,
    }
}
