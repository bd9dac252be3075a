//! What is known about an instance, from bpffs, the kernel and the daemon.

use std::path::Path;

use anyhow::Result;
use dns_trace_event::{OWNER_PROGRAMS, STATS_NAMES};
use serde::Serialize;

use crate::{
    bundle::{Group, Layout, Way, counters, granted, holder_of},
    chain::{self, Chain, Known, Place},
    commands::load::{self, FACT_SETTINGS, FACT_SOURCE},
    daemon, hook,
    instance::{Instance, Spot},
    local::{self, LoadedProgram, Netns},
};

/// An instance.
#[derive(Debug, Serialize)]
pub(crate) struct Bundle {
    pub(crate) instance: String,
    /// `local`, `bpfman` or `granted`.
    pub(crate) way: &'static str,
    /// False for what an interrupted command left behind.
    pub(crate) complete: bool,
    /// Whether the pins of links are gone.
    #[serde(skip)]
    pub(crate) is_unattached: bool,
    pub(crate) source: Option<String>,
    pub(crate) settings: Option<String>,
    pub(crate) programs: Vec<LoadedProgram>,
    pub(crate) attachments: Vec<Attachment>,
    /// Everybody at the interfaces of the attachments.
    pub(crate) sides: Vec<Side>,
    pub(crate) rings: Vec<Ring>,
    pub(crate) readers: Option<Readers>,
    /// What could not be found out, and why.
    pub(crate) notes: Vec<String>,
}

impl Bundle {
    /// Whether somebody else has detached a program, or taken an interface or pins away, or a load was
    /// interrupted.
    pub(crate) fn is_broken(&self) -> bool {
        !self.complete || self.is_unattached || self.attachments.iter().any(|a| !a.alive)
    }
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
    /// Place in the order of the hook, from 1, dispatchers not counted; `None` for host-wide hooks.
    pub(crate) position: Option<usize>,
    /// Programs at the hook, likewise.
    pub(crate) of: Option<usize>,
    /// As asked for at load, through bpfman; lower runs first.
    pub(crate) priority: Option<u32>,
    /// False if the interface is gone, or somebody detached the program.
    pub(crate) alive: bool,
}

