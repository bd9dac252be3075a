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
            Self::Join(name(gid))
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
            Self::Grant => f.write_str(
                "it is not handed over to any group of yours; run: sudo dns-tracectl grant --help",
            ),
        }
    }
}

/// The group's name, or its number if it has none.
fn name(gid: u32) -> String {
    match Group::from_gid(Gid::from_raw(gid)) {
        Ok(Some(group)) => group.name,
        Ok(None) | Err(_) => gid.to_string(),
    }
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
    fn a_group_without_a_name_is_its_number() {
        assert_eq!(name(0), "root");
        assert_eq!(name(4_000_000_001), "4000000001");
    }

    #[test]
    fn own_groups_need_no_joining() {
        let root = tempfile::tempdir().unwrap();
        let inside = root.path().join("not/there");
        assert_eq!(Remedy::of(&inside), Remedy::Grant);
    }
}
