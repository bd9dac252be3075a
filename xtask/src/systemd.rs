//! `cargo xtask systemd`: the units of `images/deploy/systemd` on a Debian 12 that systemd boots, and boots
//! again. What is looked at stands in `tests/src/systemd.rs`. Needs root, to make the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dns_trace_tests::report::Report;

use crate::guest::{Base, Boot, Outcome};
use crate::setup::step;
use crate::{build, cmd, kernels, paths, setup};

/// Kernel of the guest.
const KERNEL: &str = "6.12";
/// Modules that a disk needs.
const MODULES: &[&str] = &["crc32c_generic", "virtio_pci", "virtio_blk", "ext4"];
/// What is on the disk besides Debian's base.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,nsd,bind9-dnsutils";
/// Size of the disk.
const SIZE: &str = "1G";
/// Boots in emulation, twice.
const LIMIT: Duration = Duration::from_secs(600);
/// Boots that are looked at.
const BOOTS: usize = 2;

/// Arguments of `cargo xtask systemd`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Use the binaries that an earlier run has built
    #[arg(long)]
    no_build: bool,
}

/// Runs `cargo xtask systemd`.
pub(crate) fn run(args: &Args) -> Result<bool> {
    setup::ensure()?;
    ensure!(
        setup::is_root(),
        "only root can make the disk; run: sudo -E cargo xtask systemd"
    );
    let binaries = if args.no_build {
        build::folder()
    } else {
        build::binaries()?
    };
    let disk = disk()?;
    let kernels = kernels::select(Some(KERNEL))?;
    let kernel = kernels.first().context("no kernel")?.fetch()?;
    let folder = paths::target().join("vm/systemd");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let initramfs = folder.join("initramfs.cpio");
    Base::build(&binaries, &[])?.with(&kernel, MODULES, &files()?, &initramfs)?;
    let boot = Boot {
        kernel: &kernel,
        initramfs: &initramfs,
        console: folder.join("console.log"),
        arguments: "dns_trace.systemd=1".into(),
        disk: Some(&disk),
        limit: LIMIT,
    };
    let mut passed = 0;
    let mut failed = false;
    let outcome = boot.run(|report| match report {
        Report::Passed { name, seconds } => {
            passed += 1;
            println!("test {KERNEL}::{name} ... ok ({seconds:.1} s)");
        }
        Report::Failed { name, message, .. } => {
            failed = true;
            println!("test {KERNEL}::{name} ... FAILED\n    {message}");
        }
        Report::Booted { .. } | Report::Said { .. } | Report::Figure { .. } | Report::Done => {}
    })?;
    let _ = fs::remove_file(&initramfs);
    if let Outcome::Broken(why) = outcome {
        bail!("{why}; console: {}", boot.console.display());
    }
    if failed {
        println!("    console: {}", boot.console.display());
    }
    Ok(!failed && passed == BOOTS)
}

/// The units and what belongs to them.
fn files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in ["images/deploy/systemd", "tests/systemd"] {
        let folder = paths::project().join(folder);
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            files.push(entry?.path());
        }
    }
    Ok(files)
}

/// The disk, made once.
fn disk() -> Result<PathBuf> {
    let cache = paths::cache()?;
    let disk = cache.join("debian-12-systemd.ext4");
    if !disk.is_file() {
        let work = tempfile::Builder::new()
            .prefix("disk-")
            .tempdir_in(&cache)?;
        step("making a Debian that systemd boots (about 2 min)", || {
            make_disk(&cache, work.path(), &disk)
        })?;
    }
    Ok(disk)
}

fn make_disk(cache: &Path, work: &Path, disk: &Path) -> Result<()> {
    let mirror =
        std::env::var("DNS_TRACE_DEBIAN_MIRROR").unwrap_or_else(|_| "http://deb.debian.org".into());
    let (tree, new) = (work.join("tree"), work.join("disk"));
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "--include", PACKAGES, "bookworm"]);
    debootstrap.arg(&tree).arg(format!("{mirror}/debian"));
    cmd::logged(&mut debootstrap, &cache.join("logs/debootstrap.log"))?;
    // The tests start a name server of their own.
    fs::remove_file(tree.join("etc/systemd/system/multi-user.target.wants/nsd.service"))
        .context("cannot keep nsd from starting")?;
    fs::remove_dir_all(tree.join("var/cache/apt"))?;
    let mut mke2fs = Command::new("/sbin/mke2fs");
    mke2fs.args(["-q", "-t", "ext4", "-d"]).arg(&tree);
    mke2fs.arg(&new).arg(SIZE);
    cmd::logged(&mut mke2fs, &cache.join("logs/mke2fs.log"))?;
    fs::rename(&new, disk).with_context(|| format!("cannot create {}", disk.display()))
}
