//! `cargo xtask bench`: what dns-trace costs, beside its budgets and its peers.
//!
//! What measures is a package of its own, `xtask/bench`: it needs the kernel object, whose build
//! needs what `setup` installs. It runs on this machine, in network, mount and process namespaces
//! that end with it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, cmd, paths, setup};

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Short runs: enough to see that everything still measures
    #[arg(long)]
    quick: bool,
    /// Only these groups
    #[arg(long, value_name = "GROUP", value_delimiter = ',', value_parser = ["kernel", "ring", "reader", "growth", "e2e"])]
    only: Vec<String>,
    /// Seconds of one end-to-end run [default: 6, quick: 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// Queries a second of the end-to-end runs, instead of several rates
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

impl Args {
    /// Every group, in short.
    pub(crate) const fn quick() -> Self {
        Self {
            quick: true,
            only: Vec::new(),
            seconds: Some(1),
            rate: None,
        }
    }
}

/// What happens inside the namespaces before the bench: file systems of its own over `/run`, a
/// bpffs, and the group in a copy of `/etc/group`. `$1` is the folder with our binaries. They are
/// copied since an unprivileged user may be unable to enter it.
const INSIDE: &str = "\
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/bin /run/lab /run/bench/bpf
mount -t bpf bpf /run/bench/bpf
cp \"$1/dns-trace\" \"$1/dns-tracectl\" \"$1/guest\" \"$1/dns-trace-bench\" /run/bin/
grep -v '^dns-trace:' /etc/group > /run/lab/group
echo 'dns-trace:x:990:' >> /run/lab/group
mount --bind /run/lab/group /etc/group
export PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin
shift
exec dns-trace-bench \"$@\"
";

/// Runs `cargo xtask bench`.
pub(crate) fn run(args: &Args) -> Result<bool> {
    setup::ensure()?;
    let binaries = build::binaries()?;
    let mut cargo = cmd::cargo();
    cargo.current_dir(paths::project());
    cargo.args([
        "build",
        "--release",
        "--quiet",
        "--package",
        "dns-trace-bench",
    ]);
    cmd::run(&mut cargo)?;
    let data = paths::target().join("bench");
    fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;

    let mut command;
    if setup::is_root() {
        command = Command::new("unshare");
    } else {
        println!("The kernel lets only root load programs: this uses sudo.");
        command = Command::new("sudo");
        command.arg("unshare");
    }
    command.args(["--mount", "--net", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "sh", "-c", INSIDE, "bench"]);
    command.arg(binaries).arg("--data").arg(data);
    if args.quick {
        command.arg("--quick");
    }
    if !args.only.is_empty() {
        command.arg("--only").arg(args.only.join(","));
    }
    if let Some(seconds) = args.seconds {
        command.arg("--seconds").arg(seconds.to_string());
    }
    if let Some(rate) = args.rate {
        command.arg("--rate").arg(rate.to_string());
    }
    cmd::succeeds(&mut command)
}
