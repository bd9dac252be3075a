//! Names that stand in paths of bpffs: instances, and the places where something is attached.

use std::{fmt, str::FromStr};

use crate::hook::{Direction, Hook};

/// Name of an instance: a folder of bpffs, which allows no dots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instance(String);

impl Instance {
    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Instance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let first = text
            .chars()
            .next()
            .is_some_and(|c| c.is_ascii_alphanumeric());
        let rest = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if first && rest && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "a name has 1 to 64 letters, digits, hyphens and underscores, \
                 and starts with a letter or digit"
                    .to_owned(),
            )
        }
    }
}

/// Where a program is attached. Its text is the name of a pin:
/// `<hook>-<direction>-<ifindex>-<netns inode>`, both numbers 0 where the hook is host-wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// Kind of hook.
    pub(crate) hook: Hook,
    /// Direction.
    pub(crate) direction: Direction,
    /// Index of the interface in its namespace.
    pub(crate) ifindex: u32,
    /// Inode of the network namespace, as `ls -i /run/netns` shows it.
    pub(crate) netns: u64,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}-{}-{}-{}",
            self.hook, self.direction, self.ifindex, self.netns
        )
    }
}

impl FromStr for Spot {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut fields = text.split('-');
        let mut next = || fields.next().ok_or(());
        let spot = Self {
            hook: next()?.parse()?,
            direction: next()?.parse()?,
            ifindex: next()?.parse().map_err(drop)?,
            netns: next()?.parse().map_err(drop)?,
        };
        // Only what we would have written ourselves: no fifth field, no leading zero or plus.
        if spot.to_string() == text {
            Ok(spot)
        } else {
            Err(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_names_are_safe_in_paths() {
        for good in ["default", "a", "node-1_x", &"x".repeat(64)] {
            assert!(good.parse::<Instance>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a.b",
            "a/b",
            "-a",
            "_lock",
            "_mounted",
            "a b",
            "ä",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<Instance>().is_err(), "{bad}");
        }
    }

    #[test]
    fn spots_come_back() {
        for hook in Hook::ALL {
            let spot = Spot {
                hook,
                direction: Direction::Egress,
                ifindex: 7,
                netns: 4_026_531_840,
            };
            assert_eq!(spot.to_string().parse(), Ok(spot));
        }
    }

    #[test]
    fn foreign_names_are_no_spots() {
        for text in [
            "",
            "tcx",
            "tcx-ingress-1",
            "tcx-ingress-1-2-3",
            "tcx-ingress-01-2",
            "tcx-ingress-+1-2",
            "tcx-ingress--1-2",
            "nfq-ingress-1-2",
            "tcx-up-1-2",
        ] {
            assert_eq!(text.parse::<Spot>(), Err(()), "{text}");
        }
    }
}
