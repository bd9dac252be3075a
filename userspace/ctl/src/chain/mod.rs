//! Who stands at a hook, in the order in which the kernel runs them: XDP before TCX before clsact,
//! each with programs that are not ours. Only looks; attaching is for [`crate::local`] and the daemon.

mod dispatcher;
mod owner;
mod raw;
mod taken;

use anyhow::{Context, Result};
use aya::programs::{ProgramInfo, SchedClassifier, loaded_programs};
use serde::Serialize;

#[cfg(test)]
pub(crate) use owner::Process;
pub(crate) use owner::{Known, Owner};
pub(crate) use taken::refuse_taken;

use crate::{
    exit,
    hook::{Direction, Hook},
    local::{Netns, filters, xdp_programs},
};

/// A program at a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Neighbour {
    /// Name in the kernel, or the kind of a tc filter that has no program.
    pub(crate) name: String,
    /// Kernel id, where it is a BPF program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u32>,
    /// Lower runs first: priority of a tc filter, or run priority in libxdp's dispatcher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<u32>,
    /// Handle of a tc filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handle: Option<u32>,
    /// Outcomes after which the next program of the dispatcher runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) proceed_on: Vec<&'static str>,
    /// Mode of an XDP program: `driver`, `generic` or `hardware`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<&'static str>,
    /// Whose it is; `None` for filters without a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<Owner>,
    /// What a dispatcher calls, in order. Whether it is one tells [`Self::is_dispatcher`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) slots: Vec<Self>,
    /// Whether it only calls others.
    pub(crate) is_dispatcher: bool,
}

/// The programs of one hook of an interface, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Chain {
    /// Which hook: `xdp`, `tcx` or `tc`.
    pub(crate) hook: &'static str,
    /// The programs.
    pub(crate) programs: Vec<Neighbour>,
}

impl Neighbour {
    /// A filter of which nothing but the name is known.
    pub(crate) const fn named(name: String) -> Self {
        Self {
            name,
            id: None,
            priority: None,
            handle: None,
            proceed_on: Vec::new(),
            mode: None,
            owner: None,
            slots: Vec::new(),
            is_dispatcher: false,
        }
    }
}

impl Chain {
    /// The programs that look at packets, dispatchers left out.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &Neighbour> {
        self.programs.iter().flat_map(|p| {
            let whole: &[Neighbour] = std::slice::from_ref(p);
            if p.is_dispatcher { &p.slots } else { whole }
        })
    }
}

/// Where to look.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The namespace.
    pub(crate) ns: &'a Netns,
    /// Name of the interface.
    pub(crate) iface: &'a str,
    /// Its index.
    pub(crate) ifindex: u32,
}

/// The hooks of a direction at which somebody stands, in the order in which packets pass them. A
/// hook that this kernel does not have is left out.
pub(crate) fn of(place: &Place<'_>, direction: Direction, known: &Known) -> Result<Vec<Chain>> {
    let hooks: &[Hook] = match direction {
        Direction::Ingress => &[Hook::Xdp, Hook::Tcx, Hook::Tc],
        Direction::Egress => &[Hook::Tcx, Hook::Tc],
    };
    let mut chains = Vec::new();
    for hook in hooks {
        let programs = at(place, *hook, direction, known)?;
        if !programs.is_empty() {
            chains.push(Chain {
                hook: hook.name(),
                programs,
            });
        }
    }
    Ok(chains)
}

