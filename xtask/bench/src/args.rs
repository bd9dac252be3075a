//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// What dns-trace costs, beside its budgets and its peers.
#[derive(Debug, Parser)]
#[command(name = "dns-trace-bench")]
pub(crate) struct Args {
    /// Short runs: enough to see that everything still measures
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these groups
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Group>,
    /// Rounds of which the median is taken
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(5..))]
    pub(crate) rounds: u32,
    /// Seconds of one end-to-end run
    #[arg(long)]
    seconds: Option<u32>,
    /// Queries a second of the end-to-end runs, instead of several rates
    #[arg(long)]
    pub(crate) rate: Option<u32>,
    /// Where files of measured size go
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// One packet through each program
    Kernel,
    /// A producer and the reader on two cores
    Ring,
    /// The reader in process: decoding, matching, sinks
    Reader,
    /// The same with many pending lookups and many interfaces
    Growth,
    /// nsd and dnsperf, with and without tracers
    E2e,
}

impl Args {
    /// The groups asked for, in their order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group> {
        let all = Group::value_variants().iter().copied();
        all.filter(|group| self.only.is_empty() || self.only.contains(group))
    }

    /// `full`, or `quick` in the short form.
    pub(crate) fn choose<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Length of one end-to-end run. Many short ones tell more than few long ones: what is compared lies
    /// closer together, on a machine whose speed changes by itself.
    pub(crate) fn run_time(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(2).into())
    }

    /// Rounds of end-to-end runs.
    pub(crate) fn e2e_rounds(&self) -> u32 {
        self.choose(2, 1) * self.rounds
    }
}
