//! The command line: what clap parses, and the plan that comes of it once everything has been
//! checked. Nothing here touches the system.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dns_trace_event::{BUNDLE_ROOT, DEFAULT_INSTANCE};
use dns_trace_options::pages::{CompletionsArgs, ManArgs};
use domain::base::iana::{OptRcode, Rtype};
use ipnet::IpNet;

use crate::confine::Mode;
use crate::filter::Filter;
use crate::name::Suffix;
use crate::process::Which;

mod record;
mod serve;

pub use record::{RecordArgs, RecordFormat, RecordPlan, RecordTo};
pub use serve::{Listen, OtlpPlan, ServeArgs, ServePlan};

const EXIT_CODES: &str = "\
Exit codes:
  0  ended as asked (also by Ctrl-C, or because nobody reads the output any more)
  1  error at run time, or output that did not take everything within 5 s of the end
  2  wrong usage
  3  nothing is loaded under that instance
  4  no permission to read it
  5  another reader has it
  6  kernel part and reader speak different versions
  7  kernel too old for reading without privilege (before 5.19)";

/// See every DNS lookup of this host: who asked, whom, for what, how long it took, what came back.
///
/// Reads what `dns-tracectl load` handed over. Needs no root and no capability, only membership in
/// the group that was chosen there.
#[derive(Clone, Debug, Parser)]
#[command(name = "dns-trace", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// With --version: also what this kernel has to confine the reader.
    #[arg(long)]
    pub verbose: bool,
    /// Take further options from this TOML file: a section a command, such as `[watch]`, and the long
    /// names of its options.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show lookups as they end.
    ///
    /// A lookup is a query with its response, a query without one (TIMEOUT), or a response whose
    /// query was not seen (ORPHAN). Over TCP a message has the time of the segment that completes it,
    /// and a zone transfer is one lookup. Output that is slow loses lines that do not fit into 8 MiB, which is
    /// counted. Ends with a summary on standard error.
    #[command(after_help = EXIT_CODES)]
    Watch(WatchArgs),
    /// Count lookups, time-outs and losses.
    ///
    /// Reads the ring like `watch`, so that only one of them can run on an instance.
    #[command(after_help = EXIT_CODES)]
    Stats(StatsArgs),
    /// Show who asks most for what, how long it takes and what fails, live on a terminal.
    ///
    /// Tables of names, clients, servers and processes have room for 512 rows each. As long as no more come,
    /// they are exact. After that the rarest makes room, and a count with a + behind it is at least
    /// that; what it may miss is at most one in 512 of all lookups. ? explains the keys. Reads the ring
    /// like `watch`, so that only one of them can run on an instance. Ends with a summary on standard
    /// error.
    #[command(after_help = EXIT_CODES)]
    Top(TopArgs),
    /// Write packets or messages to a file, or to a collector.
    ///
    /// They are taken as they are seen, before they become lookups. Filters hold for each by itself:
    /// --min-latency, --failures and --process, which are known when a lookup ends, are refused, and --rcode keeps
    /// responses only, since a query has none.
    ///
    /// pcapng has datagrams and TCP segments. A segment is no message: only --client and --server hold
    /// for it. Headers of IP, UDP and TCP are made anew; a packet that was cut has a captured length
    /// below its length.
    ///
    /// dnstap has messages, verbatim; one that was cut is left out and counted. A query that leaves is a
    /// STUB_QUERY, one that arrives a CLIENT_QUERY; likewise their responses.
    ///
    /// Output that is slow, or away, loses what does not fit into 8 MiB, which is counted. A file belongs to
    /// its owner alone (mode 600) and always ends with a whole packet or message. Ends with a summary on
    /// standard error.
    #[command(
        after_help = EXIT_CODES,
        mut_arg("min_latency", |arg| arg.hide(true)),
        mut_arg("failures", |arg| arg.hide(true)),
        mut_arg("process", |arg| arg.hide(true))
    )]
    Record(RecordArgs),
    /// Offer lookups as metrics to Prometheus, or send them by OTLP.
    ///
    /// A histogram of durations by type, response code, server and transport; lookups with errors; and every
    /// counter that the summary has, losses included. No label and no number of series can grow without
    /// bound, whatever passes. Filters hold for durations, errors and log records; counters count all.
    ///
    /// With --otlp they are sent to a collector as well, and a log record a lookup with --otlp-logs. One that is
    /// slow or away loses log records that do not fit into 8 MiB, which is counted. Ends with a summary on
    /// standard error.
    #[command(after_help = EXIT_CODES)]
    Serve(ServeArgs),
    /// Print completions for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write a page a command into a folder.
    Man(ManArgs),
}

/// Arguments of `watch`.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    /// How to show lookups; `auto` is a table on a terminal and JSON lines otherwise.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: WatchOutput,
    /// Stop after this many have been shown.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Show internationalized names in Unicode, too.
    #[arg(long)]
    pub idna: bool,
    /// Everything that `stats` has, too.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Arguments of `stats`.
