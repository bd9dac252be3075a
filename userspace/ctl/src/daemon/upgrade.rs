//! Other programs for an instance, through the daemon, which can neither replace a program in its place nor
//! let it use maps that are there. So the new programs are put beside the old ones, with rings of their own:
//!
//! 1. They are loaded, of the next generation.
//! 2. Their rings are handed over beside the others, and a reader takes them up.
//! 3. They are attached wherever the old ones are. Packets are seen by both from then on; the reader tells
//!    them once.
//! 4. The instance's generation becomes theirs. What fails before is undone; who is interrupted after that
//!    leaves the rest to the next command.
//! 5. The old programs are unloaded, and their rings removed.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use dns_trace_bpfman::{Client, Program, Source};
use tokio::time::{Instant, sleep};

use super::{
    FACT_GENERATION, described, generation, generation_of, is_named, live_links,
    load::{interruptible, source_text},
    manner::{Manner, manner_at, note_link, parse_note},
    programs_of,
    request::{Request, with_login},
};
use crate::{
    bundle::{
        Layout, RingMaps, Way, add_rings, granted, holder_of, make_folder, names, note,
        remove_rings_but, rings_of,
    },
    commands::{FACT_SOURCE, Settings, load::FACT_SETTINGS},
    exit::{Exit, Failure, code_of, one_line},
    hook::{Point, program_at},
    instance::Spot,
    local::{self, LoadedProgram, Netns},
};

/// How long a reader may take until it reads the new rings; it looks every two seconds.
const TAKE_UP: Duration = Duration::from_secs(15);
/// How long both programs stand at a place at least: more than the reader allows between the two records of
/// a packet.
const OVERLAP: Duration = Duration::from_millis(200);

/// What an upgrade did.
pub(crate) struct Upgraded {
    /// The programs before.
    pub(crate) old: Vec<LoadedProgram>,
    /// The programs now.
    pub(crate) new: Vec<LoadedProgram>,
    /// Where the new ones come from.
    pub(crate) source: String,
}

/// Replaces every program of the instance; `None` if nothing is to be done since they came from there.
pub(crate) async fn upgrade(
    layout: &Layout,
    socket: &Path,
    source: &Source,
    again: bool,
) -> Result<Option<Upgraded>> {
    let client = Client::new(socket);
    client.probe().await?;
    let source = &with_login(source)?;
    let old = put_in_order(&client, layout).await?;
    let recall = |name| layout.recall(Way::Bpfman, name).unwrap_or_default();
    if recall(FACT_SOURCE) == source_text(source) && !again {
        return Ok(None);
    }
    let settings: Settings = recall(FACT_SETTINGS).parse()?;
    let turn = Turn {
        client: &client,
        layout,
        request: Request {
            client: &client,
            instance: layout.instance(),
            source,
            settings: &settings,
            generation: generation(layout) + 1,
        },
    };
    let new = match interruptible(turn.beside(&old)).await {
        Ok(new) => new,
        Err(error) => return Err(turn.undo(error).await),
    };
    // Not to be interrupted from here on; a process that is killed leaves the rest to the next command.
    sleep(OVERLAP).await;
    layout.turn_fact(
        Way::Bpfman,
        FACT_GENERATION,
        &turn.request.generation.to_string(),
    )?;
    put_in_order(&client, layout).await?;
    Ok(Some(Upgraded {
        old: described(old),
        new: described(new),
        source: source_text(source),
    }))
}

struct Turn<'a> {
    client: &'a Client,
    layout: &'a Layout,
    request: Request<'a>,
}

