//! Whether this kernel takes our programs: they are loaded and attached as `load` does it, and let go at
//! once. What belongs to an interface is tried at the loopback interface of a network namespace that is
//! made for it and gone with it, where no packet passes.

use anyhow::{Context, Result, anyhow};
use aya::programs::{
    Program, SchedClassifier,
    tc::{self, NlOptions, TcAttachOptions},
};
use rustix::thread::UnshareFlags;

use super::{Object, attach, programs::verified, tc::has_clsact};
use crate::{
    commands::Settings,
    hook::{self, Direction, Hook, HookChoice, Point},
    kernel,
};

/// The interface that every network namespace has, and its index.
const LOOPBACK: (&str, u32) = ("lo", 1);

/// Tries every program that a choice of hook needs.
///
/// # Errors
/// What stands in the way, as `load` says it.
pub(crate) fn try_hook(choice: HookChoice) -> Result<()> {
    let attempt = || {
        // SAFETY: the network namespace is the calling thread's alone; memory and descriptors stay shared.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
            .context("cannot make a network namespace to try a hook in")?;
        let points = hook::points(choice, kernel::has_tcx()?);
        let names = hook::programs(&points);
        let mut ebpf = verified(&Object::builtin(), &names, &Settings::default(), None)?;
        for point in &points {
            let program = ebpf
                .program_mut(point.program)
                .with_context(|| format!("the program {} is gone", point.program))?;
            try_point(program, point)
                .with_context(|| format!("cannot attach to {} {}", point.hook, point.direction))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| scope.spawn(attempt).join())
        .unwrap_or_else(|_| Err(anyhow!("the thread that tries a hook panicked")))
}

/// Attaches a program and detaches it again.
fn try_point(program: &mut Program, point: &Point) -> Result<()> {
    let (name, index) = LOOPBACK;
    match (point.hook, program) {
        (Hook::Tcx, Program::SchedClassifier(program)) => {
            attach::tcx(program, name, point.direction, 0).map(drop)
        }
        (Hook::Tc, Program::SchedClassifier(program)) => filter(program, point.direction),
        (Hook::Xdp, Program::Xdp(program)) => attach::xdp(program, index).map(drop),
        (hook, Program::TracePoint(program)) => attach::tracepoint(program, hook).map(drop),
        _ => Err(anyhow!("the program {} is of another type", point.program)),
    }
}

fn filter(program: &mut SchedClassifier, direction: Direction) -> Result<()> {
    let (name, index) = LOOPBACK;
    if !has_clsact(index)? {
        tc::qdisc_add_clsact(name)?;
    }
    let options = TcAttachOptions::Netlink(NlOptions::default());
    let link = program.attach_with_options(name, direction.into(), options)?;
    Ok(program.detach(link)?)
}
