//! The checks, each a question and its answer.

use std::{os::unix::fs::MetadataExt, path::Path};

use aya::{maps::MapType, sys::is_map_supported};
use dns_trace_bpfman::{Client, Error};
use dns_trace_event::{MAP_CONTROL, MAP_EVENTS};

use super::{Args, Check, WayChoice};
use crate::{
    bundle::{Group, Layout, holder_of, is_bpffs},
    hook::HookChoice,
    kernel, local,
};

/// Names to which exit codes are tied.
pub(super) const BPFMAN: &str = "bpfman";
pub(super) const GROUP: &str = "group";
const TCX: &str = "TCX";

/// Every check, in the order in which one stumbles over them.
pub(super) async fn all(args: &Args, way: WayChoice) -> Vec<Check> {
    let is_root = rustix::process::geteuid().is_root();
    let layout = Layout::new(&args.bundle.root, &args.bundle.instance);
    let mut checks = vec![release(), btf(), ring_buffer(is_root)];
    checks.extend(hooks(is_root));
    checks.push(processes(is_root).optional());
    checks.push(bpffs(&args.bundle.root, is_root));
    let daemon = bpfman(&args.daemon.socket, is_root).await;
    checks.push(if way == WayChoice::Bpfman {
        daemon
    } else {
        daemon.optional()
    });
    checks.push(group(&args.readers.group));
    checks.push(unprivileged(&layout));
    checks.push(pins(&layout, is_root).optional());
    checks.push(second_reader(&layout).optional());
    checks
}

/// Which kernel it is. What it can do is asked below and does not follow from that.
fn release() -> Check {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    Check::ok("kernel", format!("Linux {release}"))
}

fn btf() -> Check {
    if Path::new(kernel::BTF).exists() {
        return Check::ok("BTF", kernel::BTF);
    }
    Check::missing(
        "BTF",
        format!("no {}", kernel::BTF),
        "boot a kernel with CONFIG_DEBUG_INFO_BTF=y",
    )
}

fn ring_buffer(is_root: bool) -> Check {
    const NAME: &str = "ring buffer";
    if !is_root {
        return Check::skipped(NAME, "only root may try");
    }
    match is_map_supported(MapType::RingBuf) {
        Ok(true) => Check::ok(NAME, "the kernel makes one"),
        Ok(false) => Check::missing(
            NAME,
            "the kernel does not know it",
            "boot Linux 5.8 or later",
        ),
        Err(error) => Check::missing(
            NAME,
            crate::exit::one_line(&error.into()),
            "allow the bpf system call: needs CAP_BPF and CAP_NET_ADMIN here",
        ),
    }
}

/// Every choice of `load --hook`; what `auto` takes has to work.
fn hooks(is_root: bool) -> [Check; 4] {
    let has_tcx = kernel::has_tcx();
    let auto_is_tc = !matches!(has_tcx, Ok(true));
    let tcx = match has_tcx {
        _ if !is_root => Check::skipped(TCX, "only root may try"),
        Ok(false) => Check::missing(
            TCX,
            "the kernel does not have it; tc is used instead",
            "for TCX boot Linux 6.6 or later",
        ),
        Ok(true) => hook(TCX, HookChoice::Tcx, "use --hook tc"),
        Err(error) => Check::missing(
            TCX,
            crate::exit::one_line(&error),
            "allow the bpf system call",
        ),
    };
    let others = [
        (
            "tc",
            HookChoice::Tc,
            "load the kernel's modules sch_ingress and cls_bpf",
        ),
        ("XDP", HookChoice::Xdp, "use another --hook"),
        (
            "tracepoints",
            HookChoice::Tracepoint,
            "boot Linux 5.15 or later with tracefs mounted, or use another --hook",
        ),
    ];
    let [tc, xdp, tracepoints] = others.map(|(name, choice, remedy)| match is_root {
        true => hook(name, choice, remedy),
        false => Check::skipped(name, "only root may try"),
    });
    let [tcx, tc] = if auto_is_tc {
        [tcx.optional(), tc]
    } else {
        [tcx, tc.optional()]
    };
    [tcx, tc, xdp.optional(), tracepoints.optional()]
}

/// Attaches our programs where no packet passes, or for a moment.
fn hook(name: &'static str, choice: HookChoice, remedy: &str) -> Check {
    match local::try_hook(choice) {
        Ok(()) => Check::ok(
            name,
            "the kernel takes our programs and keeps them attached",
        ),
        Err(error) => Check::missing(name, crate::exit::one_line(&error), remedy),
    }
}

