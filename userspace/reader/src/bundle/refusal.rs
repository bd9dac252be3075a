//! Who is kept out of a folder or a pin, and what lets them in.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Gid, Group};

/// What mends a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Become a member of the group that may read.
    Join(String),
    /// The group that may read has no entry here: it was removed, or this is a container.
    Nameless(u32),
    /// The folder is root's group's, or closed to a group that this process is in already: it is the
    /// bundle that has to change hands.
    Grant,
}

impl Remedy {
    /// Asks the deepest part of a path that can be looked at: that is what keeps this process out,
    /// since a folder without permission to enter hides what is below it.
    pub(super) fn of(path: &Path) -> Self {
        let gid = path
            .ancestors()
            .find_map(|part| part.metadata().ok())
            .map_or(0, |metadata: Metadata| metadata.gid());
        if gid == 0 || is_member(gid) {
            Self::Grant
        } else {
            name(gid).map_or(Self::Nameless(gid), Self::Join)
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join(group) => write!(
                f,
                "you are not in group {group}; run: sudo usermod -aG {group} $USER, then log in \
                 again"
            ),
            Self::Nameless(gid) => write!(
                f,
                "group {gid} may read, and has no name here; run this process with that group, or hand \
                 the bundle over to another: sudo dns-tracectl grant --help"
            ),
            Self::Grant => f.write_str(
                "it is not handed over to any group of yours; run: sudo dns-tracectl grant --help",
            ),
        }
    }
}

/// The group's name, if it has one.
fn name(gid: u32) -> Option<String> {
    let group = Group::from_gid(Gid::from_raw(gid)).ok()??;
    Some(group.name)
}

fn is_member(gid: u32) -> bool {
    let effective = rustix::process::getegid().as_raw() == gid;
    let groups = rustix::process::getgroups().unwrap_or_default();
    effective || groups.iter().any(|group| group.as_raw() == gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_an_entry_has_no_name() {
        assert_eq!(name(0).as_deref(), Some("root"));
        assert_eq!(name(4_000_000_001), None);
    }

    #[test]
    fn own_groups_need_no_joining() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("not/there");
        assert_eq!(Remedy::of(&inside), Remedy::Grant);
    }
}
