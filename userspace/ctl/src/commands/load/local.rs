//! `load --local`: everything by this process, through aya.

use std::path::Path;

use anyhow::{Context, Result};

use super::{
    owners::Owners,
    pattern::Pattern,
    plan::{LocalOrigin, Plan},
    settings::Settings,
    summary::{Attached, Summary},
};
use crate::{
    bundle::{self, Group, Layout, Mount, Way, grant, granted, rings_of},
    chain::{Known, Place, refuse_taken},
    commands::unload::remove_local,
    exit::{Exit, Failure},
    hook::{self, Hook, HookChoice, Point},
    instance::Spot,
    kernel,
    local::{self, Interfaces, LoadedProgram, Netns, Object},
};

/// Names of the facts that an instance remembers.
pub(crate) const FACT_OBJECT: &str = "object";
pub(crate) const FACT_SOURCE: &str = "source";
pub(crate) const FACT_SETTINGS: &str = "settings";

/// An attachment that the plan asks for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) iface: String,
    pub(crate) spot: Spot,
    pub(crate) point: Point,
}

/// Where everything of the plan shall be attached. Looks up the interfaces. Whoever follows attaches to
/// them as it finds them, so there they are none.
pub(crate) fn wanted(plan: &Plan, ns: &Netns, points: &[Point]) -> Result<Vec<Wanted>> {
    if plan.hook == HookChoice::Tracepoint {
        return Ok(places(points, "", 0, 0));
    }
    if plan.follow {
        return Ok(Vec::new());
    }
    let ifaces = matching(&plan.ifaces, ns)?;
    let at = |(ifindex, iface): (&u32, &String)| places(points, iface, *ifindex, ns.inode());
    Ok(ifaces.iter().flat_map(at).collect())
}

/// The places of an interface.
pub(crate) fn places(points: &[Point], iface: &str, ifindex: u32, netns: u64) -> Vec<Wanted> {
    let at = |point: &Point| Wanted {
        iface: iface.to_owned(),
        spot: Spot {
            hook: point.hook,
            direction: point.direction,
            ifindex,
            netns,
        },
        point: *point,
    };
    points.iter().map(at).collect()
}

/// The interfaces that are meant; one for each pattern at least.
fn matching(patterns: &[Pattern], ns: &Netns) -> Result<Interfaces> {
    let mut matching = Interfaces::new();
    for pattern in patterns {
        if !pattern.is_open() {
            matching.insert(ns.ifindex(pattern.as_str())?, pattern.to_string());
            continue;
        }
        let all = local::interfaces(ns)?;
        let mut meant = all.clone();
        meant.retain(|_, name| pattern.matches(name));
        if meant.is_empty() {
            return Err(nothing_matches(pattern, &all, ns));
        }
        matching.extend(meant);
    }
    Ok(matching)
}

fn nothing_matches(pattern: &Pattern, all: &Interfaces, ns: &Netns) -> anyhow::Error {
    let names: Vec<&str> = all.values().map(String::as_str).collect();
    Failure::new(
        Exit::Missing,
        format!(
            "no interface in {ns} matches {pattern} (add --follow to wait for one; there are: {})",
            names.join(", ")
        ),
    )
}

/// Refuses the plan where somebody else holds a hook alone, or has filled it.
pub(crate) async fn check_room(
    plan: &Plan,
    ns: &Netns,
    wanted: &[Wanted],
    way: Way,
    socket: &Path,
) -> Result<()> {
    // Nobody need ask the daemon about hooks that everybody shares.
    let asks = way == Way::Bpfman || wanted.iter().any(|w| w.spot.hook == Hook::Xdp);
    let known = if asks {
        Known::gather(&plan.root, socket).await?
    } else {
        Known::default()
    };
    for Wanted { iface, spot, .. } in wanted {
        let place = Place {
            ns,
            iface,
            ifindex: spot.ifindex,
        };
        refuse_taken(&place, spot, way, &plan.instance, &known)?;
    }
    Ok(())
}

/// The points of the plan on this kernel.
pub(crate) fn points(plan: &Plan) -> Result<Vec<Point>> {
    let has_tcx = kernel::has_tcx()?;
    if plan.hook == HookChoice::Tcx && !has_tcx {
        return Err(Failure::new(
            Exit::Kernel,
            "this kernel has no TCX, which came with Linux 6.6 (use --hook tc)",
        ));
    }
    Ok(hook::points(plan.hook, has_tcx))
}