/// Loads the programs that tell which process asks, attaches them nowhere and lets them go.
fn processes(is_root: bool) -> Check {
    const NAME: &str = "processes";
    if !is_root {
        return Check::skipped(NAME, "only root may try");
    }
    match local::try_owners() {
        Ok(()) => Check::ok(NAME, "the kernel takes the programs that tell who asks"),
        Err(error) => Check::missing(
            NAME,
            crate::exit::one_line(&error),
            "boot Linux 5.12 or later with CONFIG_FUNCTION_TRACER=y and fentry allowed; without it \
             lookups are told without their process",
        ),
    }
}

fn bpffs(root: &Path, is_root: bool) -> Check {
    const NAME: &str = "bpffs";
    let root_text = root.display();
    let known = std::fs::read_to_string("/proc/filesystems").is_ok_and(|list| {
        list.lines()
            .any(|l| l.split_whitespace().last() == Some("bpf"))
    });
    if is_bpffs(root) {
        Check::ok(NAME, format!("mounted at {root_text}"))
    } else if !known {
        Check::missing(
            NAME,
            "the kernel has no bpf file system",
            "boot a kernel with CONFIG_BPF_SYSCALL=y",
        )
    } else if is_root {
        Check::ok(NAME, format!("load will mount it at {root_text}"))
    } else {
        Check::skipped(NAME, format!("not mounted at {root_text}; load does that"))
    }
}

async fn bpfman(socket: &Path, is_root: bool) -> Check {
    match Client::new(socket).probe().await {
        Ok(()) => Check::ok(BPFMAN, format!("answers at {}", socket.display())),
        Err(Error::PermissionDenied { .. }) if !is_root => {
            Check::skipped(BPFMAN, format!("{} is for root only", socket.display()))
        }
        Err(_) => Check::missing(
            BPFMAN,
            format!("no daemon at {}", socket.display()),
            "sudo systemctl start bpfman.socket, or load with --local",
        ),
    }
}

fn group(name: &str) -> Check {
    match Group::named(name) {
        Ok(group) if group.members.is_empty() => Check::ok(
            GROUP,
            format!(
                "{name} (gid {}), no members listed; to add one: sudo usermod -aG {name} USER",
                group.gid
            ),
        ),
        Ok(group) => Check::ok(
            GROUP,
            format!("{name} (gid {}): {}", group.gid, group.members.join(", ")),
        ),
        Err(_) => Check::missing(
            GROUP,
            format!("there is no group {name}"),
            format!("sudo groupadd --system {name}"),
        ),
    }
}

/// Whether readers, who have no capability, may open a pin.
fn unprivileged(layout: &Layout) -> Check {
    const NAME: &str = "unprivileged reading";
    let pin = layout.rings().join("0").join(MAP_CONTROL);
    match kernel::lets_others_read(&pin) {
        Ok(true) => Check::ok(
            NAME,
            "the kernel lets a process without capabilities open a pin",
        ),
        Ok(false) => Check::missing(
            NAME,
            "the kernel refuses bpf() to a process without capabilities, also opening a pin",
            "boot Linux 5.19 or later; in a container, allow bpf() in its seccomp profile",
        ),
        Err(error) => Check::missing(NAME, crate::exit::one_line(&error), "try as another user"),
    }
}

fn pins(layout: &Layout, is_root: bool) -> Check {
    const NAME: &str = "pins";
    let pin = layout.rings().join("0").join(MAP_EVENTS);
    let instance = layout.instance();
    match std::fs::metadata(&pin) {
        Ok(_) => Check::ok(NAME, format!("{} is there", pin.display())),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && !is_root => {
            let gid = std::fs::metadata(layout.root()).map_or(0, |m| m.gid());
            let group = Group::numbered(gid).name;
            Check::missing(
                NAME,
                format!("this user may not enter {}", layout.root().display()),
                format!("sudo usermod -aG {group} $USER, and log in again"),
            )
        }
        Err(_) => Check::missing(
            NAME,
            format!("{instance} is not loaded"),
            "sudo dns-tracectl load",
        ),
    }
}

fn second_reader(layout: &Layout) -> Check {
    const NAME: &str = "second reader";
    let folder = layout.rings().join("0");
    match (folder.is_dir(), holder_of(&folder)) {
        (false, _) => Check::skipped(NAME, "nothing to read"),
        (true, None) => Check::ok(NAME, "nobody reads: the ring is free"),
        (true, Some(pid)) => Check::missing(
            NAME,
            format!("process {pid} reads already, and a ring has one reader"),
            "end that process, or load another instance",
        ),
    }
}