impl Turn<'_> {
    /// Puts the new programs beside the old ones.
    async fn beside(&self, old: &[Program]) -> Result<Vec<Program>> {
        let names: Vec<&str> = old
            .iter()
            .filter_map(|p| Some(p.managed.as_ref()?.name.as_str()))
            .collect();
        let new = self.request.load_sharing(&names).await?;
        let rings = rings_of(new.iter().map(|p| p.map_ids.as_slice()))?;
        rings.iter().try_for_each(RingMaps::check_abi)?;
        self.hand_over(&rings).await?;
        make_folder(&self.layout.links_next())?;
        for spot in self.layout.spots(Way::Bpfman)? {
            self.attach(&new, &spot).await?;
        }
        Ok(new)
    }

    /// Hands the new rings over, and waits until whoever reads the old ones reads them, too: before, nothing
    /// may come through them.
    async fn hand_over(&self, rings: &[RingMaps]) -> Result<()> {
        let before = granted(self.layout)?;
        let folders = add_rings(self.layout, rings)?;
        let Some(pid) = before.iter().find_map(|ring| holder_of(&ring.folder)) else {
            return Ok(());
        };
        let end = Instant::now() + TAKE_UP;
        while folders.iter().any(|folder| holder_of(folder).is_none()) {
            if before.iter().all(|ring| holder_of(&ring.folder).is_none()) {
                // It has ended meanwhile.
                return Ok(());
            }
            if Instant::now() > end {
                let message = format!(
                    "the reader (process {pid}) does not take up the new rings (end it if it is of an older \
                     release, then run this again); the old programs work on"
                );
                return Err(Failure::new(Exit::Runtime, message));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn attach(&self, new: &[Program], spot: &Spot) -> Result<()> {
        let point = Point {
            hook: spot.hook,
            direction: spot.direction,
            program: program_at(spot.hook, spot.direction),
        };
        // One of those that tell owners may have been refused at load.
        let Some(program) = new.iter().find(|p| is_named(p, point.program)) else {
            return Ok(());
        };
        let (ns, iface) = place(spot)?;
        let manner = manner_at(self.layout, spot).unwrap_or_else(Manner::unknown);
        let attach = manner.attach(&iface, &ns, &point);
        let link = self.client.attach(program.id, &attach).await?;
        let path = self.layout.links_next().join(spot.to_string());
        note_link(&path, link, &manner)
    }

    /// Takes back what was done before a failure; gives the error to report.
    async fn undo(&self, error: anyhow::Error) -> anyhow::Error {
        if put_in_order(self.client, self.layout).await.is_ok() {
            return error;
        }
        let message = format!(
            "{}; the daemon may keep what it loaded beside the old programs, which work on: once it runs again, \
             run the upgrade again",
            one_line(&error)
        );
        Failure::new(code_of(&error), message)
    }
}

/// Namespace and interface of a spot; any for the hooks of the whole host.
fn place(spot: &Spot) -> Result<(Netns, String)> {
    if spot.hook.is_host_wide() {
        return Ok((Netns::open(None)?, String::new()));
    }
    let found = Netns::find(spot.netns).and_then(|ns| {
        let iface = ns.iface(spot.ifindex)?;
        Some((ns, iface))
    });
    found.ok_or_else(|| {
        let message = format!(
            "the interface with index {} of a {} program is gone (run: sudo dns-tracectl unload, and load anew)",
            spot.ifindex, spot.hook
        );
        Failure::new(Exit::Missing, message)
    })
}

/// Removes the programs that are not of the instance's generation, with their rings; gives those that are.
/// That ends an upgrade, and puts in order what an interrupted one left.
pub(super) async fn put_in_order(client: &Client, layout: &Layout) -> Result<Vec<Program>> {
    let current = generation(layout);
    let all = programs_of(client, layout.instance()).await?;
    let (ours, others): (Vec<Program>, Vec<Program>) =
        all.into_iter().partition(|p| generation_of(p) == current);
    let next = layout.links_next();
    if others.is_empty() && !next.is_dir() {
        return Ok(ours);
    }
    settle_links(layout, &live_links(&ours))?;
    let ids: Vec<u32> = others.iter().map(|p| p.id).collect();
    for id in &ids {
        client.unload(*id).await?;
    }
    if layout.is_complete() {
        remove_rings_but(
            layout,
            &rings_of(ours.iter().map(|p| p.map_ids.as_slice()))?,
        )?;
        let source = ours
            .first()
            .and_then(|p| p.managed.as_ref()?.source.as_ref());
        if let Some(source) = source {
            layout.turn_fact(Way::Bpfman, FACT_SOURCE, &source_text(source))?;
        }
    }
    if next.is_dir() {
        fs::remove_dir(&next).with_context(|| format!("cannot remove {}", next.display()))?;
    }
    local::wait_gone(&ids)?;
    Ok(ours)
}

/// Of what was noted for the new links, keeps what the daemon has for the programs in charge.
fn settle_links(layout: &Layout, live: &[u32]) -> Result<()> {
    let (next, links) = (layout.links_next(), layout.links(Way::Bpfman));
    for name in names(&next)? {
        let path = next.join(&name);
        let link = note(&path).and_then(|text| parse_note(&text));
        let done = if link.is_some_and(|(link, _)| live.contains(&link)) {
            fs::rename(&path, links.join(&name))
        } else {
            fs::remove_file(&path)
        };
        done.with_context(|| format!("cannot settle {}", path.display()))?;
    }
    Ok(())
}