#[derive(Clone, Debug, Args)]
pub struct StatsArgs {
    /// How to show the counters.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: StatsOutput,
    /// Time between two lines.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Print one line, after one interval, and end.
    #[arg(long)]
    pub once: bool,
    /// Everything that `watch` has, too.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Arguments of `top`.
#[derive(Clone, Debug, Args)]
pub struct TopArgs {
    /// Everything that `stats` has, too.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// How `watch` shows lookups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WatchOutput {
    /// A table on a terminal, JSON lines otherwise.
    #[default]
    Auto,
    /// A table.
    Table,
    /// One JSON object a line, with ECS field names.
    Json,
}

/// How `stats` shows counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StatsOutput {
    /// A table.
    #[default]
    Table,
    /// One JSON object a line.
    Json,
}

/// Arguments of every command.
#[derive(Clone, Debug, Args)]
pub struct CommonArgs {
    /// Which loaded instance to read.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_INSTANCE, value_parser = instance)]
    pub instance: String,
    /// Where instances are, for tests.
    #[arg(long, value_name = "DIR", default_value = BUNDLE_ROOT, hide = true)]
    pub root: PathBuf,
    /// Stop after this time.
    #[arg(long, short, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Give up a query without response after this time.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
    /// Most queries that wait for their response; the oldest makes room.
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = pending)]
    pub max_pending: usize,
    /// Also take what the kernel kept from before the start.
    #[arg(long)]
    pub backlog: bool,
    /// Write the summary as JSON to this file at the end.
    #[arg(long, value_name = "FILE")]
    pub summary_file: Option<PathBuf>,
    /// Give up what is not needed once the rings and outputs are open.
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub confine: Mode,
    /// Which lookups are shown; all are counted.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Which lookups are shown.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters (all must hold; one given twice holds if either does)")]
pub struct FilterArgs {
    /// The name is this or below it.
    #[arg(long, value_name = "SUFFIX", value_parser = Suffix::parse)]
    pub name: Vec<Suffix>,
    /// Type of the question: A, MX, TYPE65.
    #[arg(long = "type", value_name = "TYPE", value_parser = rtype)]
    pub types: Vec<Rtype>,
    /// Response code: NOERROR, NXDOMAIN, SERVFAIL, or a number.
    #[arg(long, value_name = "CODE", value_parser = rcode)]
    pub rcode: Vec<OptRcode>,
    /// Answered after this time or later: 10ms.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub min_latency: Option<Duration>,
    /// Client's address or network: 10.0.0.0/8.
    #[arg(long, value_name = "ADDRESS", value_parser = net)]
    pub client: Vec<IpNet>,
    /// Server's address or network.
    #[arg(long, value_name = "ADDRESS", value_parser = net)]
    pub server: Vec<IpNet>,
    /// Process that asked: a name as `ps -o comm` shows it, or an id.
    #[arg(long, value_name = "NAME|PID", value_parser = Which::parse)]
    pub process: Vec<Which>,
    /// Only what failed: timed out, evicted, malformed, or answered with a code other than
    /// NOERROR and NXDOMAIN.
    #[arg(long)]
    pub failures: bool,
}

impl FilterArgs {
    /// The conditions.
    #[must_use]
    pub fn plan(&self) -> Filter {
        Filter {
            names: self.name.clone(),
            types: self.types.clone(),
            rcodes: self.rcode.clone(),
            min_latency_ns: self.min_latency.map(nanoseconds),
            clients: self.client.clone(),
            servers: self.server.clone(),
            processes: self.process.clone(),
            failures: self.failures,
        }
    }
}

/// A time as the pipeline counts it.
#[must_use]
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "not a time like 10ms, 5s or 2m".to_owned())?;
    match Duration::try_from(parsed) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be more than nothing".to_owned()),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time < Duration::from_millis(100) => Err("must be at least 100ms".to_owned()),
        time => Ok(time),
    }
}

fn pending(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=16_777_216) => Ok(number),
        _ => Err("must be a number from 1 to 16777216".to_owned()),
    }
}

/// bpffs allows no dots, and a name is one folder.
fn instance(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || !text.chars().all(fits) {
        return Err("may hold letters, digits, '-' and '_' only".to_owned());
    }
    Ok(text.to_owned())
}

fn rtype(text: &str) -> Result<Rtype, String> {
    text.parse()
        .map_err(|_| "not a record type like A, MX or TYPE65".to_owned())
}

fn rcode(text: &str) -> Result<OptRcode, String> {
    // Not by `checked_from_int`, which refuses every code but NOERROR (domain 0.12.3).
    if let Ok(number) = text.parse::<u16>() {
        let code = (number < 4096).then(|| OptRcode::masked_from_int(number));
        return code.ok_or_else(|| "must be below 4096".to_owned());
    }
    let upper = text.to_ascii_uppercase();
    (0..=4095)
        .map(OptRcode::masked_from_int)
        .find(|code| code.to_string() == upper)
        .ok_or_else(|| "not a response code like NXDOMAIN or SERVFAIL".to_owned())
}

fn net(text: &str) -> Result<IpNet, String> {
    let net = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map_err(|_| "not an address or network like 192.0.2.1 or 2001:db8::/32".to_owned())
}
