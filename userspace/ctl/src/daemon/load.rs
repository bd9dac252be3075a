//! `load` through the daemon.

use std::path::Path;

use anyhow::{Context, Result};
use dns_trace_bpfman::{Attach, Client, Program, Source};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Places, described, is_named, live_links,
    manner::link_at,
    request::{Request, with_login},
    unload_programs,
    upgrade::put_in_order,
};
use crate::{
    bundle::{Group, Layout, Mount, RingMaps, Way, grant, granted, remove_instance, rings_of},
    commands::load::{
        Attached, FACT_SETTINGS, FACT_SOURCE, Owners, Plan, Settings, Summary, Wanted, check_room,
        hook_notes, other_way, points, wanted,
    },
    exit::{Exit, Failure, code_of, one_line},
    hook::{self, Point},
    local::Netns,
};

/// Loads, attaches and hands over. What fails half-way is undone, also in the daemon.
pub(crate) async fn load(plan: &Plan, socket: &Path, source: &Source) -> Result<Summary> {
    let client = Client::new(socket);
    client.probe().await?;
    let source = &with_login(source)?;
    let group = Group::named(&plan.group)?;
    let ns = Netns::open(plan.netns.as_deref())?;
    let points = points(plan)?;
    let wanted = wanted(plan, &ns, &points)?;
    check_room(plan, &ns, &wanted, Way::Bpfman, socket).await?;
    let _mount = Mount::ensure(&plan.root)?;
    let layout = Layout::new(&plan.root, &plan.instance);
    let places = Places {
        plan,
        client: &client,
        layout: &layout,
        ns: &ns,
    };
    let job = Job {
        places,
        plan,
        client: &client,
        layout: &layout,
        source,
        group: &group,
        settings: plan.settings_in(&ns)?,
    };

    let there = put_in_order(&client, &layout).await?;
    let mut notes = hook_notes(plan, &points);
    if layout.way() == Some(Way::Bpfman) && layout.is_complete() && !there.is_empty() {
        job.check_same(&there, &points)?;
        let mut new = Vec::new();
        return match interruptible(job.places.attach_missing(&there, &wanted, &mut new)).await {
            Ok(mut attached) => {
                let (mut there, mut owners) = (there, Owners::new(plan));
                attached.extend(job.attach_owners(&mut there, &mut owners).await?);
                notes.extend(owners.recall(&layout, Way::Bpfman));
                job.hand_over(&there, attached, true, notes)
            }
            Err(error) => {
                job.places.detach_all(&new).await;
                Err(error)
            }
        };
    }
    match layout.way() {
        None | Some(Way::Bpfman) => {}
        Some(way) => return Err(other_way(plan, way)),
    }
    if !there.is_empty() || layout.way().is_some() {
        unload_programs(&client, &plan.instance).await?;
        remove_instance(&layout)?;
        notes.push(format!(
            "removed what an interrupted load of {} had left behind",
            plan.instance
        ));
    }
    match interruptible(job.fresh(&points, &wanted, notes)).await {
        Ok(summary) => Ok(summary),
        Err(error) => Err(undo(&client, &layout, error).await),
    }
}

/// Takes back what a load did before it failed; gives the error to report.
async fn undo(client: &Client, layout: &Layout, error: anyhow::Error) -> anyhow::Error {
    // Looked up in the daemon, since a call that broke may have been carried out.
    let unloaded = unload_programs(client, layout.instance()).await;
    let removed = remove_instance(layout);
    if unloaded.is_ok() && removed.is_ok() {
        return error;
    }
    Failure::new(
        code_of(&error),
        format!(
            "{}; the daemon may keep what it loaded: once it runs again, run: \
             sudo dns-tracectl unload --instance {}",
            one_line(&error),
            layout.instance()
        ),
    )
}

/// Ends the work at SIGINT or SIGTERM, so that what was done so far can be undone.
pub(super) async fn interruptible<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut int = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut term = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    tokio::select! {
        result = work => result,
        _ = int.recv() => Err(Failure::new(Exit::Runtime, "interrupted; everything was undone")),
        _ = term.recv() => Err(Failure::new(Exit::Runtime, "terminated; everything was undone")),
    }
}

struct Job<'a> {
    places: Places<'a>,
    plan: &'a Plan,
    client: &'a Client,
    layout: &'a Layout,
    source: &'a Source,
    group: &'a Group,
    settings: Settings,
}

