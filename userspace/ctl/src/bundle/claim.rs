//! Who follows an instance: one process at a time, and until somebody unloads it.

use std::{
    fs, io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::{
    fs::{
        FlockOperation, Mode, OFlags,
        inotify::{self, CreateFlags, WatchFlags},
    },
    io::Errno,
};
use tokio::io::unix::AsyncFd;

use super::{Layout, Way, readers::holder_of};
use crate::exit::{Exit, Failure};

/// An instance that this process follows.
#[derive(Debug)]
pub(crate) struct Claim {
    dir: PathBuf,
    /// Device and inode number of the instance's folder. bpffs gives none twice.
    folder: Option<(u64, u64)>,
    /// Tells of every name that goes from the folder around it.
    removals: AsyncFd<OwnedFd>,
    _lock: OwnedFd,
}

impl Claim {
    /// Claims an instance that is loaded; refused while another process follows it.
    pub(crate) fn new(layout: &Layout, way: Way) -> Result<Self> {
        let dir = layout.dir();
        // Only root may enter this one, so nobody else can hold the lock.
        let lock =
            lock(&layout.facts(way)).with_context(|| format!("cannot claim {}", dir.display()))?;
        let Some(lock) = lock else {
            let by = holder_of(&layout.facts(way)).filter(|pid| *pid > 0);
            let by = by.map_or_else(String::new, |pid| format!(" by process {pid}"));
            let instance = layout.instance();
            return Err(Failure::new(
                Exit::Runtime,
                format!("{instance} is followed already{by} (end it before, or use --instance)"),
            ));
        };
        let removals = removals(layout.root())
            .with_context(|| format!("cannot watch {}", layout.root().display()))?;
        Ok(Self {
            folder: identity(&dir),
            dir,
            removals,
            _lock: lock,
        })
    }

    /// Whether the instance is not there any more, or another one in its place.
    pub(crate) fn is_void(&self) -> bool {
        self.folder.is_none() || identity(&self.dir) != self.folder
    }

    /// Waits until somebody unloads the instance.
    pub(crate) async fn voided(&self) -> Result<()> {
        while !self.is_void() {
            let mut ready = self.removals.readable().await?;
            // What it was is of no interest: one looks.
            let mut buffer = [MaybeUninit::uninit(); 4096];
            match rustix::io::read(&self.removals, &mut buffer) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) | Ok(_) => {}
                Err(error) => return Err(error).context("cannot read from inotify"),
            }
        }
        Ok(())
    }
}

/// The lock of a folder; `None` if somebody has it.
fn lock(folder: &Path) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(folder, flags, Mode::empty())?;
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(fd)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error),
    }
}

fn removals(folder: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(
        &inotify,
        folder,
        WatchFlags::DELETE | WatchFlags::MOVED_FROM,
    )?;
    // SAFETY: the descriptor belongs to what is registered alone, and stays open as long as that.
    Ok(unsafe { AsyncFd::register(inotify) }?)
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(folder).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(root: &Path) -> Layout {
        let layout = Layout::new(root, &"default".parse().unwrap());
        fs::create_dir_all(layout.facts(Way::Local)).unwrap();
        layout
    }

    #[tokio::test]
    async fn one_process_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let layout = loaded(root.path());
        let first = Claim::new(&layout, Way::Local).unwrap();
        let second = Claim::new(&layout, Way::Local).unwrap_err().to_string();
        let pid = std::process::id().to_string();
        assert!(
            second.contains("followed already by process") && second.contains(&pid),
            "{second}"
        );
        drop(first);
        Claim::new(&layout, Way::Local).unwrap();
    }

    #[tokio::test]
    async fn it_ends_when_the_instance_goes_and_not_when_others_do() {
        let root = tempfile::tempdir().unwrap();
        let layout = loaded(root.path());
        let other = root.path().join("other");
        fs::create_dir(&other).unwrap();
        let claim = Claim::new(&layout, Way::Local).unwrap();
        fs::remove_dir(&other).unwrap();
        let soon = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, claim.voided()).await.is_err());
        fs::remove_dir_all(layout.dir()).unwrap();
        claim.voided().await.unwrap();
    }
}
