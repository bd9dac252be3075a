//! Attaching the programs that the daemon keeps, and detaching them.

use anyhow::{Context, Result};
use dns_trace_bpfman::{Client, Program};

use super::{
    is_named, live_links,
    manner::{Manner, link_at, note_link},
    upgrade::put_in_order,
};
use crate::{
    bundle::{Layout, Way},
    commands::load::{Attached, Plan, Wanted},
    instance::Spot,
    local::Netns,
};

/// Where programs of an instance are attached, and how.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) client: &'a Client,
    pub(crate) layout: &'a Layout,
    pub(crate) ns: &'a Netns,
}

impl Places<'_> {
    /// Attaches to those of the places where the programs are not attached yet, and writes into `new` what
    /// to give [`Self::detach_all`] if this fails or is dropped half-way.
    pub(super) async fn attach_missing(
        &self,
        programs: &[Program],
        wanted: &[Wanted],
        new: &mut Vec<(Spot, u32)>,
    ) -> Result<Vec<Attached>> {
        let live = live_links(programs);
        let mut attached = Vec::new();
        for place in wanted {
            let Wanted { iface, spot, point } = place;
            if link_at(self.layout, spot).is_some_and(|link| live.contains(&link)) {
                continue;
            }
            let id = programs
                .iter()
                .find(|p| is_named(p, point.program))
                .map(|p| p.id)
                .with_context(|| format!("bpfman did not load the program {}", point.program))?;
            let attach = self.manner().attach(iface, self.ns, point);
            let link = self.client.attach(id, &attach).await?;
            new.push((*spot, link));
            self.note_link(spot, link)?;
            attached.push(place.into());
        }
        Ok(attached)
    }

    /// How to attach, but for the place.
    fn manner(&self) -> Manner {
        Manner {
            priority: self.plan.priority,
            proceed_on: self.plan.proceed_on.clone(),
        }
    }

    /// Takes back what [`Self::attach_missing`] did.
    pub(super) async fn detach_all(&self, new: &[(Spot, u32)]) {
        for (spot, link) in new.iter().rev() {
            // The error that brought us here is the one to report.
            let _ = self.client.detach(*link).await;
            let _ = std::fs::remove_file(self.layout.link(Way::Bpfman, spot));
        }
    }

    /// Attaches to those of the places where the programs of the instance are not attached yet; gives
    /// whether there were any. Where one fails, none of them stays attached.
    pub(crate) async fn attach(&self, wanted: &[Wanted]) -> Result<bool> {
        let programs = put_in_order(self.client, self.layout).await?;
        let mut new = Vec::new();
        let result = self.attach_missing(&programs, wanted, &mut new).await;
        if result.is_err() {
            self.detach_all(&new).await;
        }
        Ok(!result?.is_empty())
    }

    /// Takes an attachment away. The daemon may not find an interface any more that is gone; then what
    /// it remembers goes with the programs.
    pub(crate) async fn detach(&self, spot: &Spot) -> Result<()> {
        let link = link_at(self.layout, spot);
        let path = self.layout.link(Way::Bpfman, spot);
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        if let Some(link) = link {
            self.client.detach(link).await?;
        }
        Ok(())
    }

    /// Writes down which link is at a spot.
    pub(super) fn note_link(&self, spot: &Spot, link: u32) -> Result<()> {
        note_link(&self.layout.link(Way::Bpfman, spot), link, &self.manner())
    }
}
