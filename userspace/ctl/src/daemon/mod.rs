//! The way through the bpfman daemon. It keeps the programs; what it does not tell (where a link
//! leads) is remembered beside the pins.

mod load;
mod manner;
mod places;
mod request;
mod upgrade;

use std::path::Path;

use anyhow::Result;
use dns_trace_bpfman::{Client, Error, Filter, Program};
use dns_trace_event::{CAPTURE_PROGRAMS, OWNER_PROGRAMS};

pub(crate) use load::load;
pub(crate) use manner::priority_at;
pub(crate) use places::Places;
pub(crate) use upgrade::{Upgraded, upgrade};

use crate::{
    bundle::{Layout, Way, remove_instance},
    instance::Instance,
    local::{self, LoadedProgram},
};

/// Metadata key of our programs: the instance.
pub(crate) const META_INSTANCE: &str = "dns-trace.instance";
/// Metadata key of our programs: the ABI.
const META_ABI: &str = "dns-trace.abi";
/// Metadata key of our programs: by which upgrade of the instance they came; none at load.
const META_GENERATION: &str = "dns-trace.generation";
/// Name of the fact: the generation of the programs that are the instance's. Others are what an
/// interrupted upgrade left behind.
const FACT_GENERATION: &str = "generation";

/// Which generation of the instance's programs is in charge.
fn generation(layout: &Layout) -> u32 {
    let fact = layout.recall(Way::Bpfman, FACT_GENERATION);
    fact.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Of which generation a program is.
fn generation_of(program: &Program) -> u32 {
    let metadata = program.managed.as_ref().map(|m| &m.metadata);
    let text = metadata.and_then(|metadata| metadata.get(META_GENERATION));
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether an upgrade of the instance was interrupted.
pub(crate) async fn has_leftovers(layout: &Layout, socket: &Path) -> Result<bool> {
    let programs = programs_of(&Client::new(socket), layout.instance()).await?;
    let current = generation(layout);
    Ok(programs.iter().any(|p| generation_of(p) != current))
}

/// The programs that the daemon loaded for an instance, of every generation.
async fn programs_of(client: &Client, instance: &Instance) -> Result<Vec<Program>, Error> {
    let metadata = [(META_INSTANCE.to_owned(), instance.to_string())].into();
    client
        .list(&Filter {
            include_foreign: false,
            metadata,
        })
        .await
}

fn described(programs: Vec<Program>) -> Vec<LoadedProgram> {
    let describe = |p: Program| LoadedProgram {
        name: p.managed.map_or(p.kernel_name, |m| m.name),
        id: p.id,
        tag: String::new(),
        skipped: 0,
        map_ids: p.map_ids,
    };
    LoadedProgram::in_kernel(programs.into_iter().map(describe).collect())
}

/// The programs of an instance that this tool loaded through the daemon, without what an interrupted
/// upgrade left.
pub(crate) async fn of_instance(layout: &Layout, socket: &Path) -> Result<Vec<LoadedProgram>> {
    let mut programs = programs_of(&Client::new(socket), layout.instance()).await?;
    let current = generation(layout);
    programs.retain(|p| generation_of(p) == current);
    Ok(described(programs))
}

/// The dns-trace programs that bpfman's own command loaded, or, for an instance that was granted
/// before, those of them that it shows.
pub(crate) async fn by_hand(layout: &Layout, socket: &Path) -> Result<Vec<LoadedProgram>> {
    let ours = |p: &Program| {
        p.managed.as_ref().is_some_and(|m| {
            is_ours(&m.name)
                && m.metadata
                    .get(META_INSTANCE)
                    .is_none_or(|i| i == layout.instance().as_str())
        })
    };
    let mut programs = Client::new(socket).list(&Filter::default()).await?;
    programs.retain(ours);
    programs.sort_by_key(|p| p.id);
    Ok(described(programs))
}

fn is_named(program: &Program, name: &str) -> bool {
    program.managed.as_ref().is_some_and(|m| m.name == name)
}

fn is_ours(name: &str) -> bool {
    CAPTURE_PROGRAMS.contains(&name) || OWNER_PROGRAMS.iter().any(|(owner, _)| *owner == name)
}

/// Ids of the links that the daemon still has, program by program.
fn live_links(programs: &[Program]) -> Vec<u32> {
    programs
        .iter()
        .filter_map(|p| p.managed.as_ref())
        .flat_map(|m| m.links.iter().copied())
        .collect()
}

/// Unloads the programs of an instance and removes its pins.
pub(crate) async fn unload(layout: &Layout, socket: &Path) -> Result<Vec<String>> {
    let client = Client::new(socket);
    let ids = unload_programs(&client, layout.instance()).await?;
    remove_instance(layout)?;
    local::wait_gone(&ids)?;
    Ok(Vec::new())
}

async fn unload_programs(client: &Client, instance: &Instance) -> Result<Vec<u32>, Error> {
    let programs = programs_of(client, instance).await?;
    let ids: Vec<u32> = programs.iter().map(|p| p.id).collect();
    for id in &ids {
        client.unload(*id).await?;
    }
    Ok(ids)
}

/// Unloads programs of an instance whose pins are gone; `None` if there are none. A daemon that is
/// not there has none.
pub(crate) async fn unload_leftovers(
    layout: &Layout,
    socket: &Path,
) -> Result<Option<Vec<String>>> {
    let client = Client::new(socket);
    match unload_programs(&client, layout.instance()).await {
        Ok(ids) if ids.is_empty() => Ok(None),
        Ok(ids) => {
            local::wait_gone(&ids)?;
            Ok(Some(vec!["its pins were gone before".to_owned()]))
        }
        Err(Error::NotRunning { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
