//! Which cgroup has which id: the id is the inode number of the cgroup's folder, and folders can be listed
//! without privilege. All are listed once; from then on a thread is told of each new one (inotify(7)), so
//! that a container which has just ended is still known. Nothing here runs on the thread that reads rings
//! but a look into a table.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use lru::LruCache;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::container::Place;

/// Where cgroup v2 is mounted, alone or beside v1.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Every cgroup v2 folder has this file; `cgroup.controllers` is there from the root on.
const MARK: &str = "cgroup.controllers";
/// Most cgroups remembered; the one that was made longest ago makes room.
const MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);
/// Deepest folder looked at. The kernel's own bound is `cgroup.max.depth`.
const DEPTH_MAX: usize = 32;
/// Folders are listed anew after this time, seconds, if some may have been missed.
const AGAIN_S: i64 = 30;

/// The table that the thread fills.
#[derive(Debug)]
struct Table {
    places: Mutex<LruCache<u64, Arc<Place>>>,
    /// Raised with every new entry.
    version: AtomicU64,
}

/// Places by cgroup id, as the thread that reads rings sees them.
#[derive(Debug, Default)]
pub struct Cgroups {
    table: Option<Arc<Table>>,
    version: u64,
    seen: HashMap<u64, Option<Arc<Place>>>,
}

impl Cgroups {
    /// Lists all cgroups, and starts a thread that learns of new ones. Without a cgroup v2 file system
    /// every place is unknown.
    #[must_use]
    pub fn watch() -> Self {
        let roots = ROOTS.iter().map(Path::new);
        roots
            .into_iter()
            .find(|root| root.join(MARK).exists())
            .map_or_else(Self::default, Self::watch_at)
    }

    /// Likewise, below that folder.
    #[must_use]
    pub fn watch_at(root: &Path) -> Self {
        let table = Arc::new(Table {
            places: Mutex::new(LruCache::new(MAX)),
            version: AtomicU64::new(1),
        });
        let mut watcher = match Watcher::new(root, Arc::clone(&table)) {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::debug!(%error, "no inotify: containers stay unknown");
                return Self::default();
            }
        };
        watcher.list(PathBuf::new(), 0);
        let thread = thread::Builder::new().name("cgroups".to_owned());
        // It ends with the process.
        if let Err(error) = thread.spawn(move || watcher.run()) {
            tracing::debug!(%error, "no thread: new containers stay unknown");
        }
        Self {
            table: Some(table),
            ..Self::default()
        }
    }

    /// Where the cgroup with that id is; `None` if it is not known or its path says nothing.
    #[inline]
    pub fn place(&mut self, id: u64) -> Option<&Arc<Place>> {
        let table = self.table.as_ref()?;
        let version = table.version.load(Ordering::Acquire);
        if version != self.version || self.seen.len() >= MAX.get() {
            self.version = version;
            self.seen.clear();
        }
        let ask = || table.lock().get(&id).cloned();
        self.seen.entry(id).or_insert_with(ask).as_ref()
    }
}

impl Table {
    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<u64, Arc<Place>>> {
        // Whoever panicked meanwhile left a table that is whole.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread has.
struct Watcher {
    root: PathBuf,
    inotify: OwnedFd,
    /// Watched folders, relative to the root.
    folders: HashMap<i32, PathBuf>,
    table: Arc<Table>,
    /// Some folder could not be watched, or events were lost.
    missed: bool,
}

impl Watcher {
    fn new(root: &Path, table: Arc<Table>) -> io::Result<Self> {
        Ok(Self {
            root: root.to_owned(),
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            folders: HashMap::new(),
            table,
            missed: false,
        })
    }

    fn run(mut self) {
        loop {
            let again = Timespec {
                tv_sec: AGAIN_S,
                tv_nsec: 0,
            };
            let timeout = self.missed.then_some(&again);
            let ready = poll(&mut [PollFd::new(&self.inotify, PollFlags::IN)], timeout);
            match ready {
                Ok(0) => {
                    self.missed = false;
                    self.list(PathBuf::new(), 0);
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => self.events(),
                Err(error) => {
                    tracing::debug!(%error, "no more news of containers");
                    return;
                }
            }
        }
    }

    /// Takes in a folder and those below it. It is watched first, so that what is made meanwhile is seen
    /// by one of the two.
    fn list(&mut self, folder: PathBuf, depth: usize) {
        let path = self.root.join(&folder);
        let flags = WatchFlags::CREATE | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
        // A folder that is gone again needs no watch; its id went with it.
        match inotify::add_watch(&self.inotify, &path, flags) {
            Ok(watch) => drop(self.folders.insert(watch, folder.clone())),
            Err(rustix::io::Errno::NOENT) => return,
            Err(_) => self.missed = true,
        }
        self.remember(&folder, &path);
        let Ok(entries) = fs::read_dir(&path) else {
            return;
        };
        for entry in entries.filter_map(Result::ok) {
            if depth < DEPTH_MAX && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.list(folder.join(entry.file_name()), depth + 1);
            }
        }
    }

    fn remember(&self, folder: &Path, path: &Path) {
        let Some(place) = folder.to_str().and_then(Place::parse) else {
            return;
        };
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return;
        };
        let mut places = self.table.lock();
        if places
            .peek(&metadata.ino())
            .is_some_and(|known| **known == place)
        {
            return;
        }
        places.put(metadata.ino(), Arc::new(place));
        drop(places);
        self.table.version.fetch_add(1, Ordering::Release);
    }

    fn events(&mut self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut made = Vec::new();
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.missed = true;
            } else if flags.contains(ReadFlags::IGNORED) {
                self.folders.remove(&event.wd());
            } else if flags.contains(ReadFlags::CREATE | ReadFlags::ISDIR)
                && let Some(folder) = self.folders.get(&event.wd())
                && let Some(name) = event.file_name()
            {
                made.push(folder.join(std::ffi::OsStr::from_bytes(name.to_bytes())));
            }
        }
        for folder in made {
            let depth = folder.components().count();
            self.list(folder, depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn within_a_while<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "nothing came of it");
            thread::yield_now();
        }
    }

    #[test]
    fn what_is_there_and_what_comes_is_known_also_when_it_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let old = root.path().join("system.slice/nginx.service");
        fs::create_dir_all(&old).unwrap();
        let mut cgroups = Cgroups::watch_at(root.path());
        let id = fs::metadata(&old).unwrap().ino();
        let unit = cgroups.place(id).unwrap().unit.as_deref();
        assert_eq!(unit, Some("nginx.service"));
        assert_eq!(cgroups.place(1), None);
        // A folder in a folder that is new, too.
        let new = root
            .path()
            .join(format!("machine.slice/libpod-{ID}.scope/container"));
        fs::create_dir_all(&new).unwrap();
        let id = fs::metadata(&new).unwrap().ino();
        let place = within_a_while(|| cgroups.place(id).cloned());
        assert_eq!(place.container.as_deref(), Some(ID));
        fs::remove_dir_all(root.path().join("machine.slice")).unwrap();
        assert_eq!(cgroups.place(id), Some(&place));
    }

    #[test]
    fn without_cgroups_nothing_is_known() {
        assert_eq!(Cgroups::default().place(7), None);
        let mut nowhere = Cgroups::watch_at(Path::new("/no/such/folder"));
        assert_eq!(nowhere.place(7), None);
    }
}