/// What a choice of hook means that is not obvious.
pub(crate) fn hook_notes(plan: &Plan, points: &[Point]) -> Vec<String> {
    let egress = points
        .iter()
        .find(|p| p.direction == hook::Direction::Egress);
    match (plan.hook, egress) {
        (HookChoice::Xdp, Some(egress)) => vec![format!(
            "xdp sees ingress only; egress is watched by {}, so that lookups are whole",
            egress.hook
        )],
        _ => Vec::new(),
    }
}

/// The object from there.
pub(crate) async fn object(origin: &LocalOrigin) -> Result<Object> {
    match origin {
        LocalOrigin::BuiltIn => Ok(Object::builtin()),
        LocalOrigin::File(path) => Object::file(path),
        LocalOrigin::Image {
            reference,
            transport,
            login,
        } => Object::image(reference, transport, login.clone()).await,
    }
}

/// Loads, attaches and hands over. What fails half-way is undone.
pub(crate) async fn load(plan: &Plan, origin: &LocalOrigin) -> Result<Summary> {
    let group = Group::named(&plan.group)?;
    let ns = Netns::open(plan.netns.as_deref())?;
    let points = points(plan)?;
    let wanted = wanted(plan, &ns, &points)?;
    let socket = Path::new(dns_trace_bpfman::DEFAULT_SOCKET);
    check_room(plan, &ns, &wanted, Way::Local, socket).await?;
    let settings = plan.settings_in(&ns)?;
    let object = object(origin).await?;
    let _mount = Mount::ensure(&plan.root)?;
    let layout = Layout::new(&plan.root, &plan.instance);
    let mut notes = hook_notes(plan, &points);
    let was_loaded = match layout.way() {
        None => false,
        Some(Way::Local) if layout.is_complete() => {
            local::undo_interrupted(&layout)?;
            check_same(&layout, &object, plan, &settings, &points)?;
            true
        }
        Some(Way::Local) => {
            remove_local(&layout)?;
            notes.push(format!(
                "removed what an interrupted load of {} had left behind",
                plan.instance
            ));
            false
        }
        Some(way) => return Err(other_way(plan, way)),
    };
    let mut undo = Undo::new(&layout, was_loaded);
    let mut owners = Owners::new(plan);
    // Where it was loaded, somebody may have removed a folder.
    layout.make(Way::Local)?;
    let mut programs = if was_loaded {
        local::loaded(&layout)?
    } else {
        let programs = local::load(
            &layout,
            &object,
            &hook::programs(&points),
            &owners.programs(),
            &settings,
            owners.refusals(),
        )?;
        layout.remember(Way::Local, FACT_OBJECT, &object.digest())?;
        layout.remember(Way::Local, FACT_SOURCE, &object.source)?;
        layout.remember(Way::Local, FACT_SETTINGS, &settings.fact())?;
        programs
    };
    let new = attach_missing(&layout, &ns, &wanted, &programs, plan.priority)?;
    undo.spots
        .extend(new.iter().map(|(wanted, id)| (wanted.spot, *id)));
    let mut attached: Vec<Attached> = new.iter().map(|(wanted, _)| (*wanted).into()).collect();
    attached.extend(attach_owners(
        &layout,
        &ns,
        &mut programs,
        &mut owners,
        &mut undo,
    )?);
    if was_loaded {
        notes.extend(owners.recall(&layout, Way::Local));
    } else {
        owners.remember(&layout, Way::Local, &mut notes)?;
    }
    let rings = rings_of(programs.iter().map(|p| p.map_ids.as_slice()))?;
    let outcome = grant(&layout, &rings, &group)?;
    undo.forget();
    let rings = granted(&layout)?
        .into_iter()
        .map(|handed| handed.folder)
        .collect();
    Ok(Summary {
        instance: plan.instance.clone(),
        way: Way::Local,
        source: layout
            .recall(Way::Local, FACT_SOURCE)
            .unwrap_or(object.source),
        programs,
        was_loaded,
        attached,
        granted: outcome,
        rings,
        group,
        notes,
    })
}

/// Attaches to those of the places where the programs are not attached yet; gives these, with the kernel
/// ids of their programs. Where one fails, none of them stays attached.
pub(crate) fn attach_missing<'w>(
    layout: &Layout,
    ns: &Netns,
    wanted: &'w [Wanted],
    programs: &[LoadedProgram],
    priority: u16,
) -> Result<Vec<(&'w Wanted, u32)>> {
    let mut new = Vec::new();
    for place in wanted {
        let Wanted { iface, spot, point } = place;
        let id = programs
            .iter()
            .find(|p| p.name == point.program)
            .map_or(0, |p| p.id);
        let result = local::is_attached(layout, ns, iface, spot, id).and_then(|is_attached| {
            if !is_attached {
                new.push((place, id));
                local::attach(layout, ns, iface, spot, point, priority)?;
            }
            Ok(())
        });
        if result.is_err() {
            for (place, id) in new.iter().rev() {
                // The error above is the one to report; the last one may not be there at all.
                let _ = local::detach(layout, &place.spot, Some(*id));
            }
            return result.map(|()| Vec::new());
        }
    }
    Ok(new)
}

