//! Whether packets still reach the programs. The reader may not ask the kernel what is attached, but it may
//! compare: devices count packets, and so do the programs. If those go on and these stand still, somebody has
//! detached the programs, or packets pass them by: dropped or redirected by an XDP program before them, or
//! handled by the hardware. Which of these it is cannot be told from here, and is not said. A device without
//! traffic proves nothing, and nothing is said of it.
//!
//! Where programs are attached, the names in the bundle's folders of links say. Only devices of the reader's
//! own network namespace can be looked at; of the others, `dns-tracectl status` knows.

mod devices;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dns_trace_event::{BPFMAN_DIR, LINKS_DIR, LOCAL_DIR};

use devices::Devices;

/// Looks in a row at which devices count packets and programs do not. Two, since a driver may add packets to
/// its counters later than it hands them on.
const MISSES: u32 = 2;

/// Why nothing is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A device is gone.
    Gone {
        /// The index that it had.
        ifindex: u32,
    },
    /// Devices count packets that no program has seen.
    Silent,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { ifindex } => {
                write!(f, "interface {ifindex} is gone from this network namespace")
            }
            Self::Silent => f.write_str("interfaces count packets, the programs none"),
        }
    }
}

/// A direction of a device at which a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    ifindex: u32,
    ingress: bool,
}

/// Compares.
#[derive(Debug)]
pub struct Heartbeat {
    links: [PathBuf; 2],
    devices: Devices,
    /// Every side at which a program was seen to be attached, also where the name has gone since: a link of
    /// TCX or XDP that loses its pin is detached.
    attached: Vec<Side>,
    last: Vec<(Side, u64)>,
    /// Devices that were gone at the last look.
    gone: Vec<u32>,
    judge: Judge,
}

impl Heartbeat {
    /// For an instance. To be made before the process is confined.
    #[must_use]
    pub fn new(root: &Path, instance: &str) -> Self {
        let folder = root.join(instance);
        Self {
            links: [LOCAL_DIR, BPFMAN_DIR].map(|way| folder.join(way).join(LINKS_DIR)),
            devices: Devices::new(),
            attached: Vec::new(),
            last: Vec::new(),
            gone: Vec::new(),
            judge: Judge::default(),
        }
    }

    /// Begins anew: with other programs, or none.
    pub fn reset(&mut self) {
        self.attached.clear();
        self.last.clear();
        self.gone.clear();
        self.judge = Judge::default();
    }

    /// Looks at the devices, and then at what the programs have counted so far. What has changed, if
    /// something has: a trouble, or the end of it.
    ///
    /// Without devices to compare with, as for host-wide programs, `counted` is not called: it would prove
    /// nothing, and `bpf()` on a map keeps tracepoint programs from running meanwhile.
    ///
    /// # Errors
    /// Of `counted`.
    pub fn look<E>(
        &mut self,
        counted: impl FnOnce() -> Result<u64, E>,
    ) -> Result<Option<Option<Trouble>>, E> {
        // The devices first: what they count until then, programs have counted when they are asked.
        let (sides, gone) = self.sides();
        let moved = moved(&self.last, &sides);
        self.last = sides;
        let stays_gone = stays_gone(&self.gone, &gone);
        self.gone = gone;
        let counted = if self.last.is_empty() {
            None
        } else {
            Some(counted()?)
        };
        Ok(self.judge.look(stays_gone, moved, counted))
    }

    /// The packets of each side, and the devices that are gone.
    fn sides(&mut self) -> (Vec<(Side, u64)>, Vec<u32>) {
        let mut pinned = Vec::new();
        for folder in &self.links {
            // Not there where the other way was taken, or the bundle was loaded by hand.
            let _ = attached_at(folder, self.devices.netns(), &mut pinned);
        }
        self.attached.extend(&pinned);
        self.attached.sort_unstable();
        self.attached.dedup();
        let table = self.devices.read();
        let mut sides = Vec::with_capacity(self.attached.len());
        let mut gone = Vec::new();
        self.attached
            .retain(|&side| match table.packets(side.ifindex) {
                Ok(Some((received, sent))) => {
                    sides.push((side, if side.ingress { received } else { sent }));
                    true
                }
                // Without its link: somebody has put it in order.
                Ok(None) if !pinned.contains(&side) => false,
                Ok(None) => {
                    gone.push(side.ifindex);
                    true
                }
                Err(()) => true,
            });
        (sides, gone)
    }
}

/// A device that was gone at the last look and is now. Whoever follows devices (`dns-tracectl load
/// --follow`) takes the links of one that goes away soon after it, and that is no trouble.
fn stays_gone(before: &[u32], now: &[u32]) -> Option<u32> {
    now.iter().copied().find(|ifindex| before.contains(ifindex))
}

/// Packets that were added on sides that are in both lists.
fn moved(before: &[(Side, u64)], now: &[(Side, u64)]) -> u64 {
    let added = now.iter().map(|(side, packets)| {
        let last = before.iter().find(|(other, _)| other == side);
        last.map_or(0, |(_, last)| packets.saturating_sub(*last))
    });
    added.sum()
}

