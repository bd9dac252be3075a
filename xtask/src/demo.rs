//! `cargo xtask demo`: real lookups on the screen, without leaving a trace on the machine.
//!
//! The default runs on this machine, in network, mount and process namespaces of its own: when its
//! first process ends, for whatever reason, the kernel takes away all that it made. `--bpfman` runs
//! in a guest, with a registry and the bpfman daemon.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use dns_trace_tests::report::Report;

use crate::guest::{Base, Boot, Outcome};
use crate::{build, cmd, kernels, paths, setup};

/// Kernel of the guest.
const KERNEL: &str = "6.12";

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Load an image through the bpfman daemon, in a guest
    #[arg(long)]
    bpfman: bool,
}

/// Runs `cargo xtask demo`.
pub(crate) fn run(args: &Args) -> Result<bool> {
    setup::ensure()?;
    let binaries = build::binaries()?;
    if args.bpfman {
        in_guest(&binaries)
    } else {
        here(&binaries)
    }
}

/// What happens inside the namespaces before the demo: file systems of its own over `/run`, and the
/// group in a copy of `/etc/group`. `$1` is the folder with our binaries. They are copied since an
/// unprivileged user may be unable to enter it.
const INSIDE: &str = "\
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/bin /run/lab
cp \"$1/dns-trace\" \"$1/dns-tracectl\" \"$1/guest\" /run/bin/
grep -v '^dns-trace:' /etc/group > /run/lab/group
echo 'dns-trace:x:990:' >> /run/lab/group
mount --bind /run/lab/group /etc/group
export PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec guest demo local
";

fn here(binaries: &Path) -> Result<bool> {
    let mut command;
    if setup::is_root() {
        command = Command::new("unshare");
    } else {
        println!("The kernel lets only root load programs: this uses sudo.");
        command = Command::new("sudo");
        command.arg("unshare");
    }
    command.args([
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    command.args(["sh", "-c", INSIDE, "demo"]).arg(binaries);
    cmd::succeeds(&mut command)
}

fn in_guest(binaries: &Path) -> Result<bool> {
    let kernels = kernels::select(Some(KERNEL))?;
    let kernel = kernels.first().context("no kernel for the demo")?.fetch()?;
    let folder = paths::target().join("vm/demo");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let initramfs = folder.join("initramfs.cpio");
    Base::build(binaries, &[])?.with_modules(&kernel, &initramfs)?;
    let boot = Boot {
        kernel: &kernel,
        initramfs: &initramfs,
        console: folder.join("console.log"),
        arguments: "dns_trace.demo=bpfman".into(),
        disk: None,
        limit: Duration::from_secs(180),
    };
    let mut passed = false;
    let outcome = boot.run(|report| match report {
        Report::Booted { release } => {
            println!("booted {release}: starting nsd, registry and bpfman\n")
        }
        Report::Said { line } => println!("{line}"),
        Report::Passed { .. } => passed = true,
        Report::Failed { message, .. } => eprintln!("error: {message}"),
        Report::Figure { .. } | Report::Done => {}
    })?;
    if let Outcome::Broken(why) = outcome {
        eprintln!("error: {why}; console: {}", boot.console.display());
    }
    let _ = fs::remove_file(&initramfs);
    Ok(passed)
}
