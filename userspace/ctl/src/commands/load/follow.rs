//! `load --follow`: stays, and attaches the programs of a bundle to interfaces as they appear.
//!
//! Nothing is remembered outside the bundle: what is attached stands there. The kernel's messages are
//! what wakes this up; what is to be done, a look at what is there now tells. So it does not matter how many
//! messages came meanwhile, or whether some were lost.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use dns_trace_bpfman::{Client, DEFAULT_SOCKET};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    Plan,
    left_out::LeftOut,
    local::{attach_missing, check_room, places, points},
    plan::Origin,
};
use crate::{
    bundle::{Claim, Layout, Mount, Way},
    daemon::Places,
    exit::{Exit, Failure, one_line},
    hook::{self, Point},
    instance::Spot,
    local::{self, Changes, Interfaces, Netns, News},
    report::{self, Report},
};

/// Loads, and attaches until it is told to end.
pub(super) async fn run(plan: &Plan) -> Result<Report> {
    let mut end = End::listen()?;
    let load = super::load(plan);
    let summary = match &plan.origin {
        // Up to its end it waits for nothing but the object.
        Origin::Local(_) => tokio::select! {
            biased;
            summary = load => summary?,
            () = end.comes() => return Err(Failure::new(Exit::Runtime, "interrupted before anything was loaded")),
        },
        // It listens for signals itself, and takes back what it did.
        Origin::Daemon { .. } => load.await?,
    };
    report::print(&Report::new(summary.to_string()));
    let layout = Layout::new(&plan.root, &plan.instance);
    let claim = Claim::new(&layout, summary.way)?;
    let ns = Netns::open(plan.netns.as_deref())?;
    let socket = match &plan.origin {
        Origin::Local(_) => Path::new(DEFAULT_SOCKET),
        Origin::Daemon { socket, .. } => socket,
    };
    let client = Client::new(socket);
    let mut follower = Follower {
        plan,
        points: points(plan)?,
        way: summary.way,
        places: Places {
            plan,
            client: &client,
            layout: &layout,
            ns: &ns,
        },
        known: Interfaces::new(),
        left_out: LeftOut::none(),
    };
    // Before the first look, so that nothing is missed between the two.
    let mut changes = Changes::of(&ns)?;
    let patterns: Vec<&str> = plan.ifaces.iter().map(|p| p.as_str()).collect();
    say(&format!("following {} in {ns}", patterns.join(", ")));
    let mut news = News::default();
    loop {
        let _mount = tokio::select! {
            biased;
            () = end.comes() => return Ok(ended(&layout)),
            result = claim.voided() => return result.and(Err(unloaded(&layout))),
            mount = locked(&plan.root) => mount?,
        };
        if claim.is_void() {
            return Err(unloaded(&layout));
        }
        follower.act(&news).await?;
        drop(_mount);
        news = loop {
            let news = tokio::select! {
                biased;
                () = end.comes() => return Ok(ended(&layout)),
                result = claim.voided() => return result.and(Err(unloaded(&layout))),
                news = changes.next() => news?,
                () = follower.left_out.due() => News::default(),
            };
            if follower.is_concerned(&news) {
                break news;
            }
        };
    }
}

/// Waits for the turn among runs of this tool, on a thread of its own: whoever has it may pull an image,
/// and a signal should not have to wait for that.
async fn locked(root: &Path) -> Result<Option<Mount>> {
    let root: PathBuf = root.to_owned();
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Nobody waits any more if it fails, and it is dropped, which unlocks.
        let _ = tell.send(Mount::existing(&root));
    });
    told.await
        .context("the thread that waits for the lock ended")?
}

fn ended(layout: &Layout) -> Report {
    let instance = layout.instance();
    say(&format!(
        "ended; {instance} stays loaded, and attached where it is (to unload: sudo dns-tracectl unload --instance {instance})"
    ));
    Report::default()
}

fn unloaded(layout: &Layout) -> anyhow::Error {
    Failure::new(
        Exit::Missing,
        format!(
            "{} was unloaded: there is nothing to attach any more",
            layout.instance()
        ),
    )
}

/// One line on standard error.
fn say(text: &str) {
    // A closed one is nothing to complain about: there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "dns-tracectl: {text}");
}

/// SIGINT or SIGTERM.
struct End {
    int: Signal,
    term: Signal,
}

impl End {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            int: listen(SignalKind::interrupt())?,
            term: listen(SignalKind::terminate())?,
        })
    }

    async fn comes(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}

struct Follower<'a> {
    plan: &'a Plan,
    points: Vec<Point>,
    way: Way,
    places: Places<'a>,
    /// The interfaces that match and were seen to: attached, or said why not.
    known: Interfaces,
    /// Those of them for which one has to try again.
    left_out: LeftOut,
}