/// The places in a folder of links that lie in a network namespace, by its inode number.
fn attached_at(folder: &Path, netns: Option<u64>, sides: &mut Vec<Side>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(side) = name.to_str().and_then(|name| side_of(name, netns?)) {
            sides.push(side);
        }
    }
    sides.sort_unstable();
    sides.dedup();
    Ok(())
}

/// Reads `<hook>-<direction>-<ifindex>-<netns inode>`. Host-wide hooks have the index 0.
fn side_of(name: &str, netns: u64) -> Option<Side> {
    let mut fields = name.split('-').skip(1);
    let ingress = match fields.next()? {
        "ingress" => true,
        "egress" => false,
        _ => return None,
    };
    let ifindex = fields.next()?.parse().ok().filter(|index| *index != 0)?;
    let inode: u64 = fields.next()?.parse().ok()?;
    (inode == netns).then_some(Side { ifindex, ingress })
}

/// Draws the conclusion.
#[derive(Debug, Default)]
struct Judge {
    counted: Option<u64>,
    misses: u32,
    trouble: Option<Trouble>,
}

impl Judge {
    fn look(
        &mut self,
        gone: Option<u32>,
        moved: u64,
        counted: Option<u64>,
    ) -> Option<Option<Trouble>> {
        let before = std::mem::replace(&mut self.counted, counted);
        let beats = before.is_some() && counted.is_some() && before != counted;
        if beats {
            self.misses = 0;
        } else if moved > 0 && before.is_some() {
            self.misses += 1;
        }
        let silent = if self.misses >= MISSES {
            Some(Trouble::Silent)
        } else if beats {
            None
        } else {
            // Nothing new: what was silent still is.
            self.trouble.filter(|trouble| *trouble == Trouble::Silent)
        };
        let trouble = gone.map(|ifindex| Trouble::Gone { ifindex }).or(silent);
        let changed = trouble != self.trouble;
        self.trouble = trouble;
        changed.then_some(trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Option<Option<Trouble>> = Some(Some(Trouble::Silent));

    #[test]
    fn two_looks_with_traffic_that_no_program_sees_are_trouble() {
        let mut judge = Judge::default();
        assert_eq!(judge.look(None, 0, Some(10)), None);
        assert_eq!(judge.look(None, 5, Some(15)), None);
        assert_eq!(judge.look(None, 5, Some(15)), None);
        assert_eq!(judge.look(None, 5, Some(15)), SILENT);
        assert_eq!(judge.look(None, 5, Some(15)), None, "it is said once");
        assert_eq!(judge.look(None, 0, Some(15)), None, "and is not over yet");
        assert_eq!(judge.look(None, 5, Some(16)), Some(None));
    }

    #[test]
    fn no_traffic_is_no_trouble() {
        let mut judge = Judge::default();
        for _ in 0..10 {
            assert_eq!(judge.look(None, 0, Some(10)), None);
        }
        // Counted late by the driver, once.
        assert_eq!(judge.look(None, 1, Some(10)), None);
        assert_eq!(judge.look(None, 0, Some(10)), None);
        assert_eq!(judge.look(None, 1, Some(11)), None);
        assert_eq!(judge.look(None, 1, Some(11)), None);
    }

    #[test]
    fn a_device_that_goes_with_its_links_is_no_trouble() {
        assert_eq!(stays_gone(&[], &[7]), None);
        assert_eq!(stays_gone(&[7], &[]), None);
        assert_eq!(stays_gone(&[7], &[8]), None, "one after the other");
        assert_eq!(stays_gone(&[7, 8], &[8, 9]), Some(8));
    }

    #[test]
    fn a_device_that_stays_gone_is_trouble() {
        let mut judge = Judge::default();
        let gone = Trouble::Gone { ifindex: 7 };
        assert_eq!(judge.look(Some(7), 0, Some(10)), Some(Some(gone)));
        assert_eq!(judge.look(Some(7), 0, Some(20)), None);
        assert_eq!(judge.look(None, 0, Some(20)), Some(None));
    }

    #[test]
    fn programs_are_asked_only_if_there_is_a_device_to_compare_with() {
        let mut heartbeat = Heartbeat::new(Path::new("/nowhere"), "default");
        let change = heartbeat.look(|| Err("asked for nothing"));
        assert_eq!(change, Ok(None));
    }

    #[test]
    fn only_sides_that_were_there_before_have_moved() {
        let side = |ifindex, ingress| Side { ifindex, ingress };
        let before = [(side(1, true), 10), (side(1, false), 20)];
        let now = [
            (side(1, true), 13),
            (side(1, false), 20),
            (side(2, true), 99),
        ];
        assert_eq!(moved(&before, &now), 3);
        assert_eq!(moved(&now, &before), 0, "counters that begin anew");
    }

    #[test]
    fn places_are_read_from_names() {
        let side = |ifindex, ingress| Some(Side { ifindex, ingress });
        assert_eq!(
            side_of("tcx-ingress-3-4026531840", 4_026_531_840),
            side(3, true)
        );
        assert_eq!(
            side_of("tc-egress-3-4026531840", 4_026_531_840),
            side(3, false)
        );
        assert_eq!(side_of("tc-egress-3-4026531840", 1), None);
        assert_eq!(side_of("tracepoint-egress-0-0", 0), None);
        assert_eq!(side_of("maps.debug", 1), None);
    }
}
