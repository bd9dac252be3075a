//! Handing over: the pins that a group may open, and taking them away again.
//!
//! A reader never sees half of it: everything is made in a folder that nobody looks at, with its
//! final owners, and then renamed.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use dns_trace_event::MAP_EVENTS;

use super::{Group, Layout, RingMaps, layout, maps};

/// What handing over did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    /// The rings were not there, or others were.
    New,
    /// The same rings were there for the same group.
    Already,
}

/// A ring that is handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handed {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Kernel ids of the ring and of the counters; `None` where the pin is missing or not readable.
    pub(crate) ring: Option<u32>,
    /// Likewise, the counters.
    pub(crate) stats: Option<u32>,
}

/// Pins the maps where members of the group can open them. Does not check the ABI.
pub(crate) fn grant(layout: &Layout, rings: &[RingMaps], group: &Group) -> Result<Granted> {
    layout::make_folder(&layout.dir())?;
    let have: Vec<Option<u32>> = granted(layout)?
        .into_iter()
        .map(|handed| handed.ring)
        .collect();
    let want: Vec<Option<u32>> = rings.iter().map(|r| Some(r.ring)).collect();
    if !want.is_empty() && have == want && owner(&layout.rings()) == Some(group.gid) {
        open_parents(layout, group)?;
        return Ok(Granted::Already);
    }
    let (rings_dir, next, old) = (layout.rings(), layout.rings_next(), layout.rings_old());
    for leftover in [&next, &old] {
        remove(leftover)?;
    }
    build(&next, rings, 0, group)?;
    if rings_dir.is_dir() {
        rename(&rings_dir, &old)?;
    }
    rename(&next, &rings_dir)?;
    remove(&old)?;
    open_parents(layout, group)?;
    Ok(Granted::New)
}

/// Hands further rings over, beside those that are there and to the same group; gives their folders.
pub(crate) fn add_rings(layout: &Layout, rings: &[RingMaps]) -> Result<Vec<PathBuf>> {
    let (rings_dir, next) = (layout.rings(), layout.rings_next());
    let gid =
        owner(&rings_dir).with_context(|| format!("there is no folder {}", rings_dir.display()))?;
    let first = numbers(layout)?.last().map_or(0, |last| last + 1);
    remove(&next)?;
    build(&next, rings, first, &Group::numbered(gid))?;
    let mut folders = Vec::new();
    for name in layout::names(&next)? {
        let folder = rings_dir.join(&name);
        rename(&next.join(&name), &folder)?;
        folders.push(folder);
    }
    remove(&next)?;
    Ok(folders)
}

/// Removes the rings that are handed over, but for some.
pub(crate) fn remove_rings_but(layout: &Layout, kept: &[RingMaps]) -> Result<()> {
    let old = layout.rings_old();
    remove(&old)?;
    layout::make_folder(&old)?;
    for (number, handed) in numbers(layout)?.iter().zip(granted(layout)?) {
        if kept.iter().any(|ring| handed.ring == Some(ring.ring)) {
            continue;
        }
        // A reader that begins finds all of a ring or nothing.
        rename(&handed.folder, &old.join(number.to_string()))?;
    }
    remove(&old)
}

fn build(next: &Path, rings: &[RingMaps], first: u32, group: &Group) -> Result<()> {
    layout::make_folder(next)?;
    for (n, ring) in (first..).zip(rings) {
        let folder = next.join(n.to_string());
        layout::make_folder(&folder)?;
        for (id, name) in ring.ids().into_iter().zip(RingMaps::NAMES) {
            let pin = folder.join(name);
            maps::pin(id, name, &pin)?;
            hand(&pin, group, 0o660)?;
        }
        hand(&folder, group, 0o750)?;
    }
    hand(next, group, 0o750)
}

/// Lets the group into the instance's folder and through the root, and lets it list where programs are
/// attached; the pins of the links stay for root alone. Where several instances have
/// several groups, the root lets everybody through but shows its names to none but root.
fn open_parents(layout: &Layout, group: &Group) -> Result<()> {
    hand(&layout.dir(), group, 0o750)?;
    for folder in layout.listed() {
        if folder.is_dir() {
            hand(&folder, group, 0o750)?;
        }
    }
    let others = super::instances(layout.root())?.iter().any(|instance| {
        owner(&layout.root().join(instance.as_str())).is_some_and(|gid| gid != group.gid)
    });
    if others {
        return hand(layout.root(), &Group::numbered(0), 0o711);
    }
    hand(layout.root(), group, 0o750)
}

fn owner(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|m| m.gid())
}

fn hand(path: &Path, group: &Group, mode: u32) -> Result<()> {
    chown(path, Some(0), Some(group.gid))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .with_context(|| {
            format!(
                "cannot hand {} over to the group {}",
                path.display(),
                group.name
            )
        })
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

fn remove(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Numbers of the rings that are handed over, in order.
fn numbers(layout: &Layout) -> Result<Vec<u32>> {
    let mut numbers: Vec<u32> = layout::names(&layout.rings())?
        .iter()
        .filter_map(|n| n.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The rings that are handed over, in order.
pub(crate) fn granted(layout: &Layout) -> Result<Vec<Handed>> {
    let rings = layout.rings();
    let handed = |n: u32| {
        let folder = rings.join(n.to_string());
        Handed {
            ring: maps::pinned_id(&folder.join(MAP_EVENTS)),
            stats: maps::pinned_id(&folder.join(dns_trace_event::MAP_STATS)),
            folder,
        }
    };
    Ok(numbers(layout)?.into_iter().map(handed).collect())
}

/// Removes the folder of an instance with all pins in it.
pub(crate) fn remove_instance(layout: &Layout) -> Result<()> {
    // The rings first, so that no reader starts on what is about to go.
    remove(&layout.rings())?;
    remove(&layout.dir())
}
