//! What the daemon is asked to load.

use std::collections::BTreeMap;

use anyhow::Result;
use dns_trace_bpfman::{Client, Credentials, Load, LoadProgram, Program, ProgramType, Source};
use dns_trace_event::{
    ABI_VERSION, GLOBAL_NETNS_COOKIE, GLOBAL_PORTS, GLOBAL_SAMPLE, GLOBAL_SELECT, GLOBAL_SNAP_LEN,
    OWNER_PROGRAMS,
};

use super::{META_ABI, META_GENERATION, META_INSTANCE};
use crate::{bundle::rings_of, commands::load::Settings, instance::Instance, local::stored_login};

/// Programs of one object, for one instance.
pub(super) struct Request<'a> {
    pub(super) client: &'a Client,
    pub(super) instance: &'a Instance,
    pub(super) source: &'a Source,
    pub(super) settings: &'a Settings,
    /// By which upgrade they come; 0 at load.
    pub(super) generation: u32,
}

impl Request<'_> {
    /// Loads the programs so that they share their maps, if this daemon can do that: 0.6.0 shares
    /// within one request; its successor with the program that `map_owner_id` names.
    pub(super) async fn load_sharing(&self, names: &[&str]) -> Result<Vec<Program>> {
        let together = self.client.load(&self.load(names, None)).await?;
        let rings = rings_of(together.iter().map(|p| p.map_ids.as_slice()))?;
        let (Some(owner), true) = (together.first().map(|p| p.id), rings.len() > 1) else {
            return Ok(together);
        };
        for program in together.iter().skip(1) {
            self.client.unload(program.id).await?;
        }
        let rest = names.get(1..).unwrap_or_default();
        let mut programs: Vec<Program> = together.into_iter().take(1).collect();
        programs.extend(self.client.load(&self.load(rest, Some(owner))).await?);
        Ok(programs)
    }

    fn load(&self, names: &[&str], map_owner_id: Option<u32>) -> Load {
        let settings = self.settings;
        let program = |name: &&str| LoadProgram {
            name: (*name).to_owned(),
            program_type: program_type(name),
        };
        let mut metadata = BTreeMap::from([
            (META_INSTANCE.to_owned(), self.instance.to_string()),
            (META_ABI.to_owned(), ABI_VERSION.to_string()),
            (Load::APPLICATION.to_owned(), "dns-trace".to_owned()),
        ]);
        if self.generation > 0 {
            metadata.insert(META_GENERATION.to_owned(), self.generation.to_string());
        }
        Load {
            source: self.source.clone(),
            programs: names.iter().map(program).collect(),
            global_data: global_data(settings),
            metadata,
            map_owner_id,
        }
    }
}

/// The source with the login for its registry: the daemon reads no credential files.
pub(super) fn with_login(source: &Source) -> Result<Source> {
    let mut source = source.clone();
    if let Source::Image(image) = &mut source
        && image.credentials.is_none()
    {
        let login = stored_login(&image.url)?;
        image.credentials = login.map(|l| Credentials {
            username: l.username,
            password: l.password,
        });
    }
    Ok(source)
}

/// How the daemon shall load a program of the contract.
fn program_type(name: &str) -> ProgramType {
    let owner = OWNER_PROGRAMS.iter().find(|(owner, _)| *owner == name);
    if let Some((_, function)) = owner {
        return ProgramType::Fentry((*function).to_owned());
    }
    match name {
        dns_trace_event::PROG_XDP => ProgramType::Xdp,
        dns_trace_event::PROG_TC_INGRESS | dns_trace_event::PROG_TC_EGRESS => ProgramType::Tc,
        dns_trace_event::PROG_DEV_QUEUE | dns_trace_event::PROG_RECEIVE_SKB => {
            ProgramType::Tracepoint
        }
        _ => ProgramType::Tcx,
    }
}

fn global_data(settings: &Settings) -> BTreeMap<String, Vec<u8>> {
    let words = [
        (GLOBAL_SNAP_LEN, settings.snap_len),
        (GLOBAL_SAMPLE, settings.sample),
        (GLOBAL_SELECT, settings.select),
    ];
    let words = words.map(|(name, value)| (name.to_owned(), value.to_ne_bytes().to_vec()));
    BTreeMap::from_iter(words.into_iter().chain([
        (GLOBAL_PORTS.to_owned(), settings.ports_bytes()),
        (
            GLOBAL_NETNS_COOKIE.to_owned(),
            settings.netns_cookie.to_ne_bytes().to_vec(),
        ),
    ]))
}
