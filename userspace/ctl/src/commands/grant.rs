//! `grant`: lets a group read a bundle that is in the kernel.

use anyhow::Result;

use crate::{
    bundle::{Granted, Group, Layout, Mount, RingMaps, Way, grant, granted, rings_of},
    cli, daemon,
    exit::{Exit, Failure},
    kernel, local,
    report::Report,
};

/// Arguments of `grant`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    bundle: cli::Bundle,
    #[command(flatten)]
    readers: cli::Readers,
    #[command(flatten)]
    daemon: cli::Daemon,
}

/// Hands the maps of an instance over, or those of the programs that bpfman's own command loaded.
pub(crate) async fn run(args: Args) -> Result<Report> {
    kernel::need_root("handing over")?;
    let group = Group::named(&args.readers.group)?;
    let mount = Mount::ensure(&args.bundle.root)?;
    let layout = Layout::new(&args.bundle.root, &args.bundle.instance);
    if matches!(layout.way(), Some(Way::Local | Way::Bpfman)) && !layout.is_complete() {
        return Err(interrupted(&layout));
    }
    let programs = match layout.way() {
        Some(Way::Local) => local::loaded(&layout)?,
        Some(Way::Bpfman) => daemon::of_instance(&layout, &args.daemon.socket).await?,
        Some(Way::Granted) | None => daemon::by_hand(&layout, &args.daemon.socket).await?,
    };
    if programs.is_empty() {
        return Err(nothing(&layout));
    }
    let rings = rings_of(programs.iter().map(|p| p.map_ids.as_slice()))?;
    rings.iter().try_for_each(RingMaps::check_abi)?;
    let outcome = grant(&layout, &rings, &group)?;
    drop(mount);
    let (instance, Group { name, gid, .. }) = (layout.instance(), &group);
    if outcome == Granted::Already {
        return Ok(Report::new(format!(
            "{instance} is readable by the group {name} already: nothing to do"
        )));
    }
    let mut text = format!("{instance} is readable by the group {name} (gid {gid})\n");
    for ring in granted(&layout)? {
        text.push_str(&format!("  ring      {}\n", ring.folder.display()));
    }
    Ok(Report::new(text))
}

/// A load hands over at its end: without rings there was none.
fn interrupted(layout: &Layout) -> anyhow::Error {
    let instance = layout.instance();
    let message = format!(
        "the load of {instance} was interrupted and there is nothing whole to hand over \
         (run it again, or: sudo dns-tracectl unload --instance {instance})"
    );
    Failure::new(Exit::Missing, message)
}

fn nothing(layout: &Layout) -> anyhow::Error {
    let message = format!(
        "{} is not loaded, and bpfman has no dns-trace program either \
         (run: sudo dns-tracectl load, or: bpfman load image)",
        layout.instance()
    );
    Failure::new(Exit::Missing, message)
}
