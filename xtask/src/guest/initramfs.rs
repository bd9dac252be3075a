//! The guest's file system: an initramfs of programs, their libraries and a few files.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use dns_trace_corpus::{corpus, pcap, tshark};
use dns_trace_tests::lab::replay;

use super::files::{EXTRA_LIBRARIES, FILES, FOLDERS, HOST_FILES, PROGRAMS};
use super::modules;
use crate::kernels::Fetched;
use crate::{cmd, paths};

/// Our binaries and where they go in the guest.
const OURS: &[&str] = &["dns-trace", "dns-tracectl", "guest"];
/// bpfman's binaries, from the cache.
const BPFMAN: &[&str] = &["bpfman", "bpfman-rpc"];

/// The part of the file system that all kernels share, as a cpio archive.
pub(crate) struct Base {
    archive: PathBuf,
}

impl Base {
    /// Builds the archive from our binaries in `binaries` and `extra` programs.
    pub(crate) fn build(binaries: &Path, extra: &[PathBuf]) -> Result<Self> {
        let work = paths::target().join("vm");
        fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
        let stage = tempfile::Builder::new()
            .prefix("stage-")
            .tempdir_in(&work)?;
        let root = stage.path();
        for (folder, mode) in FOLDERS {
            let folder = root.join(folder);
            fs::create_dir_all(&folder)?;
            fs::set_permissions(&folder, Permissions::from_mode(*mode))?;
        }
        for (file, text) in FILES {
            fs::write(root.join(file), text)?;
        }
        for file in HOST_FILES {
            copy_in_place(root, Path::new(file))?;
        }
        let mut programs: Vec<PathBuf> = OURS.iter().map(|name| binaries.join(name)).collect();
        for name in BPFMAN {
            programs.push(paths::tool(name)?);
        }
        programs.extend_from_slice(extra);
        for name in PROGRAMS {
            programs.push(
                cmd::find(name)
                    .with_context(|| format!("cannot find {name}; run: cargo xtask setup"))?,
            );
        }
        add_programs(root, &programs)?;
        add_busybox(root)?;
        symlink("/usr/bin/guest", root.join("init"))?;
        add_corpus(root)?;
        let archive = work.join("base.cpio");
        pack(root, &archive)?;
        Ok(Self { archive })
    }

    /// Writes the whole initramfs for a kernel: the shared part, then its modules.
    pub(crate) fn with_modules(&self, kernel: &Fetched, to: &Path) -> Result<()> {
        self.with(kernel, &[], &[], to)
    }

    /// The same with more modules, and with files in `/deploy`.
    pub(crate) fn with(
        &self,
        kernel: &Fetched,
        modules: &[&str],
        files: &[PathBuf],
        to: &Path,
    ) -> Result<()> {
        let folder = to.parent().context("the archive has no folder")?;
        let stage = tempfile::Builder::new()
            .prefix("stage-")
            .tempdir_in(folder)?;
        modules::stage(&kernel.modules, modules, stage.path())?;
        for file in files {
            let name = file.file_name().context("a file without a name")?;
            fs::create_dir_all(stage.path().join("deploy"))?;
            copy(file, &stage.path().join("deploy").join(name))?;
        }
        let modules = folder.join("modules.cpio");
        pack(stage.path(), &modules)?;
        // The kernel unpacks archives that follow one another.
        let mut out =
            File::create(to).with_context(|| format!("cannot create {}", to.display()))?;
        for part in [&self.archive, &modules] {
            io::copy(&mut File::open(part)?, &mut out)?;
        }
        Ok(())
    }
}

/// The corpus as a capture file, and what tshark, which is too large for the guest, makes of it here.
fn add_corpus(root: &Path) -> Result<()> {
    let place = |file: &str| root.join(file.trim_start_matches('/'));
    let capture = place(replay::CAPTURE);
    pcap::write(&mut File::create(&capture)?, &corpus::packets(corpus::SEED))?;
    fs::write(place(replay::PDML), tshark::run(&capture)?)?;
    Ok(())
}

/// Copies programs to `/usr/bin` and their libraries to where the loader looks for them.
fn add_programs(root: &Path, programs: &[PathBuf]) -> Result<()> {
    let mut libraries: BTreeSet<PathBuf> = EXTRA_LIBRARIES.iter().map(PathBuf::from).collect();
    for program in programs {
        let name = program.file_name().context("a program without a name")?;
        copy(program, &root.join("usr/bin").join(name))?;
        libraries.extend(libraries_of(program)?);
    }
    for library in libraries {
        copy_in_place(root, &library)?;
    }
    Ok(())
}

/// Copies a file of the host to the same path in the guest.
fn copy_in_place(root: &Path, file: &Path) -> Result<()> {
    let to = root.join(file.strip_prefix("/").unwrap_or(file));
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    copy(file, &to)
}

/// Busybox and its applets. Where the real program is there, no applet hides it.
fn add_busybox(root: &Path) -> Result<()> {
    let busybox = cmd::find("busybox").context("cannot find busybox; run: cargo xtask setup")?;
    copy(&busybox, &root.join("bin/busybox"))?;
    let applets = cmd::output(Command::new(&busybox).arg("--list"))?;
    for applet in applets.lines().filter(|name| *name != "busybox") {
        if !root.join("usr/bin").join(applet).exists() {
            symlink("busybox", root.join("bin").join(applet))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// The libraries that a program is linked with, the loader included.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let out = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot run ldd")?;
    let text = String::from_utf8_lossy(&out.stdout);
    if text.contains("not found") {
        bail!("{} misses libraries:\n{text}", program.display());
    }
    // Lines: `libc.so.6 => /lib/…/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`. A static
    // program has none.
    let words = text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(words.map(PathBuf::from).collect())
}

/// Packs a folder, owned by root, into an archive that the kernel unpacks.
fn pack(root: &Path, archive: &Path) -> Result<()> {
    let mut find = Command::new("find")
        .current_dir(root)
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run find")?;
    let list = find.stdout.take().context("find has no output")?;
    let file =
        File::create(archive).with_context(|| format!("cannot create {}", archive.display()))?;
    let mut cpio = Command::new("cpio");
    cpio.current_dir(root)
        .args(["--quiet", "-o", "-H", "newc", "-R", "0:0"])
        .stdin(list)
        .stdout(file);
    cmd::run(&mut cpio)?;
    find.wait()?;
    Ok(())
}
