//! What is known about an instance, from bpffs, the kernel and the daemon.

use std::path::Path;

use anyhow::Result;
use dns_trace_event::STATS_NAMES;
use serde::Serialize;

use crate::{
    bundle::{Group, Layout, Way, counters, granted, reader_of},
    commands::load::{FACT_SETTINGS, FACT_SOURCE},
    daemon,
    hook::{self, Hook},
    instance::{Instance, Spot},
    local::{self, LoadedProgram, Neighbour, Netns},
};

/// An instance.
#[derive(Debug, Serialize)]
pub(crate) struct Bundle {
    pub(crate) instance: String,
    /// `local`, `bpfman` or `granted`.
    pub(crate) way: &'static str,
    /// False for what an interrupted command left behind.
    pub(crate) complete: bool,
    pub(crate) source: Option<String>,
    pub(crate) settings: Option<String>,
    pub(crate) programs: Vec<LoadedProgram>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) rings: Vec<Ring>,
    pub(crate) readers: Option<Readers>,
    /// What could not be found out, and why.
    pub(crate) notes: Vec<String>,
}

/// A place where a program is attached.
#[derive(Debug, Serialize)]
pub(crate) struct Attachment {
    pub(crate) hook: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) program: String,
    /// `None` for host-wide hooks, and where the interface or its namespace is gone.
    pub(crate) iface: Option<String>,
    pub(crate) ifindex: u32,
    /// Inode of the network namespace; 0 for host-wide hooks.
    pub(crate) netns: u64,
    /// Path of the namespace, if it is not this one.
    pub(crate) netns_path: Option<String>,
    /// Place in the order of the hook, from 1; `None` where the kernel does not tell.
    pub(crate) position: Option<usize>,
    /// Everybody at the hook, in order, this program among them.
    pub(crate) chain: Vec<Neighbour>,
    /// False if the interface is gone, or somebody detached the program.
    pub(crate) alive: bool,
}

/// A ring and its counters, summed over CPUs.
#[derive(Debug, Serialize)]
pub(crate) struct Ring {
    pub(crate) path: String,
    pub(crate) map: Option<u32>,
    #[serde(serialize_with = "as_map")]
    pub(crate) counters: Vec<(&'static str, u64)>,
    /// Whether somebody reads it.
    pub(crate) is_read: bool,
    /// Process id of the reader, where it is in this pid namespace.
    pub(crate) reader_pid: Option<i32>,
}

/// Who may read.
#[derive(Debug, Serialize)]
pub(crate) struct Readers {
    pub(crate) group: String,
    pub(crate) gid: u32,
    pub(crate) members: Vec<String>,
}

/// Gathers all about an instance. What cannot be found out becomes a note.
pub(crate) async fn bundle(root: &Path, instance: &Instance, socket: &Path) -> Result<Bundle> {
    let layout = Layout::new(root, instance);
    let way = layout.way().unwrap_or(Way::Granted);
    let mut notes = Vec::new();
    let programs = match way {
        Way::Local => local::loaded(&layout),
        Way::Bpfman => daemon::of_instance(&layout, socket).await,
        Way::Granted => daemon::by_hand(&layout, socket).await,
    };
    let programs = programs.unwrap_or_else(|error| {
        notes.push(crate::exit::one_line(&error));
        Vec::new()
    });
    let mut attachments = Vec::new();
    for spot in layout.spots(way)? {
        attachments.push(attachment(&spot, way, &programs, &mut notes));
    }
    if way == Way::Granted {
        notes.push("attached by bpfman's own command: where, see bpfman link list".to_owned());
    }
    Ok(Bundle {
        instance: instance.to_string(),
        way: way.name(),
        complete: layout.is_complete(),
        source: layout.recall(way, FACT_SOURCE),
        settings: layout.recall(way, FACT_SETTINGS),
        programs,
        attachments,
        rings: rings(&layout, &mut notes)?,
        readers: readers(&layout),
        notes,
    })
}

/// The counters as a JSON object, in their order.
fn as_map<S: serde::Serializer>(
    counters: &[(&str, u64)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counters.iter().copied())
}

fn attachment(
    spot: &Spot,
    way: Way,
    programs: &[LoadedProgram],
    notes: &mut Vec<String>,
) -> Attachment {
    let program = hook::program_at(spot.hook, spot.direction);
    let id = programs.iter().find(|p| p.name == program).map(|p| p.id);
    let host_wide = spot.hook.tracepoint().is_some();
    let ns = if host_wide {
        None
    } else {
        Netns::find(spot.netns)
    };
    let iface = ns.as_ref().and_then(|ns| ns.iface(spot.ifindex));
    let mut can_tell = matches!(spot.hook, Hook::Tcx | Hook::Tc) && way == Way::Local;
    let chain = match (&ns, &iface) {
        (Some(ns), Some(iface)) => local::neighbours(ns, iface, spot).unwrap_or_else(|error| {
            notes.push(crate::exit::one_line(&error));
            can_tell = false;
            Vec::new()
        }),
        _ => Vec::new(),
    };
    let position = chain
        .iter()
        .position(|n| n.id.is_some() && n.id == id)
        .map(|at| at + 1);
    Attachment {
        hook: spot.hook.name(),
        direction: spot.direction.name(),
        program: program.to_owned(),
        alive: host_wide || (iface.is_some() && (position.is_some() || !can_tell)),
        iface,
        ifindex: spot.ifindex,
        netns: spot.netns,
        netns_path: ns.and_then(|ns| ns.path().map(|p| p.display().to_string())),
        position,
        chain,
    }
}

fn rings(layout: &Layout, notes: &mut Vec<String>) -> Result<Vec<Ring>> {
    let mut rings = Vec::new();
    for handed in granted(layout)? {
        let reader = reader_of(&handed.folder);
        let values = handed
            .stats
            .map(counters)
            .transpose()
            .unwrap_or_else(|error| {
                notes.push(crate::exit::one_line(&error));
                None
            });
        let counters = values.map(|values| STATS_NAMES.into_iter().zip(values).collect());
        rings.push(Ring {
            path: handed.folder.display().to_string(),
            map: handed.ring,
            counters: counters.unwrap_or_default(),
            is_read: reader.is_some(),
            reader_pid: reader.filter(|pid| *pid > 0),
        });
    }
    Ok(rings)
}

fn readers(layout: &Layout) -> Option<Readers> {
    use std::os::unix::fs::MetadataExt;
    let gid = std::fs::metadata(layout.rings()).ok()?.gid();
    let Group { name, gid, members } = Group::numbered(gid);
    Some(Readers {
        group: name,
        gid,
        members,
    })
}