impl Follower<'_> {
    fn matches(&self, name: &str) -> bool {
        self.plan.ifaces.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether there may be something to do; most messages, of addresses, carriers and queues, mean nothing.
    fn is_concerned(&self, news: &News) -> bool {
        let concerns = |(index, name): (&u32, &String)| match self.known.get(index) {
            Some(known) => known != name,
            None => self.matches(name),
        };
        self.left_out.is_due()
            || news.lost
            || !news.gone.is_empty()
            || news.there.iter().any(concerns)
    }

    /// Detaches from interfaces that are gone or have no longer a name that matches, and attaches to those
    /// that are new, or whose turn it is again.
    async fn act(&mut self, news: &News) -> Result<()> {
        if self.way == Way::Local {
            local::undo_interrupted(self.places.layout)?;
        }
        let there = local::interfaces(self.places.ns)?;
        for (index, spots) in self.attached()? {
            if let Some(why) = self.why_left(index, &there, &news.gone) {
                self.detach(index, &spots, &why).await;
            }
        }
        let gone = |index: &u32| news.gone.contains(index);
        self.known
            .retain(|index, _| !gone(index) && there.contains_key(index));
        self.left_out.retain(|index| self.known.contains_key(index));
        if news.lost {
            self.known.clear();
        }
        let again = self.left_out.take_turn();
        for (index, name) in there {
            if !self.matches(&name) {
                self.known.remove(&index);
                self.left_out.remove(index);
                continue;
            }
            let is_new = self.known.insert(index, name.clone()).is_none();
            if is_new || again.contains(&index) {
                self.attach(index, &name).await;
            }
        }
        Ok(())
    }

    /// Where the instance is attached in this namespace, by interface.
    fn attached(&self) -> Result<Vec<(u32, Vec<Spot>)>> {
        let mut spots = self.places.layout.spots(self.way)?;
        spots.retain(|s| s.netns == self.places.ns.inode() && !s.hook.is_host_wide());
        // They come sorted by interface.
        let of = |chunk: &[Spot]| chunk.first().map(|s| (s.ifindex, chunk.to_vec()));
        Ok(spots
            .chunk_by(|a, b| a.ifindex == b.ifindex)
            .filter_map(of)
            .collect())
    }

    /// Why an interface is to be left, if it is. One that the operator has named in another load stays
    /// whatever it is called.
    fn why_left(&self, index: u32, there: &Interfaces, gone: &BTreeSet<u32>) -> Option<String> {
        match there.get(&index) {
            Some(name) if !gone.contains(&index) => {
                let left = self.known.contains_key(&index) && !self.matches(name);
                left.then(|| format!("it is {name} now"))
            }
            _ => Some("it is gone".to_owned()),
        }
    }

    async fn attach(&mut self, index: u32, name: &str) {
        match self.try_attach(index, name).await {
            Ok(is_new) => {
                if self.left_out.remove(index) || is_new {
                    say(&format!("attached {name} (index {index})"));
                }
            }
            Err(error) => {
                // It is said once, however often this fails.
                if self.left_out.add(index) {
                    let why = one_line(&error);
                    say(&format!("left out {name} (index {index}): {why}"));
                }
                // A message about it comes, and then it is new.
                if self.places.ns.iface(index).as_deref() != Some(name) {
                    self.known.remove(&index);
                    self.left_out.remove(index);
                }
            }
        }
    }

    async fn try_attach(&self, index: u32, name: &str) -> Result<bool> {
        let Places {
            layout, ns, client, ..
        } = self.places;
        let wanted = places(&self.points, name, index, ns.inode());
        check_room(self.plan, ns, &wanted, self.way, client.socket()).await?;
        if self.way == Way::Bpfman {
            return self.places.attach(&wanted).await;
        }
        let programs = local::loaded(layout)?;
        let new = attach_missing(layout, ns, &wanted, &programs, self.plan.priority)?;
        Ok(!new.is_empty())
    }

    async fn detach(&self, index: u32, spots: &[Spot], why: &str) {
        let name = self.known.get(&index);
        let name = name.map_or_else(|| "an interface".to_owned(), String::clone);
        let mut said = format!("detached {name} (index {index}): {why}");
        for spot in spots {
            if let Err(error) = self.try_detach(spot).await {
                said = format!("{said}; {}", one_line(&error));
            }
        }
        say(&said);
    }

    async fn try_detach(&self, spot: &Spot) -> Result<()> {
        if self.way == Way::Bpfman {
            return self.places.detach(spot).await;
        }
        let layout = self.places.layout;
        let name = hook::program_at(spot.hook, spot.direction);
        let programs = local::loaded(layout)?;
        let id = programs.iter().find(|p| p.name == name).map(|p| p.id);
        local::detach(layout, spot, id).map(drop)
    }
}
