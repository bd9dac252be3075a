//! The programs that tell which process a socket belongs to: they are loaded beside the others where
//! that is possible. Where it is not, everything else works all the same, and the reason is said.

use anyhow::Result;

use super::{Attached, Plan};
use crate::{
    bundle::{Layout, Way},
    hook::{self, Point},
    instance::Spot,
};

/// Name of the fact: what became of them.
const FACT_OWNERS: &str = "owners";
/// Longest reason that is remembered, in characters.
const FACT_MAX: usize = 500;
/// The fact where all is well.
const TOLD: &str = "told";
/// The fact where nobody wants them.
const UNWANTED: &str = "left out by choice (--no-owners)";

/// What becomes of them in one load.
#[derive(Debug)]
pub(crate) struct Owners {
    wanted: bool,
    /// Why some or all of them are missing.
    refusals: Vec<String>,
}

impl Owners {
    pub(crate) const fn new(plan: &Plan) -> Self {
        Self {
            wanted: plan.owners,
            refusals: Vec::new(),
        }
    }

    /// Names of the programs to load.
    pub(crate) fn programs(&self) -> Vec<&'static str> {
        let owners = hook::owners();
        owners
            .iter()
            .filter(|_| self.wanted)
            .map(|p| p.program)
            .collect()
    }

    /// Where to write why one is missing.
    pub(crate) const fn refusals(&mut self) -> &mut Vec<String> {
        &mut self.refusals
    }

    /// Of the programs that are loaded, those that have to be attached, and where.
    pub(crate) fn points<'a>(
        loaded: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = (Point, Spot)> + 'a {
        let points = hook::owners().into_iter();
        points
            .filter(move |point| loaded(point.program))
            .map(|point| (point, spot(&point)))
    }

    /// Remembers what became of them, and says it if there is something to say.
    pub(crate) fn remember(self, layout: &Layout, way: Way, notes: &mut Vec<String>) -> Result<()> {
        let fact = match (self.wanted, self.refusals.first()) {
            (false, _) => UNWANTED.to_owned(),
            // A fact is the target of a symbolic link, and a daemon's reasons may be long.
            (true, Some(reason)) => reason.chars().take(FACT_MAX).collect(),
            (true, None) => TOLD.to_owned(),
        };
        layout.remember(way, FACT_OWNERS, &fact)?;
        notes.extend(self.refusals.first().map(|reason| note(reason)));
        Ok(())
    }

    /// What to say about those of an instance that was loaded before.
    pub(crate) fn recall(&self, layout: &Layout, way: Way) -> Option<String> {
        let now = self.refusals.first().map(|reason| note(reason));
        now.or_else(|| missing(layout, way)).filter(|_| self.wanted)
    }
}

/// Why an instance has none or not all of them.
pub(crate) fn missing(layout: &Layout, way: Way) -> Option<String> {
    let fact = layout.recall(way, FACT_OWNERS)?;
    (fact != TOLD).then(|| note(&fact))
}

fn note(reason: &str) -> String {
    format!("not every lookup will have its process: {reason}")
}

const fn spot(point: &Point) -> Spot {
    Spot {
        hook: point.hook,
        direction: point.direction,
        ifindex: 0,
        netns: 0,
    }
}

impl From<Spot> for Attached {
    fn from(spot: Spot) -> Self {
        Self {
            iface: String::new(),
            hook: spot.hook,
            direction: spot.direction,
        }
    }
}
