//! Refusing what cannot coexist, before anything is touched: the message names the holder and the way
//! out.

use anyhow::Result;

use super::{Chain, Known, Neighbour, Owner, Place, at, dispatcher::SLOTS};
use crate::{
    bundle::Way,
    exit::{Exit, Failure},
    hook::Hook,
    instance::{Instance, Spot},
    local::has_qdisc,
};

/// Programs that the kernel takes at one TCX hook (`BPF_MPROG_MAX`).
const TCX_MAX: usize = 64;

/// Refuses a hook that somebody else holds alone, or at which there is no room. What this instance
/// has attached there is no obstacle.
pub(crate) fn refuse_taken(
    place: &Place<'_>,
    spot: &Spot,
    way: Way,
    instance: &Instance,
    known: &Known,
) -> Result<()> {
    let (hook, direction) = (spot.hook, spot.direction);
    if hook.is_host_wide() {
        return Ok(());
    }
    let refusal = |why: &str| {
        let (iface, ns) = (place.iface, place.ns);
        let message = format!("the {hook} {direction} hook of {iface} in {ns} {why}");
        Err(Failure::new(Exit::Runtime, message))
    };
    // Its handle is that of clsact, so the kernel takes one of the two.
    if hook == Hook::Tc && place.ns.run(|| has_qdisc(place.ifindex, "ingress"))? {
        return refusal(&format!(
            "is held by an ingress qdisc, beside which there is no clsact (use --hook tcx, or take it \
             away: tc qdisc del dev {} ingress)",
            place.iface
        ));
    }
    let chain = Chain {
        hook: hook.name(),
        programs: at(place, hook, direction, known)?,
    };
    let is_ours = |n: &Neighbour| matches!(&n.owner, Some(Owner::DnsTrace { instance: of }) if of == instance.as_str());
    if chain.leaves().any(is_ours) {
        return Ok(());
    }
    obstacle(hook, way, &chain, place.iface).map_or(Ok(()), |why| refusal(&why))
}

/// What stands in the way and what to do about it, as the end of a sentence. The way out stands before
/// lists, since long messages are cut.
fn obstacle(hook: Hook, way: Way, chain: &Chain, iface: &str) -> Option<String> {
    let elsewhere = "use --hook tcx or tc";
    match (hook, way) {
        (Hook::Tcx, _) if chain.programs.len() >= TCX_MAX => Some(format!(
            "has {TCX_MAX} programs, and the kernel takes no more (see: bpftool net; \
             take one away, or use --hook tc)"
        )),
        (Hook::Tc | Hook::Xdp, Way::Bpfman) if is_full(chain) => Some(format!(
            "has {SLOTS} programs of bpfman, which takes no more (take one away: bpfman detach, or use \
             --hook tcx): {}",
            names(chain)
        )),
        (Hook::Xdp, _) => {
            let holder = chain.programs.first()?;
            match (&holder.owner, way) {
                (Some(Owner::Bpfman { .. }), Way::Bpfman) if holder.is_dispatcher => None,
                (Some(Owner::Bpfman { .. }), _) if holder.is_dispatcher => Some(format!(
                    "is held by bpfman (load through it with --image, or {elsewhere}): {} calls {}",
                    described(holder),
                    names(chain)
                )),
                (Some(Owner::Libxdp), _) => Some(format!(
                    "is held by libxdp (take it away: xdp-loader unload {iface} --all, or {elsewhere}): \
                     {} calls {}",
                    described(holder),
                    names(chain)
                )),
                (Some(Owner::DnsTrace { instance }), _) => Some(format!(
                    "is held by {}, of the instance {instance}, and without bpfman there is room for one \
                     ({elsewhere} for one of them)",
                    described(holder)
                )),
                (owner, _) => Some(format!(
                    "is held by {}{}, which leaves no room for another (end what holds it, or: ip link \
                     set {iface} xdp off; or {elsewhere})",
                    described(holder),
                    owner
                        .as_ref()
                        .map(|o| format!(", of {o}"))
                        .unwrap_or_default()
                )),
            }
        }
        _ => None,
    }
}

