//! One packet through each program: nanoseconds above an empty program of the same type. Between
//! two runs the ring is drained and the doorbell says that the reader naps, as it does while
//! messages come; a run stays below the fill mark, so that no program has to wake anyone.

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use dns_trace::bundle::Ring;
use dns_trace_event::{
    FILL_MARK, PROG_TC_EGRESS, PROG_TCX, PROG_XDP, PacketHeader, READER_NAPPING, Stats,
};

use crate::args::Args;
use crate::packet::Packet;
use crate::table::{Budget, Samples, Table, number};
use crate::{machine, object, packet};

/// Our programs, each with the empty one of its type.
const PROGRAMS: [(&str, &str); 3] = [
    (PROG_TCX, "empty_tc"),
    (PROG_TC_EGRESS, "empty_tc"),
    (PROG_XDP, "empty_xdp"),
];
const EMPTY: [&str; 2] = ["empty_tc", "empty_xdp"];
/// Packets in one round, in chunks that fit into the ring. The programs take turns chunk by chunk,
/// and a round's figure is the median of its chunks: a chunk that was interrupted does not count.
const PACKETS: u32 = 32_000;
/// Bytes in the ring of one record that certainly holds each of the packets here.
const RECORD: u32 = 8 + size_of::<PacketHeader>() as u32 + 1024;

/// Programs and ring.
struct Bench {
    ours: Ebpf,
    empty: Ebpf,
    ring: Ring,
    /// Records that must have come out of the ring.
    expected: u64,
    drained: u64,
}

/// Nanoseconds of one round: of the empty programs and of ours, by packet.
type Round = Vec<([f64; 2], [f64; 3])>;

/// Measures, and adds the rows.
pub(crate) fn run(args: &Args, table: &mut Table) -> Result<()> {
    machine::pin(0)?;
    let names = PROGRAMS.map(|(name, _)| name);
    let ours = object::ours("kernel", &names)?;
    let empty = object::empty()?;
    let ring = object::rings("kernel")?.pop().context("no ring")?;
    let mut bench = Bench {
        ours,
        empty,
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
            let (mut empty, mut ours) = ([const { Vec::new() }; 2], [const { Vec::new() }; 3]);
            for _ in 0..chunks {
                for (times, name) in empty.iter_mut().zip(EMPTY) {
                    times.push(object::time(&self.empty, name, &packet.bytes, repeat)?);
                }
                for (times, (name, _)) in ours.iter_mut().zip(PROGRAMS) {
                    times.push(self.chunk(name, packet, repeat)?);
                }
            }
            let median = |times| Samples::new(times).median();
            round.push((empty.map(median), ours.map(median)));
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
        while self.ring.events.next().is_some() {
            self.drained += 1;
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

/// The column of the empty program that belongs to one of ours.
fn empty_of(program: usize) -> usize {
    usize::from(PROGRAMS[program].1 == EMPTY[1])
}

fn rows(packets: &[Packet], rounds: &[Round], table: &mut Table) {
    table.group("kernel: one packet, above the empty program of the same type");
    for (p, (name, _)) in PROGRAMS.iter().enumerate() {
        for (k, packet) in packets.iter().enumerate() {
            let pairs = rounds.iter().map(|round| {
                let (empty, ours) = round[k];
                (empty[empty_of(p)], ours[p])
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

fn budget(program: &str, packet: &Packet) -> Option<Budget> {
    match (program, packet.is_dns) {
        (PROG_TCX, false) => Some(Budget::AtMost(4.0)),
        (PROG_XDP, false) => Some(Budget::AtMost(3.0)),
        (PROG_TCX, true) if packet.name.starts_with("query, 75") => Some(Budget::AtMost(130.0)),
        (PROG_TCX, true) if packet.name.starts_with("response, 300") => Some(Budget::AtMost(150.0)),
        _ => None,
    }
}
