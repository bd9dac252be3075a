//! What the verifier does for each program, on this kernel: the figures of ARCHITECTURE.md.

use anyhow::{Context, Result, bail, ensure};
use aya::programs::{Program, ProgramError, ProgramInfo};
use aya::{Btf, EbpfLoader};
use dns_trace_event::{CAPTURE_PROGRAMS, OWNER_PROGRAMS};

use crate::init::figure;
use crate::lab::ctl::unpack_object;
use crate::lab::kernel;
use crate::scenario::OWNERS;

/// Instructions that the verifier may follow, for any program on any kernel; its own limit is a
/// million. A change that multiplies the ways through a program is seen here and not by a user.
const BUDGET: u32 = 10_000;
/// The kernel tells how many it followed, commit aba64c7da983.
const COUNTED: (u32, u32) = (5, 16);

/// Loads every program and compares what it cost with the budget.
pub(crate) fn work() -> Result<()> {
    let object = std::fs::read(unpack_object()?).context("cannot read the object")?;
    let mut ebpf = EbpfLoader::new()
        .load(&object)
        .context("cannot load the object")?;
    let mut dearest = 0;
    for (name, function) in programs()? {
        let program = ebpf
            .program_mut(name)
            .with_context(|| format!("{name} is not in the object"))?;
        let info = load(program, function).with_context(|| format!("cannot load {name}"))?;
        match info.verified_instruction_count() {
            Some(count) => {
                figure(name, &count.to_string())?;
                dearest = dearest.max(count);
            }
            None => ensure!(
                kernel::version()? < COUNTED,
                "{name}: the kernel does not tell"
            ),
        }
    }
    ensure!(
        dearest <= BUDGET,
        "{dearest} verified instructions, at most {BUDGET} should do"
    );
    Ok(())
}

/// Every program that this kernel takes, with the kernel function at whose entry it runs, if at one.
pub(super) fn programs() -> Result<impl Iterator<Item = (&'static str, Option<&'static str>)>> {
    let takes_owners = kernel::version()? >= OWNERS;
    let owners = OWNER_PROGRAMS.map(|(name, function)| (name, Some(function)));
    let captures = CAPTURE_PROGRAMS.map(|name| (name, None));
    let owners = owners.into_iter().filter(move |_| takes_owners);
    Ok(captures.into_iter().chain(owners))
}

/// Loads a program; one at the entry of a kernel function needs that function's name.
pub(super) fn load(program: &mut Program, function: Option<&str>) -> Result<ProgramInfo> {
    let loaded: Result<(), ProgramError> = match program {
        Program::SchedClassifier(program) => program.load(),
        Program::Xdp(program) => program.load(),
        Program::TracePoint(program) => program.load(),
        Program::FEntry(program) => {
            let function = function.context("at the entry of which function?")?;
            program.load(function, &Btf::from_sys_fs()?)
        }
        _ => bail!("a program of an unknown type"),
    };
    loaded?;
    Ok(program.info()?)
}
