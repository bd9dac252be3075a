//! Between this crate's types and the contract's.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use crate::{
    Attach, Credentials, Direction, Error, Filter, Image, Load, LoadProgram, Managed, Place,
    Program, ProgramType, PullPolicy, Source, v1,
};

impl PullPolicy {
    const fn code(self) -> i32 {
        match self {
            Self::Always => 0,
            Self::IfNotPresent => 1,
            Self::Never => 2,
        }
    }

    /// A policy that this client does not know is taken for the most cautious one: it only
    /// describes a program that is loaded already.
    const fn from_code(code: i32) -> Self {
        match code {
            0 => Self::Always,
            1 => Self::IfNotPresent,
            _ => Self::Never,
        }
    }
}

impl Direction {
    const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// A path as the contract's string. Paths that are not UTF-8 cannot be said in protobuf.
fn path_text(path: &Path) -> Result<String, Error> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::PathNotUtf8(path.to_path_buf()))
}

impl From<&Image> for v1::BytecodeImage {
    fn from(image: &Image) -> Self {
        let credentials = image.credentials.as_ref();
        Self {
            url: image.url.clone(),
            image_pull_policy: image.pull_policy.code(),
            username: credentials.map(|c| c.username.clone()),
            password: credentials.map(|c| c.password.clone()),
        }
    }
}

impl TryFrom<&Source> for v1::BytecodeLocation {
    type Error = Error;

    fn try_from(source: &Source) -> Result<Self, Error> {
        use v1::bytecode_location::Location;
        let location = match source {
            Source::Image(image) => Location::Image(image.into()),
            Source::File(path) => Location::File(path_text(path)?),
        };
        Ok(Self {
            location: Some(location),
        })
    }
}

impl From<&LoadProgram> for v1::LoadInfo {
    fn from(program: &LoadProgram) -> Self {
        use v1::{BpfmanProgramType as Type, prog_specific_info::Info};
        let (program_type, info) = match &program.program_type {
            ProgramType::Xdp => (Type::Xdp, None),
            ProgramType::Tc => (Type::Tc, None),
            ProgramType::Tcx => (Type::Tcx, None),
            ProgramType::Tracepoint => (Type::Tracepoint, None),
            ProgramType::Fentry(function) => {
                let info = v1::FentryLoadInfo {
                    fn_name: function.clone(),
                };
                (Type::Fentry, Some(Info::FentryLoadInfo(info)))
            }
        };
        Self {
            name: program.name.clone(),
            program_type: program_type.into(),
            info: info.map(|info| v1::ProgSpecificInfo { info: Some(info) }),
        }
    }
}

impl TryFrom<&Load> for v1::LoadRequest {
    type Error = Error;

    fn try_from(load: &Load) -> Result<Self, Error> {
        // 0.6.0 indexes the first program of the list and panics where there is none.
        if load.programs.is_empty() {
            return Err(Error::NoPrograms);
        }
        Ok(Self {
            bytecode: Some((&load.source).try_into()?),
            metadata: to_hash(&load.metadata),
            global_data: to_hash(&load.global_data),
            uuid: None,
            map_owner_id: load.map_owner_id,
            info: load.programs.iter().map(Into::into).collect(),
        })
    }
}

fn netns_text(place: &Place) -> Result<Option<String>, Error> {
    place.netns.as_deref().map(path_text).transpose()
}

impl TryFrom<&Attach> for v1::AttachInfo {
    type Error = Error;

    fn try_from(attach: &Attach) -> Result<Self, Error> {
        use v1::attach_info::Info;
        let info = match attach {
            Attach::Xdp { place, proceed_on } => Info::XdpAttachInfo(v1::XdpAttachInfo {
                priority: place.priority,
                iface: place.iface.clone(),
                position: 0,
                proceed_on: proceed_on.iter().map(|action| action.code()).collect(),
                netns: netns_text(place)?,
                metadata: HashMap::new(),
            }),
            Attach::Tc {
                place,
                direction,
                proceed_on,
            } => Info::TcAttachInfo(v1::TcAttachInfo {
                priority: place.priority,
                iface: place.iface.clone(),
                position: 0,
                direction: direction.name().to_owned(),
                proceed_on: proceed_on.iter().map(|action| action.code()).collect(),
                netns: netns_text(place)?,
                metadata: HashMap::new(),
            }),
            Attach::Tcx { place, direction } => Info::TcxAttachInfo(v1::TcxAttachInfo {
                priority: place.priority,
                iface: place.iface.clone(),
                position: 0,
                direction: direction.name().to_owned(),
                netns: netns_text(place)?,
                metadata: HashMap::new(),
            }),
            Attach::Tracepoint(name) => Info::TracepointAttachInfo(v1::TracepointAttachInfo {
                tracepoint: name.clone(),
                metadata: HashMap::new(),
            }),
            Attach::Fentry => Info::FentryAttachInfo(v1::FentryAttachInfo {
                metadata: HashMap::new(),
            }),
        };
        Ok(Self { info: Some(info) })
    }
}

impl From<&Filter> for v1::ListRequest {
    fn from(filter: &Filter) -> Self {
        Self {
            program_type: None,
            bpfman_programs_only: Some(!filter.include_foreign),
            match_metadata: to_hash(&filter.metadata),
        }
    }
}

/// Builds a [`Program`] from the two halves of an answer; `None` without the kernel's half, which
/// carries the id.
pub(crate) fn program(
    info: Option<v1::ProgramInfo>,
    kernel: Option<v1::KernelProgramInfo>,
) -> Option<Program> {
    let kernel = kernel?;
    Some(Program {
        id: kernel.id,
        kernel_name: kernel.name,
        kernel_type: kernel.program_type,
        map_ids: kernel.map_ids,
        loaded_at: kernel.loaded_at,
        verified_instructions: kernel.verified_insns,
        managed: info.map(Into::into),
    })
}

impl From<v1::ProgramInfo> for Managed {
    fn from(info: v1::ProgramInfo) -> Self {
        Self {
            name: info.name,
            source: info.bytecode.and_then(|b| b.location).map(Into::into),
            links: info.links,
            map_pin_path: Some(info.map_pin_path)
                .filter(|p| !p.is_empty())
                .map(PathBuf::from),
            map_owner_id: info.map_owner_id,
            map_used_by: info.map_used_by,
            global_data: to_btree(info.global_data),
            metadata: to_btree(info.metadata),
        }
    }
}

impl From<v1::bytecode_location::Location> for Source {
    fn from(location: v1::bytecode_location::Location) -> Self {
        use v1::bytecode_location::Location;
        match location {
            Location::File(path) => Self::File(path.into()),
            Location::Image(image) => Self::Image(Image {
                url: image.url,
                pull_policy: PullPolicy::from_code(image.image_pull_policy),
                credentials: credentials(image.username, image.password),
            }),
        }
    }
}

/// The daemon blanks credentials in its answers: blank ones are none.
fn credentials(username: Option<String>, password: Option<String>) -> Option<Credentials> {
    let username = username.filter(|text| !text.is_empty())?;
    Some(Credentials {
        username,
        password: password.unwrap_or_default(),
    })
}

fn to_hash<V: Clone>(map: &BTreeMap<String, V>) -> HashMap<String, V> {
    map.iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn to_btree<V>(map: HashMap<String, V>) -> BTreeMap<String, V> {
    map.into_iter().collect()
}

#[cfg(test)]
mod tests;
