//! The bpffs of the bundle, and the lock that keeps two runs of this tool apart.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::{
    fs::{FlockOperation, Mode, OFlags},
    mount::{MountFlags, UnmountFlags},
};

use super::layout;
use crate::exit::{Exit, Failure};

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
/// What tables of mounts show as the source of ours; before Linux 5.15 they show `none` for every bpffs.
const SOURCE: &str = "dns-trace";
/// Folder by which we know our mount again. No instance can have this name.
const MARK_DIR: &str = "_mounted";
/// Folder whose `flock` serialises the runs of this tool. Only root may enter, so nobody else can
/// hold it. No instance can have this name.
const LOCK_DIR: &str = "_lock";

/// The mounted and locked bpffs. When dropped it unlocks, and unmounts what it mounted itself if
/// nothing was put there.
#[derive(Debug)]
pub(crate) struct Mount {
    root: PathBuf,
    _lock: OwnedFd,
}

impl Mount {
    /// Mounts the bpffs unless it is there, and waits for the lock.
    pub(crate) fn ensure(root: &Path) -> Result<Self> {
        loop {
            if !is_bpffs(root) {
                mount(root)?;
            }
            let mount = Self::lock(root)?;
            // Whoever held the lock before may have unmounted it all while this run waited.
            if root.join(LOCK_DIR).is_dir() {
                return Ok(mount);
            }
        }
    }

    /// Locks a bpffs that is there; `None` if it is not.
    pub(crate) fn existing(root: &Path) -> Result<Option<Self>> {
        if is_bpffs(root) {
            Self::lock(root).map(Some)
        } else {
            Ok(None)
        }
    }

    fn lock(root: &Path) -> Result<Self> {
        let path = root.join(LOCK_DIR);
        layout::make_folder(&path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = rustix::fs::open(&path, flags, Mode::empty())
            .and_then(|fd| rustix::fs::flock(&fd, FlockOperation::LockExclusive).map(|()| fd))
            .with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self {
            root: root.to_owned(),
            _lock: lock,
        })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Best effort: whatever stops it is shown by the next run, which finds the mount.
        let _ = release(&self.root);
    }
}

/// Whether a bpffs is there.
pub(crate) fn is_bpffs(root: &Path) -> bool {
    // The width and sign of f_type differ between architectures.
    rustix::fs::statfs(root)
        .is_ok_and(|s| u64::try_from(s.f_type).is_ok_and(|t| t & 0xffff_ffff == BPF_FS_MAGIC))
}

fn mount(root: &Path) -> Result<()> {
    layout::make_folder(root)?;
    if !layout::names(root)?.is_empty() {
        let message = format!(
            "{} is a folder with files in it, not the bundle's bpffs (move them away, or check what made them)",
            root.display()
        );
        return Err(Failure::new(Exit::Runtime, message));
    }
    // What lies under the mount is an empty folder: readers are to see by it that the mount is gone.
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot let others look into {}", root.display()))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(SOURCE, root, "bpf", flags, c"mode=0700").map_err(|error| {
        let _ = fs::remove_dir(root);
        let exit = match error {
            rustix::io::Errno::NODEV => Exit::Kernel,
            rustix::io::Errno::PERM => Exit::Permission,
            _ => Exit::Runtime,
        };
        Failure::new(
            exit,
            format!(
                "cannot mount a bpffs at {}: {}",
                root.display(),
                io::Error::from(error)
            ),
        )
    })?;
    layout::make_folder(&root.join(MARK_DIR))
}

/// Unmounts the bundle's bpffs if this tool mounted it and no instance is left. Gives whether it did.
pub(crate) fn release(root: &Path) -> Result<bool> {
    // Names with a dot are the kernel's own (`maps.debug`, `progs.debug`).
    let is_used = |root| {
        Ok::<_, anyhow::Error>(
            layout::names(root)?
                .iter()
                .any(|n| n != LOCK_DIR && n != MARK_DIR && !n.contains('.')),
        )
    };
    if !is_bpffs(root) || is_used(root)? {
        return Ok(false);
    }
    let _ = fs::remove_dir(root.join(LOCK_DIR));
    if !root.join(MARK_DIR).is_dir() {
        return Ok(false);
    }
    rustix::mount::unmount(root, UnmountFlags::DETACH)
        .with_context(|| format!("cannot unmount {}", root.display()))?;
    // Somebody else may have made the folder and may keep it.
    let _ = fs::remove_dir(root);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_folder_is_no_bpffs() {
        assert!(!is_bpffs(Path::new("/proc")));
        assert!(!is_bpffs(Path::new("/no/such/folder")));
    }
}
