//! How programs are attached through the daemon, and what is remembered of it beside the pins: the daemon
//! does not tell where a link leads, nor with what priority and actions it was made.

use std::path::Path;

use anyhow::{Context, Result};
use dns_trace_bpfman::{Attach, Direction as Towards, Place};

use crate::{
    bundle::{Layout, Way, note},
    commands::load::ProceedOn,
    hook::{Direction, Hook, Point},
    instance::Spot,
    local::Netns,
};

/// How to attach, but for the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) priority: u16,
    pub(super) proceed_on: ProceedOn,
}

impl Manner {
    /// As `load` does it by default, for links of which nothing is remembered.
    pub(super) fn unknown() -> Self {
        Self {
            priority: 50,
            proceed_on: ProceedOn::default(),
        }
    }

    /// What to ask of the daemon for one place.
    pub(super) fn attach(&self, iface: &str, ns: &Netns, point: &Point) -> Attach {
        let place = Place {
            iface: iface.to_owned(),
            priority: i32::from(self.priority),
            netns: ns.path().map(Path::to_owned),
        };
        let direction = match point.direction {
            Direction::Ingress => Towards::Ingress,
            Direction::Egress => Towards::Egress,
        };
        if point.hook.is_function() {
            return Attach::Fentry;
        }
        match (point.hook, point.hook.tracepoint()) {
            (_, Some((category, name))) => Attach::Tracepoint(format!("{category}/{name}")),
            (Hook::Xdp, _) => Attach::Xdp {
                place,
                proceed_on: self.proceed_on.xdp.clone(),
            },
            (Hook::Tc, _) => Attach::Tc {
                place,
                direction,
                proceed_on: self.proceed_on.tc.clone(),
            },
            _ => Attach::Tcx { place, direction },
        }
    }
}

/// What stands in bpffs for a link: its id in the daemon, and how it was made. The actions are those that
/// were asked for, of xdp or of tc.
fn link_note(link: u32, manner: &Manner) -> String {
    let Manner {
        priority,
        proceed_on,
    } = manner;
    let mut note = format!("link-{link}-priority-{priority}");
    if *proceed_on != ProceedOn::default() {
        note.push_str(&format!("-proceed-on-{proceed_on}"));
    }
    note
}

/// Reads such a note.
pub(super) fn parse_note(note: &str) -> Option<(u32, Manner)> {
    let (link, rest) = note.strip_prefix("link-")?.split_once("-priority-")?;
    let (priority, actions) = rest.split_once("-proceed-on-").unwrap_or((rest, ""));
    let words: Vec<String> = actions
        .split(',')
        .filter(|w| !w.is_empty())
        .map(str::to_owned)
        .collect();
    let manner = Manner {
        priority: priority.parse().ok()?,
        proceed_on: ProceedOn::of_words(&words).ok()?,
    };
    Some((link.parse().ok()?, manner))
}

/// Writes down which link it is that a path stands for.
pub(super) fn note_link(path: &Path, link: u32, manner: &Manner) -> Result<()> {
    if std::fs::symlink_metadata(path).is_ok() {
        std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    std::os::unix::fs::symlink(link_note(link, manner), path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The daemon's id of the link at a spot.
pub(super) fn link_at(layout: &Layout, spot: &Spot) -> Option<u32> {
    parse_note(&note(&layout.link(Way::Bpfman, spot))?).map(|(link, _)| link)
}

/// How the link at a spot was made.
pub(super) fn manner_at(layout: &Layout, spot: &Spot) -> Option<Manner> {
    parse_note(&note(&layout.link(Way::Bpfman, spot))?).map(|(_, manner)| manner)
}

/// The priority of the link at a spot, as asked for at load.
pub(crate) fn priority_at(layout: &Layout, spot: &Spot) -> Option<u32> {
    manner_at(layout, spot).map(|manner| manner.priority.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back() {
        for words in [vec![], vec!["pass", "pipe", "dispatcher_return"]] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let manner = Manner {
                priority: 50,
                proceed_on: ProceedOn::of_words(&words).unwrap(),
            };
            assert_eq!(parse_note(&link_note(7, &manner)), Some((7, manner)));
        }
        // What earlier releases wrote.
        assert_eq!(parse_note("link-7-priority-50").unwrap().0, 7);
        for text in [
            "",
            "link-7",
            "link-7-priority-",
            "link--priority-5",
            "link-7-priority-5-proceed-on-jump",
        ] {
            assert_eq!(parse_note(text), None, "{text}");
        }
    }
}
