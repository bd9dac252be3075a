//! Other programs in the place of those of an instance, without a gap: they are loaded on the maps of the
//! old ones and take over each place in one step, so that every packet meets one of the two. The
//! reader notices nothing.
//!
//! TCX and XDP links are updated (`BPF_LINK_UPDATE`), tc filters changed under their handle: the kernel
//! swaps a pointer. While it is under way the new programs stand in a folder of their own; that this
//! folder is there shows that somebody was interrupted.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use aya::{
    maps::MapInfo,
    programs::{
        SchedClassifier, Xdp,
        links::{FdLink, PinnedLink},
        tc::{SchedClassifierLink, TcHandle},
        xdp::XdpLink,
    },
};
use aya_obj::programs::XdpAttachType;
use dns_trace_event::{ABI_VERSION, MAP_CONTROL};

use super::{
    LoadedProgram, Netns, Object,
    attach::function,
    filters,
    programs::{not_ours, other_abi, pin_all, pinned, verified},
    trial,
};
use crate::{
    bundle::{Layout, RingMaps, Way},
    commands::{FACT_OBJECT, FACT_SOURCE, Settings},
    exit::{Exit, Failure},
    hook::{self, Hook},
    instance::Spot,
};

/// Replaces every program of the instance by that of the same name in the object. Gives what was there
/// before. What fails leaves the old programs in their places. No interrupted run may have left anything:
/// call [`undo_interrupted`] before.
pub(crate) fn replace(
    layout: &Layout,
    object: &Object,
    settings: &Settings,
) -> Result<Vec<LoadedProgram>> {
    refuse_tracepoints(layout)?;
    let old = super::loaded(layout)?;
    let names: Vec<&str> = old.iter().map(|p| p.name.as_str()).collect();
    if !object.is_builtin {
        trial::run(object, &names)?;
    }
    let rings = layout.rings().join("0");
    check_maps(object, &rings)?;
    let mut ebpf = verified(object, &names, settings, Some(&rings))?;
    let next = layout.programs_next();
    crate::bundle::make_folder(&next)?;
    let result = pin_all(&mut ebpf, &next, &names).and_then(|()| put(layout, &next, &old));
    if result.is_err() {
        // The error above is the one to report; what this cannot undo the next run does.
        let _ = undo_interrupted(layout);
        return result.map(|()| old);
    }
    // Whoever is interrupted from here on finds no word of the object rather than a wrong one.
    layout.forget(Way::Local, FACT_OBJECT)?;
    keep(layout)?;
    layout.replace_fact(Way::Local, FACT_SOURCE, &object.source)?;
    layout.remember(Way::Local, FACT_OBJECT, &object.digest())?;
    Ok(old)
}

/// Puts in order what a run left that ended half-way: before the folders changed names the old programs
/// go back to their places, after that the new ones stay.
pub(crate) fn undo_interrupted(layout: &Layout) -> Result<()> {
    let (now, next) = (layout.programs(), layout.programs_next());
    if now.is_dir() && next.is_dir() {
        put(layout, &now, &pinned(&next)?)?;
        remove(&next)?;
    } else if next.is_dir() {
        rename(&next, &now)?;
    }
    remove(&layout.programs_old())
}

/// Makes the new programs those of the instance.
fn keep(layout: &Layout) -> Result<()> {
    rename(&layout.programs(), &layout.programs_old())?;
    rename(&layout.programs_next(), &layout.programs())?;
    remove(&layout.programs_old())
}

/// Perf links cannot be updated: there would be a moment with both programs, or with none.
fn refuse_tracepoints(layout: &Layout) -> Result<()> {
    let spots = layout.spots(Way::Local)?;
    let Some(spot) = spots.iter().find(|s| s.hook.tracepoint().is_some()) else {
        return Ok(());
    };
    let instance = layout.instance();
    Err(Failure::new(
        Exit::Kernel,
        format!(
            "the kernel cannot replace a program at a tracepoint ({}) without a gap \
             (run: sudo dns-tracectl unload --instance {instance}, and load it anew)",
            spot.hook
        ),
    ))
}

