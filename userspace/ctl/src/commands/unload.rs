//! `unload`: takes away what `load` and `grant` made, and nothing else.

use anyhow::Result;
use dns_trace_event::{PROG_TC_EGRESS, PROG_TC_INGRESS};

use crate::{
    bundle::{Layout, Mount, Way, instances, remove_instance},
    cli,
    exit::{Exit, Failure},
    hook, kernel,
    local::{self, Detached},
    report::Report,
};

/// Arguments of `unload`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    bundle: cli::Bundle,
    #[command(flatten)]
    daemon: cli::Daemon,
}

/// Unloads an instance.
pub(crate) async fn run(args: Args) -> Result<Report> {
    kernel::need_root("unloading")?;
    let (root, instance) = (&args.bundle.root, &args.bundle.instance);
    let layout = Layout::new(root, instance);
    let mount = Mount::existing(root)?;
    let way = layout.way();
    let notes = match way {
        Some(Way::Local) => {
            refuse_lost_filters(&layout)?;
            remove_local(&layout)?
        }
        Some(Way::Bpfman) => crate::daemon::unload(&layout, &args.daemon.socket).await?,
        Some(Way::Granted) => {
            remove_instance(&layout)?;
            vec![
                "bpfman's own command loaded the programs: they stay (see: bpfman program list)"
                    .to_owned(),
            ]
        }
        // The daemon may still have programs whose pins somebody removed.
        None => match crate::daemon::unload_leftovers(&layout, &args.daemon.socket).await? {
            Some(notes) => notes,
            None => return Err(not_loaded(&layout)),
        },
    };
    drop(mount);
    let mut text: String = notes.iter().map(|note| format!("note: {note}\n")).collect();
    text.push_str(&format!("unloaded {instance}"));
    Ok(Report::new(text))
}

fn not_loaded(layout: &Layout) -> anyhow::Error {
    let others: Vec<String> = instances(layout.root())
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let hint = if others.is_empty() {
        String::new()
    } else {
        format!(" (loaded: {})", others.join(", "))
    };
    Failure::new(
        Exit::Missing,
        format!(
            "{} is not loaded: there is nothing to unload{hint}",
            layout.instance()
        ),
    )
}

/// A tc filter stays without a pin, and only the names of the links tell where it is. `load` writes them
/// anew.
fn refuse_lost_filters(layout: &Layout) -> Result<()> {
    let lost = local::unattached(layout)?;
    let is_filter = |name: &str| name == PROG_TC_INGRESS || name == PROG_TC_EGRESS;
    if !layout.is_complete() || !lost.iter().any(|p| is_filter(&p.name)) {
        return Ok(());
    }
    let instance = layout.instance();
    let message = format!(
        "somebody removed what tells where the tc filters of {instance} are (run: sudo dns-tracectl load \
         --instance {instance}, with the same options as before, and then unload)"
    );
    Err(Failure::new(Exit::Missing, message))
}

/// Removes an instance of `load --local`, whole or in part; gives what there is to say about it.
pub(crate) fn remove_local(layout: &Layout) -> Result<Vec<String>> {
    local::undo_interrupted(layout)?;
    let programs = local::loaded(layout)?;
    let mut notes = Vec::new();
    for spot in layout.spots(Way::Local)? {
        let name = hook::program_at(spot.hook, spot.direction);
        let id = programs.iter().find(|p| p.name == name).map(|p| p.id);
        if local::detach(layout, &spot, id)? == Detached::NamespaceGone {
            notes.push(format!(
                "the network namespace {} of a {} filter is gone or hidden; the filter goes with it",
                spot.netns, spot.direction
            ));
        }
    }
    remove_instance(layout)?;
    let ids: Vec<u32> = programs.iter().map(|p| p.id).collect();
    local::wait_gone(&ids)?;
    Ok(notes)
}