/// The programs of one hook, in order.
pub(crate) fn at(
    place: &Place<'_>,
    hook: Hook,
    direction: Direction,
    known: &Known,
) -> Result<Vec<Neighbour>> {
    let listed = listed(place, hook, direction)
        .with_context(|| format!("cannot list the {hook} programs of {}", place.iface))?;
    let links = if hook == Hook::Tcx || listed.is_empty() {
        Vec::new()
    } else {
        raw::links()?
    };
    let describe = |mut neighbour: Neighbour| {
        let Some(info) = neighbour.id.and_then(info_of) else {
            return neighbour;
        };
        neighbour.name = name_of(&info);
        neighbour.owner = Some(known.owner(&info));
        if dispatcher::is_one(hook, &neighbour.name) {
            neighbour.is_dispatcher = true;
            neighbour.slots = slots(hook, &info, &links, known);
            neighbour.owner = dispatcher_owner(place, hook, &neighbour).or(neighbour.owner);
            if neighbour.owner == Some(Owner::Libxdp) {
                return neighbour;
            }
            neighbour.slots.iter_mut().for_each(|s| s.priority = None);
        }
        neighbour
    };
    Ok(listed.into_iter().map(describe).collect())
}

/// What the kernel lists, without owners and without what dispatchers call.
fn listed(place: &Place<'_>, hook: Hook, direction: Direction) -> Result<Vec<Neighbour>> {
    place.ns.run(|| match hook {
        Hook::Tcx if !crate::kernel::has_tcx()? => Ok(Vec::new()),
        Hook::Tcx => {
            let (_, programs) = SchedClassifier::query_tcx(place.iface, direction.into())?;
            let neighbour = |info: &ProgramInfo| Neighbour {
                id: Some(info.id()),
                ..Neighbour::named(name_of(info))
            };
            Ok(programs.iter().map(neighbour).collect())
        }
        Hook::Tc => {
            let neighbour = |filter: crate::local::Filter| Neighbour {
                id: filter.program,
                priority: Some(filter.priority.into()),
                handle: Some(filter.handle),
                ..Neighbour::named(exit::clean(&filter.name.unwrap_or(filter.kind)))
            };
            let filters = filters(place.ifindex, direction)?;
            Ok(filters.into_iter().map(neighbour).collect())
        }
        Hook::Xdp => {
            let neighbour = |(mode, id): (&'static str, u32)| Neighbour {
                id: Some(id),
                mode: Some(mode),
                ..Neighbour::named(info_of(id).map_or_else(|| "?".to_owned(), |i| name_of(&i)))
            };
            let programs = xdp_programs(place.ifindex)?;
            Ok(programs.into_iter().map(neighbour).collect())
        }
        Hook::DevQueue | Hook::ReceiveSkb | Hook::UdpSend | Hook::Udp6Send | Hook::TcpSend => {
            Ok(Vec::new())
        }
    })
}

/// What a dispatcher calls.
fn slots(hook: Hook, info: &ProgramInfo, links: &[raw::Link], known: &Known) -> Vec<Neighbour> {
    let mut constants = dispatcher::slots(hook, info).into_iter();
    let programs = dispatcher::extensions(links, info.id()).into_iter();
    let slot = |id| {
        let constants = constants.next().unwrap_or_default();
        let info = info_of(id);
        Neighbour {
            id: Some(id),
            priority: constants.priority,
            proceed_on: constants.proceed_on,
            owner: info.as_ref().map(|info| known.owner(info)),
            ..Neighbour::named(info.map_or_else(|| "?".to_owned(), |info| name_of(&info)))
        }
    };
    programs.map(slot).collect()
}

/// A dispatcher belongs to whoever pinned it, or to the one whose programs it calls.
fn dispatcher_owner(place: &Place<'_>, hook: Hook, dispatcher: &Neighbour) -> Option<Owner> {
    let of_bpfman =
        |n: &Neighbour| matches!(n.owner, Some(Owner::Bpfman { .. } | Owner::DnsTrace { .. }));
    if hook == Hook::Tc || dispatcher.slots.iter().any(of_bpfman) {
        return Some(Owner::bpfman());
    }
    dispatcher::owner(place.ifindex, place.ns.inode(), dispatcher.id?)
}

fn name_of(info: &ProgramInfo) -> String {
    exit::clean(info.name_as_str().unwrap_or("?"))
}

/// What the kernel says of a program; `None` if it is gone.
fn info_of(id: u32) -> Option<ProgramInfo> {
    loaded_programs()
        .filter_map(Result::ok)
        .find(|info| info.id() == id)
}