fn is_full(chain: &Chain) -> bool {
    let full = |n: &Neighbour| n.is_dispatcher && n.slots.len() >= SLOTS;
    chain.programs.iter().any(full)
}

/// A program as `name (id 7)`.
fn described(neighbour: &Neighbour) -> String {
    match neighbour.id {
        Some(id) => format!("{} (id {id})", neighbour.name),
        None => neighbour.name.clone(),
    }
}

/// The programs with their owners, each once.
fn names(chain: &Chain) -> String {
    let one = |n: &Neighbour| match &n.owner {
        Some(owner) => format!("{} of {owner}", described(n)),
        None => described(n),
    };
    let mut all: Vec<String> = chain.leaves().map(one).collect();
    all.dedup();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str, id: u32, owner: Owner) -> Neighbour {
        Neighbour {
            id: Some(id),
            owner: Some(owner),
            ..Neighbour::named(name.to_owned())
        }
    }

    fn dispatcher(owner: Owner, slots: Vec<Neighbour>) -> Chain {
        let dispatcher = Neighbour {
            is_dispatcher: true,
            slots,
            ..program("xdp_dispatcher", 40, owner)
        };
        Chain {
            hook: "xdp",
            programs: vec![dispatcher],
        }
    }

    fn user() -> Owner {
        Owner::User {
            uid: Some(1000),
            process: None,
        }
    }

    #[test]
    fn a_native_program_is_named_with_its_loader() {
        let chain = Chain {
            hook: "xdp",
            programs: vec![program("firewall", 12, user())],
        };
        for way in [Way::Local, Way::Bpfman] {
            let why = obstacle(Hook::Xdp, way, &chain, "eth0").unwrap();
            assert!(why.contains("firewall (id 12), of uid 1000"), "{why}");
            assert!(why.contains("ip link set eth0 xdp off"), "{why}");
        }
    }

    #[test]
    fn dispatchers_take_their_own_only() {
        let slots = || vec![program("count", 38, user())];
        let theirs = dispatcher(Owner::bpfman(), slots());
        assert_eq!(obstacle(Hook::Xdp, Way::Bpfman, &theirs, "eth0"), None);
        let why = obstacle(Hook::Xdp, Way::Local, &theirs, "eth0").unwrap();
        assert!(
            why.contains("held by bpfman") && why.contains("count (id 38) of uid 1000"),
            "{why}"
        );
        let libxdp = dispatcher(Owner::Libxdp, slots());
        for way in [Way::Local, Way::Bpfman] {
            let why = obstacle(Hook::Xdp, way, &libxdp, "eth0").unwrap();
            assert!(why.contains("xdp-loader unload eth0 --all"), "{why}");
        }
    }

    #[test]
    fn the_eleventh_program_is_refused_and_the_tenth_is_not() {
        let slots = |n| (0..n).map(|id| program("count", id, user())).collect();
        for (number, full) in [(9, false), (10, true)] {
            for hook in [Hook::Xdp, Hook::Tc] {
                let chain = dispatcher(Owner::bpfman(), slots(number));
                assert_eq!(obstacle(hook, Way::Bpfman, &chain, "eth0").is_some(), full);
            }
        }
    }

    #[test]
    fn tcx_and_clsact_have_room_for_others() {
        let chain = |number: u32| Chain {
            hook: "tcx",
            programs: (0..number).map(|id| program("count", id, user())).collect(),
        };
        assert_eq!(obstacle(Hook::Tcx, Way::Local, &chain(63), "eth0"), None);
        assert_eq!(obstacle(Hook::Tc, Way::Local, &chain(63), "eth0"), None);
        assert!(obstacle(Hook::Tcx, Way::Local, &chain(64), "eth0").is_some());
    }
}
