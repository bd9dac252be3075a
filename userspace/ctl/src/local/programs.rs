//! Programs of an instance: loaded into the kernel through aya and pinned, and found again.

use std::path::Path;

use anyhow::{Context, Result};
use aya::{
    Btf, Ebpf, EbpfError, EbpfLoader, VerifierLogLevel,
    maps::Map,
    programs::{Program, ProgramError, ProgramInfo, loaded_programs},
};
use dns_trace_event::{
    ABI_VERSION, GLOBAL_NETNS_COOKIE, GLOBAL_PORTS, GLOBAL_SAMPLE, GLOBAL_SELECT, GLOBAL_SNAP_LEN,
    MAP_CONTROL,
};

use super::Object;
use crate::{
    bpf,
    bundle::{Layout, RingMaps, Way},
    commands::Settings,
    exit::{Exit, Failure},
    hook,
};

/// A program in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct LoadedProgram {
    /// Name.
    pub(crate) name: String,
    /// Kernel id.
    pub(crate) id: u32,
    /// Tag, as `bpftool prog` shows it; empty if the kernel does not know the program any more.
    pub(crate) tag: String,
    /// How often the kernel did not run it: see [`bpf::skipped`].
    pub(crate) skipped: u64,
    /// Kernel ids of its maps.
    #[serde(skip)]
    pub(crate) map_ids: Vec<u32>,
}

impl LoadedProgram {
    fn new(name: &str, info: &ProgramInfo) -> Result<Self> {
        let map_ids = info
            .map_ids()
            .with_context(|| format!("cannot look up the maps of the program {name}"))?
            .unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            id: info.id(),
            tag: format!("{:016x}", info.tag()),
            skipped: bpf::skipped(info.id()),
            map_ids,
        })
    }

    /// The programs with these names and ids; the rest comes from the kernel.
    pub(crate) fn in_kernel(mut programs: Vec<Self>) -> Vec<Self> {
        for info in loaded_programs().filter_map(Result::ok) {
            for program in programs.iter_mut().filter(|p| p.id == info.id()) {
                program.tag = format!("{:016x}", info.tag());
                program.skipped = bpf::skipped(program.id);
            }
        }
        programs
    }
}

/// Loads the named programs of the object and pins them, and of the `optional` ones those that this
/// kernel takes. Why it takes others not is written to `refusals`. The maps live as long as the pins.
///
/// An object that came from elsewhere is tried first: see [`super::trial`].
pub(crate) fn load(
    layout: &Layout,
    object: &Object,
    names: &[&str],
    optional: &[&str],
    settings: &Settings,
    refusals: &mut Vec<String>,
) -> Result<Vec<LoadedProgram>> {
    if !object.is_builtin {
        super::trial::run(object, &[names, optional].concat())?;
    }
    let btf = kernel_types()?;
    let mut ebpf = verified(object, names, settings, None)?;
    let mut names = names.to_vec();
    for name in optional {
        match load_one(&mut ebpf, object, name, &btf) {
            Ok(()) => names.push(name),
            Err(error) => refusals.push(crate::exit::one_line(&error)),
        }
    }
    pin_all(&mut ebpf, &layout.programs(), &names)?;
    loaded(layout)
}

/// Pins programs in a folder under their names.
pub(super) fn pin_all(ebpf: &mut Ebpf, folder: &Path, names: &[&str]) -> Result<()> {
    for name in names {
        let pin = folder.join(name);
        ebpf.program_mut(name)
            .with_context(|| format!("the program {name} is gone"))?
            .pin(&pin)
            .with_context(|| format!("cannot pin the program {}", pin.display()))?;
    }
    Ok(())
}

/// The object's maps and the named programs in the kernel, as long as the result lives. The maps of a
/// ring are those pinned in the folder `ring`, if it is given; that they fit is for the caller to know.
pub(super) fn verified(
    object: &Object,
    names: &[&str],
    settings: &Settings,
    ring: Option<&Path>,
) -> Result<Ebpf> {
    let btf = kernel_types()?;
    let mut loader = EbpfLoader::new();
    for (name, folder) in RingMaps::NAMES.iter().zip(ring.into_iter().cycle()) {
        loader.map_pin_path(name, folder.join(name));
    }
    let mut ebpf = loader
        .btf(Some(&btf))
        .verifier_log_level(VerifierLogLevel::DEBUG)
        .override_global(GLOBAL_PORTS, &settings.ports, true)
        .override_global(GLOBAL_SNAP_LEN, &settings.snap_len, true)
        .override_global(GLOBAL_SAMPLE, &settings.sample, true)
        .override_global(GLOBAL_SELECT, &settings.select, true)
        .override_global(GLOBAL_NETNS_COOKIE, &settings.netns_cookie, true)
        .load(&object.bytes)
        .map_err(|error| refused(object, error))?;
    check_abi(object, ebpf.map(MAP_CONTROL))?;
    for name in names {
        load_one(&mut ebpf, object, name, &btf)?;
    }
    Ok(ebpf)
}

/// Whether this kernel takes the programs that tell the owners of sockets. They are let go again.
pub(crate) fn try_owners() -> Result<()> {
    let names = dns_trace_event::OWNER_PROGRAMS.map(|(name, _)| name);
    verified(&Object::builtin(), &names, &Settings::default(), None).map(drop)
}

