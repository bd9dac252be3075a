//! The checks, each a question and its answer.

use std::{os::unix::fs::MetadataExt, path::Path};

use aya::{
    maps::{MapData, MapType},
    sys::is_map_supported,
};
use dns_trace_bpfman::{Client, Error};
use dns_trace_event::{MAP_CONTROL, MAP_EVENTS};

use super::{Args, Check, WayChoice};
use crate::{
    bundle::{Group, Layout, is_bpffs, reader_of},
    kernel, local,
};

/// Names to which exit codes are tied.
pub(super) const BPFMAN: &str = "bpfman";
pub(super) const GROUP: &str = "group";

/// Every check, in the order in which one stumbles over them.
pub(super) async fn all(args: &Args, way: WayChoice) -> Vec<Check> {
    let is_root = rustix::process::geteuid().is_root();
    let layout = Layout::new(&args.bundle.root, &args.bundle.instance);
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut checks = vec![
        kernel_version(&release),
        btf(),
        ring_buffer(is_root),
        tcx(is_root).optional(),
        processes(is_root).optional(),
        bpffs(&args.bundle.root, is_root),
    ];
    let daemon = bpfman(&args.daemon.socket, is_root).await;
    checks.push(if way == WayChoice::Bpfman {
        daemon
    } else {
        daemon.optional()
    });
    checks.push(group(&args.readers.group));
    checks.push(unprivileged(&layout, &release, is_root));
    checks.push(pins(&layout, is_root).optional());
    checks.push(second_reader(&layout).optional());
    checks
}

/// Major and minor of a kernel release such as `6.1.0-31-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn kernel_version(release: &str) -> Check {
    match version(release) {
        Some(version) if version < (5, 8) => Check::missing(
            "kernel",
            format!("Linux {release} has no ring buffer"),
            "boot Linux 5.8 or later, better 6.6",
        ),
        _ => Check::ok("kernel", format!("Linux {release}")),
    }
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

fn tcx(is_root: bool) -> Check {
    const NAME: &str = "TCX";
    if !is_root {
        return Check::skipped(NAME, "only root may ask");
    }
    match kernel::has_tcx() {
        Ok(true) => Check::ok(NAME, "the kernel has it"),
        Ok(false) => Check::missing(
            NAME,
            "the kernel does not have it; tc is used instead",
            "for TCX boot Linux 6.6 or later",
        ),
        Err(error) => Check::missing(
            NAME,
            crate::exit::one_line(&error),
            "allow the bpf system call",
        ),
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

/// Before Linux 5.19 every bpf system call needed CAP_BPF, also opening a pin.
fn unprivileged(layout: &Layout, release: &str, is_root: bool) -> Check {
    const NAME: &str = "unprivileged reading";
    let pin = layout.rings().join("0").join(MAP_CONTROL);
    if !is_root && std::fs::File::open(&pin).is_ok() {
        return match MapData::from_pin(&pin) {
            Ok(_) => Check::ok(NAME, "this user just opened a pin"),
            Err(error) => Check::missing(
                NAME,
                format!(
                    "this user may not open a pin: {}",
                    crate::exit::one_line(&error.into())
                ),
                "boot Linux 5.19 or later",
            ),
        };
    }
    let setting =
        std::fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").unwrap_or_default();
    match version(release) {
        Some(version) if version < (5, 19) => Check::missing(
            NAME,
            "before Linux 5.19 opening a pin needs CAP_BPF",
            "boot Linux 5.19 or later, or give the reader CAP_BPF",
        ),
        _ => Check::ok(
            NAME,
            format!(
                "Linux 5.19 and later allow it, also with kernel.unprivileged_bpf_disabled={}",
                setting.trim()
            ),
        ),
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
    match (folder.is_dir(), reader_of(&folder)) {
        (false, _) => Check::skipped(NAME, "nothing to read"),
        (true, None) => Check::ok(NAME, "nobody reads: the ring is free"),
        (true, Some(pid)) => Check::missing(
            NAME,
            format!("process {pid} reads already, and a ring has one reader"),
            "end that process, or load another instance",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;

    #[test]
    fn versions_are_read_from_releases() {
        for (release, want) in [
            ("6.1.0-31-amd64", Some((6, 1))),
            ("5.10", Some((5, 10))),
            ("6.18.44-fc-v782", Some((6, 18))),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(version(release), want, "{release}");
        }
    }

    #[test]
    fn old_kernels_are_named() {
        assert_eq!(kernel_version("5.7.19").state, State::Missing);
        assert_eq!(kernel_version("5.8.0").state, State::Ok);
        let layout = Layout::new(Path::new("/no/such"), &"default".parse().unwrap());
        assert_eq!(unprivileged(&layout, "5.18.0", true).state, State::Missing);
        assert_eq!(unprivileged(&layout, "5.19.0", true).state, State::Ok);
    }
}
