//! Cost of a message with ever more lookups pending and ever more interfaces, and what a pending
//! lookup takes in memory.

use anyhow::Result;
use dns_trace::pipeline::Pipeline;
use dns_trace::sink::Silent;

use crate::args::Args;
use crate::reader::{Pass, options, pass};
use crate::table::{Budget, Samples, Table, number};
use crate::{alloc, dns, machine};

const PENDING: [u32; 4] = [10, 1_000, 100_000, 1_000_000];
/// What the others are compared with.
const BASE: u32 = 1_000;
const INTERFACES: [u32; 3] = [1, 8, 64];

/// Measures, and adds the rows.
pub(crate) fn run(args: &Args, table: &mut Table) -> Result<()> {
    machine::pin(0)?;
    table.group("growth: decode + match, per message");
    pending(args, table)?;
    interfaces(args, table)
}

fn pending(args: &Args, table: &mut Table) -> Result<()> {
    let mut sinks = PENDING.map(|_| Silent);
    let mut pipelines = Vec::new();
    let mut bytes = 0.0;
    for (count, sink) in PENDING.into_iter().zip(&mut sinks) {
        let before = alloc::live();
        pipelines.push(filled(count, sink)?);
        bytes = (alloc::live() - before) as f64 / f64::from(count);
    }
    let mut records = [dns::lookups(1)];
    let rounds = rounds(args, "pending", &mut pipelines, &mut records)?;
    let base = PENDING.iter().position(|n| *n == BASE).unwrap_or(0);
    for (i, count) in PENDING.into_iter().enumerate() {
        let budget = (count > BASE).then_some(Budget::AtMost(1.2));
        let beside = beside(&rounds, i, base, "1000 pending");
        let ratio = rounds.iter().map(|round| round[i].ns / round[base].ns);
        table.row(
            format!("{count} pending"),
            Samples::new(ratio),
            "x",
            beside,
            budget,
        );
    }
    table.row(
        "memory of a pending lookup, at 1000000",
        Samples::new([bytes]),
        "bytes",
        "table included",
        Some(Budget::AtMost(256.0)),
    );
    Ok(())
}

fn interfaces(args: &Args, table: &mut Table) -> Result<()> {
    let mut sinks = INTERFACES.map(|_| Silent);
    let mut pipelines: Vec<_> = sinks
        .iter_mut()
        .map(|sink| Pipeline::new(options(), sink))
        .collect();
    let mut records = INTERFACES.map(dns::lookups);
    let rounds = rounds(args, "interfaces", &mut pipelines, &mut records)?;
    for (i, count) in INTERFACES.into_iter().enumerate() {
        let budget = (i > 0).then_some(Budget::AtMost(1.2));
        let beside = beside(&rounds, i, 0, "1 interface");
        let ratio = rounds.iter().map(|round| round[i].ns / round[0].ns);
        table.row(
            format!("{count} interfaces"),
            Samples::new(ratio),
            "x",
            beside,
            budget,
        );
    }
    Ok(())
}

/// A pipeline with that many queries waiting.
fn filled(count: u32, sink: &mut Silent) -> Result<Pipeline<'_>> {
    let mut pipeline = Pipeline::new(options(), sink);
    for i in 0..count {
        let [a, b, c, d] = i.to_be_bytes();
        let query = dns::query(u16::from(a), "pending.example.com");
        pipeline.record(&dns::record(0, [172, b, c, d], 2, &query, false))?;
    }
    Ok(pipeline)
}

/// One pass through each pipeline a round, by turns; each with records of its own, or all with the
/// same.
fn rounds(
    args: &Args,
    what: &str,
    pipelines: &mut [Pipeline<'_>],
    records: &mut [Vec<Vec<u8>>],
) -> Result<Vec<Vec<Pass>>> {
    let times = args.choose(50, 10);
    let kinds = records.len();
    let mut rounds = Vec::new();
    for round in 0..=args.rounds {
        eprintln!("growth: {what}, round {round} of {}", args.rounds);
        let mut passes = Vec::new();
        for (i, pipeline) in pipelines.iter_mut().enumerate() {
            passes.push(pass(pipeline, &mut records[i % kinds], times)?);
        }
        // Round 0 warms up.
        if round > 0 {
            rounds.push(passes);
        }
    }
    Ok(rounds)
}

fn beside(rounds: &[Vec<Pass>], i: usize, base: usize, name: &str) -> String {
    let own = Samples::new(rounds.iter().map(|round| round[i].ns)).median();
    if i == base {
        return format!("{} ns", number(own));
    }
    format!("{} ns; {name}", number(own))
}