fn kernel_types() -> Result<Btf> {
    Btf::from_sys_fs().map_err(|error| {
        let message = format!(
            "the kernel shows no BTF at /sys/kernel/btf/vmlinux: {error} \
             (boot a kernel with CONFIG_DEBUG_INFO_BTF=y)"
        );
        Failure::new(Exit::Kernel, message)
    })
}

pub(super) fn not_ours(object: &Object, why: &str) -> anyhow::Error {
    Failure::new(
        Exit::Object,
        format!(
            "{} is not a dns-trace object: {why} (check the file or image)",
            object.source
        ),
    )
}

fn check_abi(object: &Object, control: Option<&Map>) -> Result<()> {
    let Some(Map::Array(control)) = control else {
        return Err(not_ours(object, &format!("it has no map {MAP_CONTROL}")));
    };
    let abi = control
        .info()
        .and_then(|info| aya::maps::MapData::from_id(info.id()))
        .and_then(|data| aya::maps::Array::<_, u64>::try_from(Map::Array(data)))
        .map_err(|error| not_ours(object, &error.to_string()))?
        .len();
    if abi == u32::from(ABI_VERSION) {
        return Ok(());
    }
    Err(other_abi(object, abi))
}

pub(super) fn other_abi(object: &Object, abi: u32) -> anyhow::Error {
    Failure::new(
        Exit::Object,
        format!(
            "{} has ABI {abi}, this dns-tracectl has ABI {ABI_VERSION} \
             (use an object of the same release as dns-tracectl, or update dns-tracectl)",
            object.source
        ),
    )
}

/// What stands in the way of an object, by what kind of thing it is.
fn refused(object: &Object, error: EbpfError) -> anyhow::Error {
    match error {
        EbpfError::ParseError(error) => not_ours(object, &error.to_string()),
        EbpfError::BtfError(_)
        | EbpfError::RelocationError(_)
        | EbpfError::NoBTF
        | EbpfError::UnexpectedPinningType { .. } => {
            not_ours(object, &crate::exit::one_line(&anyhow::Error::new(error)))
        }
        EbpfError::BtfRelocationError(error) => Failure::new(
            Exit::Kernel,
            format!(
                "this kernel's types do not fit the object: {}",
                crate::exit::one_line(&error.into())
            ),
        ),
        EbpfError::MapError(error) => {
            anyhow::Error::new(error).context("cannot make the maps of the object")
        }
        other => anyhow::Error::new(other).context(format!("cannot load {}", object.source)),
    }
}

fn load_one(ebpf: &mut Ebpf, object: &Object, name: &str, btf: &Btf) -> Result<()> {
    let function = dns_trace_event::OWNER_PROGRAMS
        .iter()
        .find(|(owner, _)| *owner == name)
        .map(|(_, function)| *function);
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| not_ours(object, &format!("it has no program {name}")))?;
    let result = match (program, function) {
        (Program::SchedClassifier(program), None) => program.load(),
        (Program::Xdp(program), None) => program.load(),
        (Program::TracePoint(program), None) => program.load(),
        (Program::FEntry(program), Some(function)) => program.load(function, btf),
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    result.map_err(|error| verifier(object, name, error))
}

/// A refusal of the kernel, with the last line of the verifier's log, which tells the reason.
fn verifier(object: &Object, name: &str, error: ProgramError) -> anyhow::Error {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            let log = verifier_log.to_string();
            let reason = log
                .lines()
                .map(str::trim)
                .rfind(|l| {
                    !l.is_empty()
                        && !l.starts_with("processed ")
                        && !l.starts_with("verification time")
                        && !l.starts_with("stack depth")
                })
                .unwrap_or("no reason given");
            let exit = match io_error.kind() {
                std::io::ErrorKind::PermissionDenied if log.trim().is_empty() => Exit::Permission,
                _ if object.is_builtin => Exit::Kernel,
                _ => Exit::Object,
            };
            Failure::new(
                exit,
                format!("the kernel refuses the program {name}: {io_error}: {reason}"),
            )
        }
        ProgramError::UnexpectedProgramType => Failure::new(
            Exit::Object,
            format!("the program {name} of the object is of an unexpected type"),
        ),
        other => anyhow::Error::new(other).context(format!("cannot load the program {name}")),
    }
}

/// The pinned programs of an instance.
pub(crate) fn loaded(layout: &Layout) -> Result<Vec<LoadedProgram>> {
    pinned(&layout.programs())
}

/// Those of them that stand nowhere, as far as the pins of links tell: somebody has removed these.
pub(crate) fn unattached(layout: &Layout) -> Result<Vec<LoadedProgram>> {
    let spots = layout.spots(Way::Local)?;
    let mut programs = loaded(layout)?;
    programs.retain(|p| {
        spots
            .iter()
            .all(|spot| hook::program_at(spot.hook, spot.direction) != p.name)
    });
    Ok(programs)
}

/// The programs that are pinned in a folder.
pub(super) fn pinned(folder: &Path) -> Result<Vec<LoadedProgram>> {
    let mut programs = Vec::new();
    for name in crate::bundle::names(folder)? {
        let pin = folder.join(&name);
        let info = ProgramInfo::from_pin(&pin)
            .with_context(|| format!("cannot open {}", pin.display()))?;
        programs.push(LoadedProgram::new(&name, &info)?);
    }
    Ok(programs)
}