/// Refuses an object whose programs do not fit the maps that are there.
fn check_maps(object: &Object, rings: &Path) -> Result<()> {
    let parsed = aya_obj::Object::parse(&object.bytes)
        .map_err(|error| not_ours(object, &error.to_string()))?;
    for name in RingMaps::NAMES {
        let map = parsed
            .maps
            .get(name)
            .ok_or_else(|| not_ours(object, &format!("it has no map {name}")))?;
        if name == MAP_CONTROL && map.max_entries() != u32::from(ABI_VERSION) {
            return Err(other_abi(object, map.max_entries()));
        }
        let pin = rings.join(name);
        let have =
            MapInfo::from_pin(&pin).with_context(|| format!("cannot open {}", pin.display()))?;
        if name == MAP_CONTROL && have.max_entries() != map.max_entries() {
            return Err(other_ring(have.max_entries()));
        }
        let new = (map.key_size(), map.value_size(), map.max_entries());
        if new != (have.key_size(), have.value_size(), have.max_entries()) {
            let message = format!(
                "the map {name} of {} has another shape than that of the loaded programs, whose data \
                 cannot be kept (unload, and load it anew)",
                object.source
            );
            return Err(Failure::new(Exit::Object, message));
        }
    }
    Ok(())
}

/// Readers of one version do not understand the rings of another.
fn other_ring(abi: u32) -> anyhow::Error {
    Failure::new(
        Exit::Object,
        format!(
            "the loaded programs have ABI {abi}, the new ones ABI {ABI_VERSION}: their ring cannot be kept \
             (unload, load anew, and start the readers of the new release)"
        ),
    )
}

/// Puts the programs that are pinned in `folder` into every place of the instance, in which those of
/// `replaced` may stand.
fn put(layout: &Layout, folder: &Path, replaced: &[LoadedProgram]) -> Result<()> {
    for spot in layout.spots(Way::Local)? {
        let name = hook::program_at(spot.hook, spot.direction);
        let old = replaced.iter().find(|p| p.name == name).map(|p| p.id);
        put_one(layout, &folder.join(name), &spot, old).with_context(|| {
            let (hook, direction, ifindex) = (spot.hook, spot.direction, spot.ifindex);
            format!("cannot replace the program at {hook} {direction} of the interface with index {ifindex}")
        })?;
    }
    Ok(())
}

fn put_one(layout: &Layout, program: &Path, spot: &Spot, old: Option<u32>) -> Result<()> {
    if spot.hook.is_function() {
        return put_at_function(&layout.link(Way::Local, spot), program);
    }
    // Where the interface is gone there is nothing to replace.
    let Some(ns) = Netns::find(spot.netns) else {
        return Ok(());
    };
    let Some(iface) = ns.iface(spot.ifindex) else {
        return Ok(());
    };
    let link = || PinnedLink::from_pin(layout.link(Way::Local, spot)).map(FdLink::from);
    match spot.hook {
        Hook::Tcx => {
            let mut program = SchedClassifier::from_pin(program)?;
            program.attach_to_link(SchedClassifierLink::try_from(link()?)?)?;
        }
        Hook::Xdp => {
            let mut program = Xdp::from_pin(program, XdpAttachType::Interface)?;
            program.attach_to_link(XdpLink::try_from(link()?)?)?;
        }
        _ => ns.run(|| change_filter(program, &iface, spot, old))?,
    }
    Ok(())
}

/// A link at a function cannot be updated. Two programs there for a moment are harmless: they announce the
/// same process to the same ring.
fn put_at_function(link: &Path, program: &Path) -> Result<()> {
    let new = function(program)?;
    fs::remove_file(link).with_context(|| format!("cannot remove {}", link.display()))?;
    new.pin(link)
        .map(drop)
        .with_context(|| format!("cannot pin the link {}", link.display()))
}

/// Changes the filter of the old program under its handle. A filter that is not there, somebody has
/// removed: `status` says so, and this is no place to add one.
fn change_filter(program: &Path, iface: &str, spot: &Spot, old: Option<u32>) -> Result<()> {
    let mut program = SchedClassifier::from_pin(program)?;
    for filter in filters(spot.ifindex, spot.direction)? {
        if filter.program.is_none() || filter.program != old {
            continue;
        }
        let filter = SchedClassifierLink::attached(
            iface,
            spot.direction.into(),
            filter.priority,
            TcHandle::from(filter.handle),
            None,
        )?;
        let id = program.attach_to_link(filter)?;
        // Dropping it would remove the filter. It owns nothing but numbers.
        std::mem::forget(program.take_link(id)?);
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

fn remove(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}
