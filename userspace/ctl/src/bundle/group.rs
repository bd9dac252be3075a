//! The group whose members may read.

use anyhow::{Context, Result};
use nix::unistd::Gid;

use crate::exit::{Exit, Failure};

/// A group of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Name; the number where it has none.
    pub(crate) name: String,
    /// Number.
    pub(crate) gid: u32,
    /// Members that the group's entry lists; those who have it as their first group are not there.
    pub(crate) members: Vec<String>,
}

impl From<nix::unistd::Group> for Group {
    fn from(group: nix::unistd::Group) -> Self {
        Self {
            name: group.name,
            gid: group.gid.as_raw(),
            members: group.mem,
        }
    }
}

impl Group {
    /// The group of that name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        nix::unistd::Group::from_name(name)
            .with_context(|| format!("cannot look up the group {name}"))?
            .map(Self::from)
            .ok_or_else(|| {
                let message = format!(
                    "there is no group {name}, whose members shall read (run: sudo groupadd --system {name})"
                );
                Failure::new(Exit::Missing, message)
            })
    }

    /// The group with that number.
    pub(crate) fn numbered(gid: u32) -> Self {
        nix::unistd::Group::from_gid(Gid::from_raw(gid))
            .ok()
            .flatten()
            .map_or_else(
                || Self {
                    name: gid.to_string(),
                    gid,
                    members: Vec::new(),
                },
                Self::from,
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_not_there_names_the_command() {
        let error = Group::named("no-such-group-here").unwrap_err();
        assert_eq!(crate::exit::code_of(&error), Exit::Missing);
        assert!(
            error
                .to_string()
                .contains("groupadd --system no-such-group-here"),
            "{error}"
        );
    }

    #[test]
    fn numbers_without_a_name_stay_numbers() {
        assert_eq!(Group::numbered(0).name, "root");
        assert_eq!(Group::numbered(4_000_000_123).name, "4000000123");
    }
}
