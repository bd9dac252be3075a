//! `load`: programs into the kernel, links to interfaces, pins to the group.

mod follow;
mod left_out;
mod local;
mod owners;
mod pattern;
mod plan;
mod settings;
mod summary;

use std::path::PathBuf;

use anyhow::Result;
use clap::{ValueEnum, builder::RangedU64ValueParser};
use dns_trace_event::{SELECT_ALL, SELECT_FAILURES, SELECT_RESPONSES};

pub(crate) use local::{
    FACT_OBJECT, FACT_SETTINGS, FACT_SOURCE, Wanted, check_room, hook_notes, object, other_way,
    points, wanted,
};
pub(crate) use owners::{Owners, missing as owners_missing};
pub(crate) use pattern::Pattern;
pub(crate) use plan::{LocalOrigin, Plan, ProceedOn};
pub(crate) use settings::Settings;
pub(crate) use summary::{Attached, Summary};

use crate::{cli, hook::HookChoice, report::Report};

/// Arguments of `load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Image with the programs, such as quay.io/acme/dns-trace:0.1.0
    #[arg(
        long,
        value_name = "REF",
        help_heading = "Where the programs come from"
    )]
    pub(crate) image: Option<String>,
    /// Load without bpfman; the built-in object unless --object or --image is given
    #[arg(long, help_heading = "Where the programs come from")]
    pub(crate) local: bool,
    /// Object file; without --local as bpfman sees it
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "image",
        help_heading = "Where the programs come from"
    )]
    pub(crate) object: Option<PathBuf>,
    /// When to ask the registry
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        requires = "image",
        help_heading = "Where the programs come from"
    )]
    pub(crate) pull_policy: Pull,
    /// User name for the registry
    #[arg(long, value_name = "NAME", requires_all = ["image", "password_stdin"], help_heading = "Where the programs come from")]
    pub(crate) username: Option<String>,
    /// Read the password for the registry from standard input
    #[arg(
        long,
        requires = "username",
        help_heading = "Where the programs come from"
    )]
    pub(crate) password_stdin: bool,
    /// With --local: trust the CA certificates in this PEM file, and no others
    #[arg(long, value_name = "FILE", requires_all = ["local", "image"], conflicts_with = "plain_http", help_heading = "Where the programs come from")]
    pub(crate) ca_file: Option<PathBuf>,
    /// With --local: speak HTTP without TLS to the registry
    #[arg(long, requires_all = ["local", "image"], help_heading = "Where the programs come from")]
    pub(crate) plain_http: bool,
    #[command(flatten)]
    pub(crate) daemon: cli::Daemon,

    /// Interface to watch, or a pattern with * and ? for all that match; may be given several times,
    /// or several with commas
    #[arg(
        long,
        value_name = "NAME|PATTERN",
        value_delimiter = ',',
        help_heading = "Where to attach"
    )]
    pub(crate) iface: Vec<String>,
    /// Stay, and attach to every interface that appears and matches, such as --iface 'veth*', until
    /// SIGINT or SIGTERM; the bundle stays loaded then
    #[arg(long, help_heading = "Where to attach")]
    pub(crate) follow: bool,
    /// Network namespace of the interfaces: a name of `ip netns`, or a path
    #[arg(long, value_name = "NAME|PATH", help_heading = "Where to attach")]
    pub(crate) netns: Option<String>,
    /// Kind of hook
    #[arg(long, value_enum, default_value_t, help_heading = "Where to attach")]
    pub(crate) hook: HookChoice,
    /// Place among other programs: lower runs first. With --local and tcx, which has no numbers:
    /// first below 500, else last
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = RangedU64ValueParser::<u16>::new().range(1..=1000), help_heading = "Where to attach")]
    pub(crate) priority: u16,
    /// Outcomes of our program after which later programs run (xdp and tc through bpfman). The
    /// default lets all others run
    #[arg(
        long,
        value_name = "ACTION",
        value_delimiter = ',',
        conflicts_with = "local",
        help_heading = "Where to attach"
    )]
    pub(crate) proceed_on: Vec<String>,

    /// Ports that carry DNS, up to 8
    #[arg(
        long,
        value_name = "PORT,…",
        default_value_t,
        help_heading = "What to capture"
    )]
    pub(crate) ports: settings::Ports,
    /// Bytes to copy of each message at most
    #[arg(long, value_name = "BYTES", default_value_t = dns_trace_event::PAYLOAD_MAX, value_parser = RangedU64ValueParser::<u32>::new().range(1..=u64::from(dns_trace_event::PAYLOAD_MAX)), help_heading = "What to capture")]
    pub(crate) snap_len: u32,
    /// Capture one lookup in N, whole: query and response stay together, over TCP the connection. The
    /// reader counts what is left out, and scales its totals
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<u32>::new().range(1..=u64::from(dns_trace_event::SAMPLE_MAX)), help_heading = "What to capture")]
    pub(crate) sample: u32,
    /// Leave out queries over UDP: half the work, but no latencies and no time-outs
    #[arg(long, help_heading = "What to capture")]
    pub(crate) responses_only: bool,
    /// Of what goes over UDP, capture only responses other than NOERROR and NXDOMAIN
    #[arg(
        long,
        conflicts_with = "responses_only",
        help_heading = "What to capture"
    )]
    pub(crate) only_failures: bool,

    /// Do not find out which process asks. By default that is done where the kernel allows it (Linux
    /// 5.12, fentry), by three more programs for the whole host
    #[arg(long, help_heading = "What to capture")]
    pub(crate) no_owners: bool,

    #[command(flatten)]
    pub(crate) bundle: cli::Bundle,
    #[command(flatten)]
    pub(crate) readers: cli::Readers,
}

impl Args {
    /// `DNS_SELECT`.
    fn select(&self) -> u32 {
        u32::from(if self.only_failures {
            SELECT_FAILURES
        } else if self.responses_only {
            SELECT_RESPONSES
        } else {
            SELECT_ALL
        })
    }
}

/// When to ask the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pull {
    /// on every load
    Always,
    /// unless bpfman has pulled that tag before
    #[default]
    IfNotPresent,
    /// never
    Never,
}

/// Loads what the arguments say.
pub(crate) async fn run(args: Args) -> Result<Report> {
    let plan = Plan::try_from(args)?;
    crate::kernel::need_root("loading programs")?;
    crate::kernel::need_btf()?;
    if plan.follow {
        return follow::run(&plan).await;
    }
    Ok(Report::new(load(&plan).await?.to_string()))
}

async fn load(plan: &Plan) -> Result<Summary> {
    match &plan.origin {
        plan::Origin::Local(origin) => local::load(plan, origin).await,
        plan::Origin::Daemon { socket, source } => crate::daemon::load(plan, socket, source).await,
    }
}
