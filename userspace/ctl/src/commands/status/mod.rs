//! `status`: what is loaded, where, beside whom, what it counted, and who reads.

mod gather;
mod sides;
mod text;

use anyhow::{Context, Result};
use gather::Bundle;

use crate::{
    bundle::{Mount, instances, is_bpffs},
    chain::Known,
    cli,
    exit::{Exit, Failure},
    instance::Instance,
    kernel,
    report::{Format, Report},
};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the bundle of this name
    #[arg(long, value_name = "NAME")]
    instance: Option<Instance>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// Mount point of the bundle's bpffs
    #[arg(long, value_name = "DIR", default_value = dns_trace_event::BUNDLE_ROOT, hide = true)]
    root: std::path::PathBuf,
    #[command(flatten)]
    daemon: cli::Daemon,
}

/// Shows one instance or all. Fails, after it has shown them, if one is not attached where it was loaded.
pub(crate) async fn run(args: Args) -> Result<Report> {
    kernel::need_root("looking into the kernel")?;
    let mount = if is_bpffs(&args.root) {
        Mount::existing(&args.root)?
    } else {
        None
    };
    let mut names = instances(&args.root)?;
    if let Some(only) = &args.instance {
        names.retain(|name| name == only);
    }
    let socket = &args.daemon.socket;
    let known = Known::gather(&args.root, socket).await?;
    let mut bundles = Vec::new();
    for name in &names {
        bundles.push(gather::bundle(&args.root, name, socket, &known).await?);
    }
    drop(mount);
    let report = match args.output {
        Format::Json => {
            Report::new(serde_json::to_string_pretty(&bundles).context("cannot write JSON")?)
        }
        Format::Text => Report::new(
            bundles
                .iter()
                .map(text::bundle)
                .collect::<Vec<_>>()
                .join("\n"),
        ),
    };
    if bundles.iter().any(Bundle::is_broken) {
        return Ok(report.with(Exit::Missing));
    }
    if !bundles.is_empty() {
        return Ok(report);
    }
    match args.output {
        Format::Json => Ok(report.with(Exit::Missing)),
        Format::Text => {
            let what = args.instance.map_or_else(
                || "nothing is loaded".to_owned(),
                |name| format!("{name} is not loaded"),
            );
            Err(Failure::new(
                Exit::Missing,
                format!("{what} (run: sudo dns-tracectl load)"),
            ))
        }
    }
}