/// An interface in one direction, with all programs that packets pass there, in order.
#[derive(Debug, Serialize)]
pub(crate) struct Side {
    pub(crate) iface: String,
    pub(crate) ifindex: u32,
    pub(crate) netns: u64,
    pub(crate) direction: &'static str,
    pub(crate) hooks: Vec<Chain>,
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
pub(crate) async fn bundle(
    root: &Path,
    instance: &Instance,
    socket: &Path,
    known: &Known,
) -> Result<Bundle> {
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
    let interrupted = match way {
        Way::Local => layout.programs_next().is_dir(),
        Way::Bpfman => daemon::has_leftovers(&layout, socket)
            .await
            .unwrap_or(false),
        Way::Granted => false,
    };
    if interrupted {
        notes.push(format!(
            "an upgrade was interrupted (run: sudo dns-tracectl upgrade --instance {instance})"
        ));
    }
    let mut attachments = Vec::new();
    let mut sides = Vec::new();
    for spot in layout.spots(way)? {
        attachments.push(attachment(
            &spot, &layout, &programs, known, &mut sides, &mut notes,
        ));
    }
    notes.extend(mending(instance, &attachments));
    let is_unattached =
        way == Way::Local && layout.is_complete() && !local::unattached(&layout)?.is_empty();
    if is_unattached {
        notes.push(format!(
            "somebody removed pins of links (run: sudo dns-tracectl load --instance {instance}, with the same \
             options as before)"
        ));
    }
    notes.extend(load::owners_missing(&layout, way));
    notes.extend(programs.iter().filter_map(skipped));
    if way == Way::Granted {
        notes.push("attached by bpfman's own command: where, see bpfman link list".to_owned());
    }
    Ok(Bundle {
        instance: instance.to_string(),
        way: way.name(),
        complete: layout.is_complete(),
        is_unattached,
        source: layout.recall(way, FACT_SOURCE),
        settings: layout.recall(way, FACT_SETTINGS),
        programs,
        attachments,
        sides,
        rings: rings(&layout, &mut notes)?,
        readers: readers(&layout, &mut notes),
        notes,
    })
}

/// What it means that the kernel did not run a program: nobody else counts what it has missed by that.
fn skipped(program: &LoadedProgram) -> Option<String> {
    let LoadedProgram { name, skipped, .. } = program;
    let is_owner = OWNER_PROGRAMS.iter().any(|(owner, _)| owner == name);
    let missed = if is_owner {
        "queries whose process is unknown"
    } else {
        "messages that are neither reported nor counted"
    };
    (*skipped > 0).then(|| {
        format!(
            "the kernel did not run {name} {skipped} times, since another run was not through on that processor: up \
             to so many {missed}"
        )
    })
}

/// What puts in order what somebody else has taken away.
fn mending(instance: &Instance, attachments: &[Attachment]) -> Option<String> {
    let mut dead = attachments.iter().filter(|a| !a.alive).peekable();
    dead.peek()?;
    // `load` attaches again what it finds missing; a link of XDP bpfman takes for attached while it knows it.
    Some(
        if dead.any(|a| a.iface.is_none() || a.hook == hook::Hook::Xdp.name()) {
            format!(
                "an interface or an XDP program is gone (run: sudo dns-tracectl unload --instance {instance}, \
             and load anew)"
            )
        } else {
            format!(
                "somebody detached a program (run: sudo dns-tracectl load --instance {instance}, with the \
             same options as before)"
            )
        },
    )
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
    layout: &Layout,
    programs: &[LoadedProgram],
    known: &Known,
    sides: &mut Vec<Side>,
    notes: &mut Vec<String>,
) -> Attachment {
    let program = hook::program_at(spot.hook, spot.direction);
    let id = programs.iter().find(|p| p.name == program).map(|p| p.id);
    let host_wide = spot.hook.is_host_wide();
    let ns = if host_wide {
        None
    } else {
        Netns::find(spot.netns)
    };
    let iface = ns.as_ref().and_then(|ns| ns.iface(spot.ifindex));
    let side = match (&ns, &iface) {
        (Some(ns), Some(iface)) => side(ns, iface, spot, known, sides, notes),
        _ => None,
    };
    let chain = side.and_then(|side| side.hooks.iter().find(|c| c.hook == spot.hook.name()));
    let position = chain
        .and_then(|chain| chain.leaves().position(|n| n.id.is_some() && n.id == id))
        .map(|at| at + 1);
    // Where the kernel could not be asked, what `load` remembers counts.
    let is_seen = position.is_some() || side.is_none();
    Attachment {
        hook: spot.hook.name(),
        direction: spot.direction.name(),
        program: program.to_owned(),
        alive: host_wide || (iface.is_some() && is_seen),
        iface,
        ifindex: spot.ifindex,
        netns: spot.netns,
        netns_path: ns.and_then(|ns| ns.path().map(|p| p.display().to_string())),
        of: chain.map(|chain| chain.leaves().count()),
        position,
        priority: daemon::priority_at(layout, spot),
    }
}

/// The side on which the spot is, looked up once.
fn side<'a>(
    ns: &Netns,
    iface: &str,
    spot: &Spot,
    known: &Known,
    sides: &'a mut Vec<Side>,
    notes: &mut Vec<String>,
) -> Option<&'a Side> {
    let wanted = |s: &Side| {
        (s.netns, s.ifindex, s.direction) == (spot.netns, spot.ifindex, spot.direction.name())
    };
    if let Some(at) = sides.iter().position(wanted) {
        return sides.get(at);
    }
    let place = Place {
        ns,
        iface,
        ifindex: spot.ifindex,
    };
    match chain::of(&place, spot.direction, known) {
        Ok(hooks) => sides.push(Side {
            iface: iface.to_owned(),
            ifindex: spot.ifindex,
            netns: spot.netns,
            direction: spot.direction.name(),
            hooks,
        }),
        Err(error) => {
            notes.push(crate::exit::one_line(&error));
            return None;
        }
    }
    sides.last()
}

fn rings(layout: &Layout, notes: &mut Vec<String>) -> Result<Vec<Ring>> {
    let mut rings = Vec::new();
    for handed in granted(layout)? {
        let reader = holder_of(&handed.folder);
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

fn readers(layout: &Layout, notes: &mut Vec<String>) -> Option<Readers> {
    use std::os::unix::fs::MetadataExt;
    let gid = std::fs::metadata(layout.rings()).ok()?.gid();
    let Group { name, gid, members } = Group::numbered(gid);
    if name == gid.to_string() {
        notes.push(format!(
            "the group {gid} is gone from this host (run: sudo groupadd --system dns-trace, and: sudo \
             dns-tracectl grant --instance {})",
            layout.instance()
        ));
    }
    Some(Readers {
        group: name,
        gid,
        members,
    })
}
