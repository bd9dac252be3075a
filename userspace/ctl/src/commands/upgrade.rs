//! `upgrade`: other programs in the place of those that are loaded, without a gap. The way back is the
//! same command with the old image or object.

use std::path::PathBuf;

use anyhow::{Context, Result};
use dns_trace_bpfman::{Image, Source};
use dns_trace_event::ABI_VERSION;
use dns_trace_images::Transport;

use super::load::{FACT_OBJECT, FACT_SETTINGS, FACT_SOURCE, LocalOrigin, Pull, Settings, object};
use crate::{
    bundle::{Layout, Mount, Way},
    cli,
    daemon::{self, Upgraded},
    exit::{Exit, Failure},
    kernel,
    local::{self, LoadedProgram},
    report::Report,
};

/// Arguments of `upgrade`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Image with the new programs
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// Object file with the new programs; without it and --image the built-in object
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    object: Option<PathBuf>,
    /// Trust the CA certificates in this PEM file, and no others
    #[arg(
        long,
        value_name = "FILE",
        requires = "image",
        conflicts_with = "plain_http"
    )]
    ca_file: Option<PathBuf>,
    /// Speak HTTP without TLS to the registry
    #[arg(long, requires = "image")]
    plain_http: bool,
    /// Through bpfman: when to ask the registry
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        requires = "image"
    )]
    pull_policy: Pull,
    #[command(flatten)]
    daemon: cli::Daemon,
    #[command(flatten)]
    bundle: cli::Bundle,
}

impl Args {
    /// Where the daemon takes the programs from.
    fn source(&self) -> Result<Source> {
        let usage = |message: &str| Err(Failure::new(Exit::Usage, message));
        if self.ca_file.is_some() || self.plain_http {
            return usage(
                "--ca-file and --plain-http are for --local: bpfman pulls by its own rules",
            );
        }
        match (&self.image, &self.object) {
            (Some(url), _) => Ok(Source::Image(Image {
                url: url.clone(),
                pull_policy: self.pull_policy.into(),
                credentials: None,
            })),
            (None, Some(path)) => {
                let path = std::path::absolute(path).context("cannot tell the current folder")?;
                Ok(Source::File(path))
            }
            (None, None) => usage("the instance is loaded through bpfman: give --image REF"),
        }
    }

    fn origin(&self) -> LocalOrigin {
        let transport = match (&self.ca_file, self.plain_http) {
            (_, true) => Transport::PlainHttp,
            (Some(file), false) => Transport::TlsWithCa(file.clone()),
            (None, false) => Transport::Tls,
        };
        match (&self.image, &self.object) {
            (Some(reference), _) => LocalOrigin::Image {
                reference: reference.clone(),
                transport,
                login: None,
            },
            (None, Some(path)) => LocalOrigin::File(path.clone()),
            (None, None) => LocalOrigin::BuiltIn,
        }
    }
}

/// Replaces the programs of an instance.
pub(crate) async fn run(args: Args) -> Result<Report> {
    kernel::need_root("replacing programs")?;
    kernel::need_btf()?;
    let layout = Layout::new(&args.bundle.root, &args.bundle.instance);
    check_way(&layout)?;
    if layout.way() == Some(Way::Bpfman) {
        return through_bpfman(&args, &layout).await;
    }
    // Whatever is wrong with the new object, the old one has not been touched by then.
    let object = object(&args.origin()).await?;
    let _mount = Mount::existing(&args.bundle.root)?;
    check_way(&layout)?;
    local::undo_interrupted(&layout)?;
    let recall = |name| layout.recall(Way::Local, name).unwrap_or_default();
    let before = layout.recall(Way::Local, FACT_SOURCE);
    let before = before.as_deref().unwrap_or("unknown source");
    let instance = layout.instance();
    if recall(FACT_OBJECT) == object.digest() {
        let source = &object.source;
        return Ok(Report::new(format!(
            "{instance} has the programs of {source} already: nothing to do"
        )));
    }
    let settings: Settings = recall(FACT_SETTINGS).parse()?;
    let old = local::replace(&layout, &object, &settings)?;
    let mut text = format!(
        "upgraded {instance} (local, {before} -> {}, ABI {ABI_VERSION})\n",
        object.source
    );
    text.push_str(&programs(&old, &local::loaded(&layout)?));
    text.push_str("  the rings are the same: readers go on");
    Ok(Report::new(text))
}

/// The same for an instance that the daemon keeps.
async fn through_bpfman(args: &Args, layout: &Layout) -> Result<Report> {
    let source = args.source()?;
    let _mount = Mount::existing(&args.bundle.root)?;
    check_way(layout)?;
    let instance = layout.instance();
    let before = layout.recall(Way::Bpfman, FACT_SOURCE);
    let before = before.as_deref().unwrap_or("unknown source");
    let again = matches!(args.pull_policy, Pull::Always) || args.object.is_some();
    let done = daemon::upgrade(layout, &args.daemon.socket, &source, again).await?;
    let Some(Upgraded { old, new, source }) = done else {
        return Ok(Report::new(format!(
            "{instance} has the programs of {before} already: nothing to do"
        )));
    };
    let mut text =
        format!("upgraded {instance} (bpfman, {before} -> {source}, ABI {ABI_VERSION})\n");
    text.push_str(&programs(&old, &new));
    text.push_str("  the rings are new: readers have taken them up");
    Ok(Report::new(text))
}

/// The new programs, a line each.
fn programs(old: &[LoadedProgram], new: &[LoadedProgram]) -> String {
    let line = |new: &LoadedProgram| {
        let before = old.iter().find(|p| p.name == new.name).map_or(0, |p| p.id);
        format!("  program   {} (id {before} -> {})\n", new.name, new.id)
    };
    new.iter().map(line).collect()
}

/// Refuses what cannot be upgraded.
fn check_way(layout: &Layout) -> Result<()> {
    let instance = layout.instance();
    let anew = format!("run: sudo dns-tracectl unload --instance {instance}, and load it anew");
    match layout.way() {
        None => Err(Failure::new(
            Exit::Missing,
            format!("{instance} is not loaded (run: sudo dns-tracectl load)"),
        )),
        Some(Way::Local | Way::Bpfman) if layout.is_complete() => Ok(()),
        Some(Way::Local | Way::Bpfman) => Err(Failure::new(
            Exit::Runtime,
            format!("{instance} was loaded half-way only ({anew})"),
        )),
        Some(Way::Granted) => Err(Failure::new(
            Exit::Daemon,
            format!(
                "{instance} is loaded by bpfman's own command, and so are other programs in its place (see: \
                 bpfman load; then run: sudo dns-tracectl grant --instance {instance})"
            ),
        )),
    }
}