/// Attaches the programs that tell owners, as far as they are loaded. One that cannot be attached is let
/// go.
fn attach_owners(
    layout: &Layout,
    ns: &Netns,
    programs: &mut Vec<LoadedProgram>,
    owners: &mut Owners,
    undo: &mut Undo<'_>,
) -> Result<Vec<Attached>> {
    let mut attached = Vec::new();
    let points: Vec<_> = Owners::points(|name| programs.iter().any(|p| p.name == name)).collect();
    for (point, spot) in points {
        let id = programs.iter().find(|p| p.name == point.program);
        let id = id.map_or(0, |p| p.id);
        if local::is_attached(layout, ns, "", &spot, id)? {
            continue;
        }
        match local::attach(layout, ns, "", &spot, &point, 0) {
            Ok(()) => {
                undo.spots.push((spot, id));
                attached.push(spot.into());
            }
            Err(error) => {
                owners.refusals().push(crate::exit::one_line(&error));
                let pin = layout.program(point.program);
                std::fs::remove_file(&pin)
                    .with_context(|| format!("cannot remove {}", pin.display()))?;
                programs.retain(|p| p.name != point.program);
            }
        }
    }
    Ok(attached)
}

/// Refuses to load something else over an instance.
fn check_same(
    layout: &Layout,
    object: &Object,
    plan: &Plan,
    settings: &Settings,
    points: &[Point],
) -> Result<()> {
    let instance = &plan.instance;
    let differs = |what: String| {
        let message = format!(
            "{instance} is loaded with {what} (run: sudo dns-tracectl unload --instance {instance}, \
             or give this one another name with --instance)"
        );
        Err(Failure::new(Exit::Runtime, message))
    };
    let recall = |name| {
        layout
            .recall(Way::Local, name)
            .unwrap_or_else(|| "nothing known".to_owned())
    };
    if recall(FACT_OBJECT) != object.digest() {
        let message = format!(
            "{instance} is loaded with another object: {} (run: sudo dns-tracectl upgrade, \
             or give this one another name with --instance)",
            recall(FACT_SOURCE)
        );
        return Err(Failure::new(Exit::Runtime, message));
    }
    if recall(FACT_SETTINGS) != settings.fact() {
        return differs(format!("other settings: {}", recall(FACT_SETTINGS)));
    }
    let have = bundle::names(&layout.programs())?;
    if hook::programs(points)
        .iter()
        .any(|name| !have.iter().any(|h| h == name))
    {
        return differs(format!("the programs of another hook: {}", have.join(", ")));
    }
    Ok(())
}

/// Refuses to load over an instance that was loaded another way.
pub(crate) fn other_way(plan: &Plan, way: Way) -> anyhow::Error {
    let (instance, way) = (
        &plan.instance,
        match way {
            Way::Local => "without bpfman",
            Way::Bpfman => "through bpfman",
            Way::Granted => "by bpfman's own command",
        },
    );
    Failure::new(
        Exit::Runtime,
        format!(
            "{instance} is loaded {way} (run: sudo dns-tracectl unload --instance {instance}, \
             or give this one another name with --instance)"
        ),
    )
}

/// Takes back what was done so far, unless told to forget it.
#[derive(Debug)]
struct Undo<'a> {
    layout: Option<&'a Layout>,
    whole: bool,
    spots: Vec<(Spot, u32)>,
}

impl<'a> Undo<'a> {
    const fn new(layout: &'a Layout, was_loaded: bool) -> Self {
        Self {
            layout: Some(layout),
            whole: !was_loaded,
            spots: Vec::new(),
        }
    }

    fn forget(&mut self) {
        self.layout = None;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let Some(layout) = self.layout else { return };
        // The error that brought us here is the one to report; what this cannot remove the next
        // run finds and names.
        if self.whole {
            let _ = remove_local(layout);
            return;
        }
        for (spot, id) in self.spots.iter().rev() {
            let _ = local::detach(layout, spot, Some(*id));
        }
    }
}
