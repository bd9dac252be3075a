//! What `load` says when it is done.

use std::{fmt, path::PathBuf};

use dns_trace_event::ABI_VERSION;

use super::Wanted;
use crate::{
    bundle::{Granted, Group, Way},
    hook::{Direction, Hook},
    instance::Instance,
    local::LoadedProgram,
};

/// An attachment, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) iface: String,
    pub(crate) hook: Hook,
    pub(crate) direction: Direction,
}

impl From<&Wanted> for Attached {
    fn from(Wanted { iface, spot, .. }: &Wanted) -> Self {
        Self {
            iface: iface.clone(),
            hook: spot.hook,
            direction: spot.direction,
        }
    }
}

/// What was done.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) instance: Instance,
    pub(crate) way: Way,
    pub(crate) source: String,
    pub(crate) programs: Vec<LoadedProgram>,
    /// Whether the programs were in the kernel before.
    pub(crate) was_loaded: bool,
    /// What was attached now.
    pub(crate) attached: Vec<Attached>,
    pub(crate) granted: Granted,
    pub(crate) rings: Vec<PathBuf>,
    pub(crate) group: Group,
    /// What else to say, a line each.
    pub(crate) notes: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            source,
            group,
            ..
        } = self;
        let way = self.way.name();
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        if !self.was_loaded {
            writeln!(f, "loaded {instance} ({way}, {source}, ABI {ABI_VERSION})")?;
        } else if self.attached.is_empty() && self.granted == Granted::Already {
            return write!(
                f,
                "{instance} is loaded already ({way}, {source}): nothing to do"
            );
        } else {
            writeln!(f, "{instance} was loaded already ({way}, {source})")?;
        }
        for program in &self.programs {
            writeln!(f, "  program   {} (id {})", program.name, program.id)?;
        }
        for Attached {
            iface,
            hook,
            direction,
        } in &self.attached
        {
            let place = if iface.is_empty() {
                "every namespace"
            } else {
                iface
            };
            writeln!(f, "  attached  {place} {direction} ({hook})")?;
        }
        for ring in &self.rings {
            writeln!(f, "  ring      {}", ring.display())?;
        }
        writeln!(
            f,
            "  readers   members of the group {} (gid {})",
            group.name, group.gid
        )
    }
}
