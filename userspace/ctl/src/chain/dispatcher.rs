//! Dispatchers: programs of bpfman and libxdp that call up to ten others. Each of these is an extension
//! that replaces one function of the dispatcher; a constant of the dispatcher says after which
//! outcomes the next one runs.

use std::path::Path;

use aya::maps::{Array, Map, MapData, MapInfo};
use aya::programs::ProgramInfo;
use dns_trace_bpfman::{TcAction, XdpAction};

use super::{Owner, raw::Link, raw::Target};
use crate::hook::Hook;

/// Programs that a dispatcher of either kind calls at most.
pub(crate) const SLOTS: usize = 10;

/// Name of the entry point of both XDP dispatchers.
const XDP_NAME: &str = "xdp_dispatcher";
/// Name of bpfman's dispatcher for clsact.
const TC_NAME: &str = "tc_dispatcher";

/// Where bpfman 0.6.0 pins its XDP dispatcher's link, `dispatcher_<netns>_<ifindex>_link`.
const BPFMAN_XDP: &str = "/run/bpfman/fs/xdp";
/// Where libxdp pins its dispatchers, `dispatch-<ifindex>-<program id>`.
const LIBXDP: &str = "/sys/fs/bpf/xdp";

/// What a dispatcher does with one of its slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// Names of the outcomes after which the next slot runs.
    pub(super) proceed_on: Vec<&'static str>,
    /// Run priority. bpfman writes its default here, whatever was asked for.
    pub(super) priority: Option<u32>,
}

/// Whether a program of that name at that hook is a dispatcher.
pub(super) fn is_one(hook: Hook, name: &str) -> bool {
    matches!((hook, name), (Hook::Xdp, XDP_NAME) | (Hook::Tc, TC_NAME))
}

/// Programs of the dispatcher, in the order of its slots. The functions that they replace are defined
/// in that order (`prog0` to `prog9`), so their ids in BTF ascend.
pub(super) fn extensions(links: &[Link], dispatcher: u32) -> Vec<u32> {
    let mut found: Vec<(u32, u32)> = links
        .iter()
        .filter_map(|link| match link.target {
            Target::Program { id, function } if id == dispatcher => Some((function, link.program)),
            _ => None,
        })
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, program)| program).collect()
}

/// Whose XDP dispatcher it is, by where it is pinned; `None` where it cannot be told.
pub(super) fn owner(ifindex: u32, netns: u64, dispatcher: u32) -> Option<Owner> {
    let pinned = |path: String| Path::new(&path).exists();
    if pinned(format!("{LIBXDP}/dispatch-{ifindex}-{dispatcher}")) {
        Some(Owner::Libxdp)
    } else if pinned(format!("{BPFMAN_XDP}/dispatcher_{netns}_{ifindex}_link")) {
        Some(Owner::bpfman())
    } else {
        None
    }
}

/// What the dispatcher's constants say, slot by slot; empty where they cannot be read.
pub(super) fn slots(hook: Hook, info: &ProgramInfo) -> Vec<Slot> {
    let maps = info.map_ids().ok().flatten().unwrap_or_default();
    let constants = maps.into_iter().filter(|id| {
        MapInfo::from_id(*id)
            .is_ok_and(|info| info.name_as_str().is_some_and(|n| n.ends_with("rodata")))
    });
    constants
        .filter_map(|id| words(id, hook))
        .map(|(actions, priorities)| {
            let slot = |(mask, priority): (&u32, &u32)| Slot {
                proceed_on: outcomes(hook, *mask),
                priority: Some(*priority),
            };
            actions.iter().zip(&priorities).map(slot).collect()
        })
        .next()
        .unwrap_or_default()
}

type Words = [u32; SLOTS];

/// Actions and priorities of a dispatcher's constants. Version 2 of the XDP dispatcher (`struct
/// xdp_dispatcher_conf`) is four bytes, actions, priorities, flags; version 1 and bpfman's for clsact
/// lack the flags.
fn words(map: u32, hook: Hook) -> Option<(Words, Words)> {
    const WITH_FLAGS: usize = 1 + 3 * SLOTS;
    const WITHOUT: usize = 1 + 2 * SLOTS;
    let open = || Some(Map::Array(MapData::from_id(map).ok()?));
    let all: Vec<u32> = match MapInfo::from_id(map).ok()?.value_size() as usize / size_of::<u32>() {
        WITH_FLAGS if hook == Hook::Xdp => Array::<_, [u32; WITH_FLAGS]>::try_from(open()?)
            .ok()?
            .get(&0, 0)
            .ok()?
            .to_vec(),
        WITHOUT => Array::<_, [u32; WITHOUT]>::try_from(open()?)
            .ok()?
            .get(&0, 0)
            .ok()?
            .to_vec(),
        _ => return None,
    };
    let part = |from: usize| all.get(from..from + SLOTS)?.try_into().ok();
    Some((part(1)?, part(1 + SLOTS)?))
}

/// The outcomes in a mask. For clsact the bits are shifted by one, since `unspec` is -1.
fn outcomes(hook: Hook, mask: u32) -> Vec<&'static str> {
    let is_set = |bit: i32| u32::try_from(bit).is_ok_and(|bit| mask >> bit & 1 == 1);
    if hook == Hook::Xdp {
        let set = XdpAction::ALL.iter().filter(|a| is_set(a.code()));
        return set.map(|a| a.name()).collect();
    }
    let set = TcAction::ALL.iter().filter(|a| is_set(a.code() + 1));
    set.map(|a| a.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_in_the_order_of_their_functions() {
        let link = |program, id, function| Link {
            program,
            target: Target::Program { id, function },
        };
        let links = [link(7, 40, 22), link(9, 41, 1), link(8, 40, 21)];
        assert_eq!(extensions(&links, 40), [8, 7]);
        assert!(extensions(&links, 42).is_empty());
    }

    #[test]
    fn masks_are_read_as_the_dispatchers_write_them() {
        // bpfman's defaults: pass and dispatcher_return; pipe and dispatcher_return.
        assert_eq!(
            outcomes(Hook::Xdp, 1 << 2 | 1 << 31),
            ["pass", "dispatcher_return"]
        );
        assert_eq!(
            outcomes(Hook::Tc, 1 << 4 | 1 << 31),
            ["pipe", "dispatcher_return"]
        );
        assert!(outcomes(Hook::Tc, 0).is_empty());
    }
}
