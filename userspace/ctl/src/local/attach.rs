//! Attaching pinned programs, so that they stay when this process ends, and detaching them.
//!
//! TCX, XDP and tracepoints have links, which are pinned. A tc filter stays by itself: beside the
//! pins stands a symbolic link that says whether the clsact qdisc is ours, and the filter is found
//! again by the kernel id of its program.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use aya::programs::{
    FEntry, LinkOrder, ProgramError, SchedClassifier, TcAttachType, TracePoint, Xdp, XdpMode,
    links::{FdLink, Link, PinnedLink},
    loaded_programs,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle},
};

use aya_obj::programs::XdpAttachType;

use super::{
    Netns,
    tc::{filters, has_clsact, remove_clsact},
    xdp::xdp_programs,
};
use crate::{
    bundle::{Layout, Way, note},
    exit::{Exit, Failure},
    hook::{Direction, Hook, Point},
    instance::Spot,
};

const CLSACT_OURS: &str = "clsact-made-by-dns-tracectl";
const CLSACT_FOUND: &str = "clsact-found";
/// Priorities from here on go behind the other programs of a TCX hook, which knows no numbers.
const TCX_LAST_FROM: u16 = 500;

/// What became of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detached {
    /// It is gone.
    Done,
    /// The namespace of a tc filter cannot be found: most likely it is gone, and the filter too.
    NamespaceGone,
}

impl From<Direction> for TcAttachType {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Ingress => Self::Ingress,
            Direction::Egress => Self::Egress,
        }
    }
}

/// Whether the kernel still has that attachment. Where it cannot be asked the pin counts.
pub(crate) fn is_attached(
    layout: &Layout,
    ns: &Netns,
    iface: &str,
    spot: &Spot,
    program: u32,
) -> Result<bool> {
    if fs::symlink_metadata(layout.link(Way::Local, spot)).is_err() {
        return Ok(false);
    }
    match spot.hook {
        Hook::Tcx => ns.run(|| {
            let (_, programs) = SchedClassifier::query_tcx(iface, spot.direction.into())?;
            Ok(programs.iter().any(|p| p.id() == program))
        }),
        Hook::Tc => ns.run(|| {
            Ok(filters(spot.ifindex, spot.direction)?
                .iter()
                .any(|f| f.program == Some(program)))
        }),
        Hook::Xdp => ns.run(|| {
            let programs = xdp_programs(spot.ifindex)?;
            Ok(programs.iter().any(|(_, id)| *id == program))
        }),
        _ => Ok(true),
    }
}

/// Attaches the pinned program of `point` at `spot`.
pub(crate) fn attach(
    layout: &Layout,
    ns: &Netns,
    iface: &str,
    spot: &Spot,
    point: &Point,
    priority: u16,
) -> Result<()> {
    let program = layout.program(point.program);
    let link = layout.link(Way::Local, spot);
    // What stands there belongs to an interface that is gone, or to a filter that somebody removed.
    if fs::symlink_metadata(&link).is_ok() {
        fs::remove_file(&link).with_context(|| format!("cannot remove {}", link.display()))?;
    }
    let result = ns.run(|| match spot.hook {
        Hook::Tcx => {
            let mut program = SchedClassifier::from_pin(program)?;
            pin(tcx(&mut program, iface, spot.direction, priority)?, &link)
        }
        Hook::Xdp => {
            let mut program = Xdp::from_pin(program, XdpAttachType::Interface)?;
            pin(xdp(&mut program, spot.ifindex)?, &link)
        }
        Hook::Tc => filter(layout, &program, iface, spot, priority),
        Hook::DevQueue | Hook::ReceiveSkb => {
            let mut program = TracePoint::from_pin(program)?;
            pin(tracepoint(&mut program, spot.hook)?, &link)
        }
        Hook::UdpSend | Hook::Udp6Send | Hook::TcpSend => {
            function(&program).and_then(|fd| pin(fd, &link))
        }
    });
    result.map_err(|error| explain(error, ns, iface, spot))
}

fn pin(link: FdLink, path: &Path) -> Result<()> {
    link.pin(path)
        .map(drop)
        .with_context(|| format!("cannot pin the link {}", path.display()))
}

pub(super) fn tcx(
    program: &mut SchedClassifier,
    iface: &str,
    direction: Direction,
    priority: u16,
) -> Result<FdLink> {
    let order = if priority < TCX_LAST_FROM {
        LinkOrder::first()
    } else {
        LinkOrder::last()
    };
    let id =
        program.attach_with_options(iface, direction.into(), TcAttachOptions::TcxOrder(order))?;
    Ok(FdLink::try_from(program.take_link(id)?)?)
}

pub(super) fn xdp(program: &mut Xdp, ifindex: u32) -> Result<FdLink> {
    let id = match program.attach_to_if_index(ifindex, XdpMode::default()) {
        // The driver's own mode may not do, for example with a large MTU; the generic one always does.
        Err(ProgramError::SyscallError(error))
            if !matches!(error.io_error.raw_os_error(), Some(EBUSY | EEXIST | ENODEV)) =>
        {
            program.attach_to_if_index(ifindex, XdpMode::Skb)?
        }
        result => result?,
    };
    Ok(FdLink::try_from(program.take_link(id)?)?)
}

pub(super) fn tracepoint(program: &mut TracePoint, hook: Hook) -> Result<FdLink> {
    let (category, name) = hook.tracepoint().context("not a tracepoint")?;
    let id = program
        .attach(category, name)
        .map_err(|error| match error {
            ProgramError::TracePointError(error) => Failure::new(
                Exit::Kernel,
                format!("{error} (run: sudo mount -t tracefs tracefs /sys/kernel/tracing)"),
            ),
            other => other.into(),
        })?;
    FdLink::try_from(program.take_link(id)?).map_err(|_| {
        Failure::new(
            Exit::Kernel,
            "this kernel cannot keep a tracepoint attached without a process (needs Linux 5.15)",
        )
    })
}

