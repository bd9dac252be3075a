//! `dns-trace serve` on the command line.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _};

use super::{Cli, CommonArgs, interval};
use crate::metrics::{Limits, NamePart};
use crate::serve::otlp::Url;

/// Arguments of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Where Prometheus finds /metrics; `off` for nowhere.
    ///
    /// Whoever reaches the port may read there which servers are asked, and for which names if --names is
    /// given: any user of this host, or of the network if it is not a loopback address.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:19153")]
    pub listen: Listen,
    /// Most servers with a label of their own: the first ones asked. The rest is `other`.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(..=10_000))]
    pub max_servers: u16,
    /// Label names, too, so many of them: the first ones that exist. The rest is `other`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub names: Option<u16>,
    /// Which part of a name is the label.
    #[arg(
        long,
        value_name = "PART",
        value_enum,
        default_value_t,
        requires = "names"
    )]
    pub name_part: NamePart,
    /// Most series of durations, a series being 18 lines for Prometheus, and most of errors. The rest is
    /// counted together, with all labels `other`.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_series: u32,
    /// Send metrics to the OpenTelemetry collector at this URL, by gRPC: http://127.0.0.1:4317.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<Url>,
    /// Time between two messages with metrics.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = interval, requires = "otlp")]
    pub otlp_interval: Duration,
    /// Send a log record a lookup, too: who asked, for what, and what came back.
    #[arg(long, requires = "otlp")]
    pub otlp_logs: bool,
    /// Everything that `watch` has, too.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At this address and port.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text.parse().map(Self::At);
        address.map_err(|_| {
            "not an address and port like 127.0.0.1:19153 or [::1]:19153, nor off".to_owned()
        })
    }
}

/// What `serve` is to do.
#[derive(Clone, Debug)]
pub struct ServePlan {
    /// Where to listen, if anywhere.
    pub listen: Option<SocketAddr>,
    /// How much there may be.
    pub limits: Limits,
    /// Where to send to, if anywhere.
    pub otlp: Option<OtlpPlan>,
}

/// What is sent to a collector.
#[derive(Clone, Debug)]
pub struct OtlpPlan {
    /// Where it is.
    pub url: Url,
    /// Time between two messages with metrics.
    pub interval: Duration,
    /// A log record a lookup, too.
    pub logs: bool,
}

impl ServeArgs {
    /// What to do.
    ///
    /// # Errors
    /// Wrong usage that single arguments do not show.
    pub fn plan(&self) -> Result<ServePlan, clap::Error> {
        let listen = match self.listen {
            Listen::At(address) => Some(address),
            Listen::Off => None,
        };
        let otlp = self.otlp.clone().map(|url| OtlpPlan {
            url,
            interval: self.otlp_interval,
            logs: self.otlp_logs,
        });
        if listen.is_none() && otlp.is_none() {
            let text = "nothing to serve: give --listen ADDRESS:PORT or --otlp URL";
            return Err(Cli::command().error(ErrorKind::MissingRequiredArgument, text));
        }
        Ok(ServePlan {
            listen,
            limits: Limits {
                servers: self.max_servers,
                names: self.names.map(|most| (most, self.name_part)),
                series: self.max_series as usize,
            },
            otlp,
        })
    }
}