impl Job<'_> {
    async fn fresh(
        &self,
        points: &[Point],
        wanted: &[Wanted],
        notes: Vec<String>,
    ) -> Result<Summary> {
        let mut notes = notes;
        let mut owners = Owners::new(self.plan);
        let names = hook::programs(points);
        let mut programs = self.load_with(&names, &mut owners).await?;
        for ring in rings_of(programs.iter().map(|p| p.map_ids.as_slice()))? {
            ring.check_abi()?;
        }
        self.layout.make(Way::Bpfman)?;
        self.layout
            .remember(Way::Bpfman, FACT_SOURCE, &source_text(self.source))?;
        self.layout
            .remember(Way::Bpfman, FACT_SETTINGS, &self.settings.fact())?;
        let mut attached = self
            .places
            .attach_missing(&programs, wanted, &mut Vec::new())
            .await?;
        attached.extend(self.attach_owners(&mut programs, &mut owners).await?);
        owners.remember(self.layout, Way::Bpfman, &mut notes)?;
        self.hand_over(&programs, attached, false, notes)
    }

    /// Loads the programs and those that tell owners, or, since a request is refused as a whole, the
    /// former alone.
    async fn load_with(&self, names: &[&str], owners: &mut Owners) -> Result<Vec<Program>> {
        let all = [names, &owners.programs()].concat();
        match self.request().load_sharing(&all).await {
            Err(error) if all.len() > names.len() && is_refusal(&error) => {
                unload_programs(self.client, &self.plan.instance).await?;
                let programs = self.request().load_sharing(names).await?;
                owners.refusals().push(one_line(&error));
                Ok(programs)
            }
            result => result,
        }
    }

    /// Attaches those of them that are loaded and not attached. One that cannot be attached is unloaded.
    async fn attach_owners(
        &self,
        programs: &mut Vec<Program>,
        owners: &mut Owners,
    ) -> Result<Vec<Attached>> {
        let live = live_links(programs);
        let mut attached = Vec::new();
        let points: Vec<_> =
            Owners::points(|name| programs.iter().any(|p| is_named(p, name))).collect();
        for (point, spot) in points {
            let known = link_at(self.layout, &spot);
            let id = programs.iter().find(|p| is_named(p, point.program));
            let Some(id) = id.map(|p| p.id) else { continue };
            if known.is_some_and(|link| live.contains(&link)) {
                continue;
            }
            match self.client.attach(id, &Attach::Fentry).await {
                Ok(link) => {
                    self.places.note_link(&spot, link)?;
                    attached.push(spot.into());
                }
                Err(error) => {
                    owners.refusals().push(one_line(&error.into()));
                    // One that stays does no harm, and goes with the others.
                    if self.client.unload(id).await.is_ok() {
                        programs.retain(|p| p.id != id);
                    }
                }
            }
        }
        Ok(attached)
    }

    fn request(&self) -> Request<'_> {
        Request {
            client: self.client,
            instance: &self.plan.instance,
            source: self.source,
            settings: &self.settings,
            generation: 0,
        }
    }

    fn hand_over(
        &self,
        programs: &[Program],
        attached: Vec<Attached>,
        was_loaded: bool,
        notes: Vec<String>,
    ) -> Result<Summary> {
        let mut notes = notes;
        let rings: Vec<RingMaps> = rings_of(programs.iter().map(|p| p.map_ids.as_slice()))?;
        if rings.len() > 1 {
            notes.push(format!(
                "this bpfman gives each program maps of its own: {} rings",
                rings.len()
            ));
        }
        let outcome = grant(self.layout, &rings, self.group)?;
        Ok(Summary {
            instance: self.plan.instance.clone(),
            way: Way::Bpfman,
            source: source_text(self.source),
            programs: described(programs.to_vec()),
            was_loaded,
            attached,
            granted: outcome,
            rings: granted(self.layout)?
                .into_iter()
                .map(|handed| handed.folder)
                .collect(),
            group: self.group.clone(),
            notes,
        })
    }

    /// Refuses to load something else over an instance.
    fn check_same(&self, there: &[Program], points: &[Point]) -> Result<()> {
        let instance = &self.plan.instance;
        let differs = |what: String| {
            let message = format!(
                "{instance} is loaded with {what} (run: sudo dns-tracectl unload --instance {instance}, \
                 or give this one another name with --instance)"
            );
            Err(Failure::new(Exit::Runtime, message))
        };
        let recall = |name| {
            self.layout
                .recall(Way::Bpfman, name)
                .unwrap_or_else(|| "nothing known".to_owned())
        };
        if recall(FACT_SOURCE) != source_text(self.source) {
            return differs(format!("another image: {}", recall(FACT_SOURCE)));
        }
        if recall(FACT_SETTINGS) != self.settings.fact() {
            return differs(format!("other settings: {}", recall(FACT_SETTINGS)));
        }
        let have: Vec<&str> = there
            .iter()
            .filter_map(|p| Some(p.managed.as_ref()?.name.as_str()))
            .collect();
        if hook::programs(points)
            .iter()
            .any(|name| !have.contains(name))
        {
            return differs(format!("the programs of another hook: {}", have.join(", ")));
        }
        Ok(())
    }
}

/// Whether the daemon understood a request and refused it.
fn is_refusal(error: &anyhow::Error) -> bool {
    use dns_trace_bpfman::Error::{Incomplete, Refused};
    let error = error.downcast_ref();
    matches!(error, Some(Refused { .. } | Incomplete { .. }))
}

/// A source in words.
pub(super) fn source_text(source: &Source) -> String {
    match source {
        Source::Image(image) => image.url.clone(),
        Source::File(path) => path.display().to_string(),
    }
}