/// At the entry of the function that the program was loaded for.
pub(super) fn function(program: &Path) -> Result<FdLink> {
    let mut program = FEntry::from_pin(program)?;
    let id = program.attach()?;
    Ok(program.take_link(id)?.into())
}

/// Adds a filter, and before it what is needed to find it again.
fn filter(layout: &Layout, program: &Path, iface: &str, spot: &Spot, priority: u16) -> Result<()> {
    let mut program = SchedClassifier::from_pin(program)?;
    let found = has_clsact(spot.ifindex)?;
    let ours = !found || ours_at(layout, spot)?;
    let path = layout.link(Way::Local, spot);
    std::os::unix::fs::symlink(if ours { CLSACT_OURS } else { CLSACT_FOUND }, &path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    if !found {
        tc::qdisc_add_clsact(iface)?;
    }
    // It is there where nothing but the symbolic link was removed.
    let id = program.info()?.id();
    let filters = filters(spot.ifindex, spot.direction)?;
    if filters.iter().any(|f| f.program == Some(id)) {
        return Ok(());
    }
    let options = NlOptions {
        priority,
        ..NlOptions::default()
    };
    let id = program.attach_with_options(
        iface,
        spot.direction.into(),
        TcAttachOptions::Netlink(options),
    )?;
    // Dropping it would remove the filter. It owns nothing but numbers.
    std::mem::forget(program.take_link(id)?);
    Ok(())
}

/// Whether another filter of the instance on the same interface says that the qdisc is ours.
fn ours_at(layout: &Layout, spot: &Spot) -> Result<bool> {
    Ok(layout.spots(Way::Local)?.iter().any(|other| {
        (other.hook, other.ifindex, other.netns) == (Hook::Tc, spot.ifindex, spot.netns)
            && note(&layout.link(Way::Local, other)).as_deref() == Some(CLSACT_OURS)
    }))
}

/// Linux error numbers of `asm-generic/errno-base.h`.
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EBUSY: i32 = 16;

fn os_error(error: &anyhow::Error) -> Option<i32> {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error())
}

fn explain(error: anyhow::Error, ns: &Netns, iface: &str, spot: &Spot) -> anyhow::Error {
    let gone = spot.ifindex != 0 && ns.iface(spot.ifindex).is_none();
    match (os_error(&error), spot.hook) {
        _ if gone => Failure::new(
            Exit::Missing,
            format!("the interface {iface} in {ns} vanished while attaching to it (see: ip link)"),
        ),
        (Some(EBUSY | EEXIST), Hook::Xdp) => Failure::new(
            Exit::Runtime,
            format!(
                "{iface} already has an XDP program, and only a loader that chains them can add one \
                 (load through bpfman, or use --hook tcx)"
            ),
        ),
        _ => {
            let (hook, direction) = (spot.hook, spot.direction);
            let place = if iface.is_empty() {
                String::new()
            } else {
                format!(" of {iface} in {ns}")
            };
            error.context(format!("cannot attach to {hook} {direction}{place}"))
        }
    }
}

/// Takes an attachment away. `program` is the kernel id of the attached program.
pub(crate) fn detach(layout: &Layout, spot: &Spot, program: Option<u32>) -> Result<Detached> {
    let path = layout.link(Way::Local, spot);
    let mut outcome = Detached::Done;
    if spot.hook == Hook::Tc {
        let ours = note(&path).as_deref() == Some(CLSACT_OURS);
        match Netns::find(spot.netns) {
            None => outcome = Detached::NamespaceGone,
            Some(ns) => ns
                .run(|| remove_filter(spot, program, ours))
                .with_context(|| {
                    format!(
                        "cannot remove the {} filter of the interface with index {}",
                        spot.direction, spot.ifindex
                    )
                })?,
        }
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    } else {
        PinnedLink::from_pin(&path)
            .map_err(anyhow::Error::from)
            .and_then(|link| Ok(link.unpin()?))
            .with_context(|| format!("cannot remove the link {}", path.display()))?;
    }
    Ok(outcome)
}

fn remove_filter(spot: &Spot, program: Option<u32>, clsact_ours: bool) -> Result<()> {
    let own = Netns::open(None)?;
    // The interface is gone, and with it its filters.
    let Some(iface) = own.iface(spot.ifindex) else {
        return Ok(());
    };
    for filter in filters(spot.ifindex, spot.direction)? {
        if filter.program.is_some() && filter.program == program {
            SchedClassifierLink::attached(
                &iface,
                spot.direction.into(),
                filter.priority,
                TcHandle::from(filter.handle),
                None,
            )?
            .detach()?;
        }
    }
    let is_empty = || -> Result<bool> {
        Ok(filters(spot.ifindex, Direction::Ingress)?.is_empty()
            && filters(spot.ifindex, Direction::Egress)?.is_empty())
    };
    if clsact_ours && has_clsact(spot.ifindex)? && is_empty()? {
        remove_clsact(spot.ifindex)?;
    }
    Ok(())
}

/// Waits until the kernel has let go of the programs, which it does some time after the last pin and
/// the last link are gone.
pub(crate) fn wait_gone(programs: &[u32]) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(5);
    while loaded_programs()
        .filter_map(Result::ok)
        .any(|p| programs.contains(&p.id()))
    {
        if Instant::now() > end {
            return Err(anyhow!(
                "the programs with the ids {programs:?} are still in the kernel: somebody else uses them (see: bpftool prog)"
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
