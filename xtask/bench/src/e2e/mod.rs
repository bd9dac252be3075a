//! End to end: nsd and dnsperf over a pair of devices, two messages a query, every tracer on the
//! server's device, and none. Within a round every tracer has its turn at every rate, beginning
//! with another one each time.

mod dnsperf;
mod idle;
mod process;
mod rows;
mod tracer;

use anyhow::Result;
use dns_trace_tests::lab::names::NameServers;
use dns_trace_tests::lab::net;

use crate::args::Args;
use crate::table::Table;
use crate::{cmd, machine};
use dnsperf::Load;
use process::Use;
use tracer::{Kind, Seen, Tracer};

/// Queries a second; `None` is as many as there can be.
type Rate = Option<u32>;

const RATES: [Rate; 6] = [
    Some(1_000),
    Some(5_000),
    Some(10_000),
    Some(20_000),
    Some(30_000),
    None,
];
const QUICK_RATES: [Rate; 2] = [Some(5_000), None];

/// One run of dnsperf.
#[derive(Debug)]
struct Run {
    kind: Kind,
    rate: Rate,
    round: u32,
    load: Load,
    /// CPU seconds of the whole machine, until the tracer had ended.
    machine_s: f64,
    /// The tracer's.
    used: Use,
    seen: Seen,
}

impl Run {
    /// Queries and responses.
    fn messages(&self) -> f64 {
        (self.load.sent + self.load.completed) as f64
    }
}

/// Measures, and adds the rows.
pub(crate) fn run(args: &Args, table: &mut Table) -> Result<()> {
    machine::any_core()?;
    net::create()?;
    let _names = NameServers::start()?;
    dnsperf::prepare()?;
    let kinds = kinds(args);
    let rates = match args.rate {
        Some(rate) => &[Some(rate)],
        None => args.choose(&RATES[..], &QUICK_RATES[..]),
    };
    let mut runs = Vec::new();
    for round in 1..=args.e2e_rounds() {
        for rate in rates {
            for i in 0..kinds.len() {
                let kind = kinds[(i + round as usize) % kinds.len()];
                if kind.runs_at(*rate) {
                    runs.push(once(args, round, *rate, kind)?);
                }
            }
        }
    }
    rows::rows(&kinds, &runs, table);
    idle::run(args, table)
}

/// The tracers that are here.
fn kinds(args: &Args) -> Vec<Kind> {
    let mut kinds = vec![Kind::None, Kind::Watch, Kind::Stats, Kind::Serve];
    for (kind, program) in [(Kind::Tcpdump, "tcpdump"), (Kind::Tshark, "tshark")] {
        if args.quick && kind == Kind::Tshark {
            continue;
        }
        if cmd::is_there(program) {
            kinds.push(kind);
        } else {
            eprintln!("e2e: {program} is not installed, so it is left out");
        }
    }
    kinds
}

fn once(args: &Args, round: u32, rate: Rate, kind: Kind) -> Result<Run> {
    eprintln!(
        "e2e: round {round} of {}, {}, {}",
        args.e2e_rounds(),
        rows::rate_name(rate),
        kind.name()
    );
    let tracer = Tracer::start(kind, &args.data)?;
    let before = machine::busy()?;
    let load = dnsperf::run(args.run_time(), rate)?;
    let (used, seen) = tracer.stop(&load)?;
    let machine_s = machine::busy()? - before;
    tracer::unload(kind)?;
    Ok(Run {
        kind,
        rate,
        round,
        load,
        machine_s,
        used,
        seen,
    })
}
