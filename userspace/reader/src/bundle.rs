//! Opens what the operator handed over: the rings of an instance, each with its counters and its
//! doorbell. Every way in which that fails has its own error, with the command that mends it.

mod doorbell;
mod folders;
mod locks;
mod records;
mod refusal;

use std::fs::{self, File};
use std::io;
use std::mem::{self, offset_of};
use std::path::{Path, PathBuf};

use aya::maps::{Map, MapData, MapError, PerCpuArray};
use dns_trace_event::{
    ABI_VERSION, KIND_OWNER, MAP_CONTROL, MAP_EVENTS, MAP_STATS, OwnerRecord, Stats,
};
use doorbell::Doorbell;
pub use folders::{Folder, Identity, folders};
use records::Memory;
pub use records::{FEW, Few};
pub use refusal::Remedy;
use rustix::fs::FlockOperation;
use thiserror::Error;

/// Where every record says what it is.
const KIND_AT: usize = offset_of!(OwnerRecord, kind);

/// Why an instance cannot be read.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Nothing is loaded under that name.
    #[error(
        "no rings in {}: instance {instance:?} is not loaded (run: sudo dns-tracectl load --help)",
        path.display()
    )]
    NoBundle {
        /// The instance.
        instance: String,
        /// Where its rings should be.
        path: PathBuf,
    },
    /// The pins are not for this user.
    #[error("cannot open {}: permission denied ({remedy})", path.display())]
    Permission {
        /// What was to be opened.
        path: PathBuf,
        /// What mends it.
        remedy: Remedy,
    },
    /// bpf() is refused by the kernel itself. Since Linux 5.19 (commit c8644cd0efe7) it lets everybody
    /// open a pin.
    #[error(
        "cannot open {}: this kernel ({release}) refuses bpf() to a process without CAP_BPF, and \
         reading without privilege needs Linux 5.19 (update the kernel, or run as root)",
        path.display()
    )]
    Kernel {
        /// What was to be opened.
        path: PathBuf,
        /// Release of the kernel.
        release: String,
    },
    /// bpf() is refused to a process whose system calls are filtered.
    #[error(
        "cannot open {}: bpf() is refused although the pin is yours (the seccomp profile of this \
         process, as a container has one, forbids it; allow the bpf system call in it)",
        path.display()
    )]
    Refused {
        /// What was to be opened.
        path: PathBuf,
    },
    /// A ring has one consumer.
    #[error(
        "{} is being read by {}: a ring has one reader (stop that one, or load another instance: \
         sudo dns-tracectl load --instance NAME)",
        path.display(), reader(*pid)
    )]
    AnotherReader {
        /// The ring's folder.
        path: PathBuf,
        /// The other reader, where it can be told.
        pid: Option<u32>,
    },
    /// Kernel part and reader speak different versions.
    #[error(
        "the kernel part in {} speaks ABI {found}, this reader speaks {ABI_VERSION} ({})",
        path.display(), mend_abi(*found)
    )]
    Abi {
        /// The ring's folder.
        path: PathBuf,
        /// Version of the kernel part.
        found: u32,
    },
    /// Anything else on the way to a map.
    #[error("cannot open {}: {source}", path.display())]
    Io {
        /// What was to be opened.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A map is not what its name says.
    #[error("{} is not the map it should be: {source} (run: sudo dns-tracectl unload, and load anew)", path.display())]
    Map {
        /// The pin.
        path: PathBuf,
        /// What is wrong.
        source: MapError,
    },
}

impl OpenError {
    /// Exit code of the process, as documented in `--help`.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::Map { .. } => 1,
            Self::NoBundle { .. } => 3,
            Self::Permission { .. } | Self::Refused { .. } => 4,
            Self::AnotherReader { .. } => 5,
            Self::Abi { .. } => 6,
            Self::Kernel { .. } => 7,
        }
    }

    fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::permission(path),
            _ => Self::Io {
                path: path.to_owned(),
                source,
            },
        }
    }

    fn permission(path: &Path) -> Self {
        Self::Permission {
            path: path.to_owned(),
            remedy: Remedy::of(path),
        }
    }

    /// What `BPF_OBJ_GET` or a look at the map says. EACCES is about the pin, EPERM about bpf().
    fn map(path: &Path, source: MapError) -> Self {
        let path = path.to_owned();
        let MapError::SyscallError(error) = &source else {
            return Self::Map { path, source };
        };
        match error.io_error.raw_os_error() {
            Some(libc::EACCES) => Self::permission(&path),
            Some(libc::EPERM) if is_filtered() => Self::Refused { path },
            Some(libc::EPERM) => {
                let uname = rustix::system::uname();
                let release = uname.release().to_string_lossy().into_owned();
                Self::Kernel { path, release }
            }
            Some(code) => Self::Io {
                path,
                source: io::Error::from_raw_os_error(code),
            },
            None => Self::Map { path, source },
        }
    }
}

fn reader(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

const fn mend_abi(found: u32) -> &'static str {
    if found < ABI_VERSION as u32 {
        "run: sudo dns-tracectl unload, and load anew"
    } else {
        "update dns-trace to the version of the kernel part"
    }
}

/// Whether somebody has put a filter before the system calls of this thread.
fn is_filtered() -> bool {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let mode = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() != "0")
}

/// [`Stats`], as aya wants map values.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
struct StatsValue(Stats);
// SAFETY: `Stats` is `repr(C)` and holds `u64` only.
unsafe impl aya::Pod for StatsValue {}

/// The maps of one capture program, or of several that share them.
pub struct Ring {
    /// The ring, to be waited for.
    pub events: MapData,
    /// The kernel's id of their map.
    pub id: u32,
    /// Its folder.
    pub folder: Identity,
    doorbell: Doorbell,
    memory: Memory,
    epoch: u32,
    /// Whether owners have been announced through this ring.
    pub announces: bool,
    /// Whether nothing has come through it yet.
    pub is_untouched: bool,
    stats: PerCpuArray<MapData, StatsValue>,
    /// Holds the lock on the folder for as long as the ring is open.
    _lock: File,
}

/// Whether owners were announced.
#[derive(Debug)]
pub struct Announcements<'r> {
    doorbell: &'r Doorbell,
    epoch: &'r mut u32,
}

impl Announcements<'_> {
    /// Whether some have been lost since this was asked last. To be asked before a record is taken in: the
    /// program raises the epoch before it commits the packet that belongs to one.
    #[inline]
    pub fn lost(&mut self) -> bool {
        let epoch = self.doorbell.epoch();
        mem::replace(self.epoch, epoch) != epoch
    }
}

impl Ring {
    /// Opens the ring in a folder, which nobody else may read then.
    ///
    /// # Errors
    /// [`OpenError`]; nothing stays open then.
    pub fn open(folder: &Folder) -> Result<Self, OpenError> {
        let Folder {
            path: folder,
            identity,
        } = folder;
        let lock = File::open(folder).map_err(|error| OpenError::io(folder, error))?;
        lock_folder(folder, &lock)?;
        let (path, control) = pin(folder, MAP_CONTROL)?;
        let found = control
            .info()
            .map_err(|error| OpenError::map(&path, error))?
            .max_entries();
        if found != u32::from(ABI_VERSION) {
            return Err(OpenError::Abi {
                path: folder.to_owned(),
                found,
            });
        }
        let doorbell = Doorbell::map(control.fd()).map_err(|error| OpenError::io(&path, error))?;
        let (path, stats) = pin(folder, MAP_STATS)?;
        let stats = PerCpuArray::try_from(Map::PerCpuArray(stats))
            .map_err(|error| OpenError::map(&path, error))?;
        let (path, events) = pin(folder, MAP_EVENTS)?;
        let info = events
            .info()
            .map_err(|error| OpenError::map(&path, error))?;
        let memory = Memory::map(events.fd(), info.max_entries())
            .map_err(|error| OpenError::io(&path, error))?;
        Ok(Self {
            events,
            id: info.id(),
            folder: *identity,
            epoch: doorbell.raise_epoch(),
            doorbell,
            memory,
            announces: false,
            is_untouched: true,
            stats,
            _lock: lock,
        })
    }

    /// Stores one of the contract's `READER_*`, before whatever the thread reads next.
    pub fn set_doorbell(&self, reader: u32) {
        self.doorbell.set(reader);
    }

    /// How full the ring is: 0 to 1.
    #[must_use]
    pub fn fill(&self) -> f64 {
        self.memory.fill()
    }

    /// The records that come next, and what tells whether announcements of owners have been lost.
    #[inline]
    pub fn few(&mut self) -> (Few<'_>, Announcements<'_>) {
        let few = self.memory.few();
        let is_owner = |record: &&[u8]| record.get(KIND_AT) == Some(&KIND_OWNER);
        self.is_untouched &= few.records().is_empty();
        self.announces |= few.records().iter().any(is_owner);
        let announcements = Announcements {
            doorbell: &self.doorbell,
            epoch: &mut self.epoch,
        };
        (few, announcements)
    }

    /// The counters, summed over all CPUs.
    ///
    /// # Errors
    /// The map's.
    pub fn stats(&self) -> Result<Stats, MapError> {
        let mut sum = Stats::default();
        for value in self.stats.get(&0, 0)?.iter() {
            sum.add(&value.0);
        }
        Ok(sum)
    }
}

/// Opens all rings of an instance, in the order of their numbers.
///
/// # Errors
/// [`OpenError`]; nothing stays open then.
pub fn open(root: &Path, instance: &str) -> Result<Vec<Ring>, OpenError> {
    folders(root, instance)?.iter().map(Ring::open).collect()
}

fn pin(folder: &Path, name: &str) -> Result<(PathBuf, MapData), OpenError> {
    let path = folder.join(name);
    match MapData::from_pin(&path) {
        Ok(map) => Ok((path, map)),
        Err(error) => Err(OpenError::map(&path, error)),
    }
}

fn lock_folder(folder: &Path, lock: &File) -> Result<(), OpenError> {
    match rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::AnotherReader {
            path: folder.to_owned(),
            pid: locks::holder(lock),
        }),
        Err(error) => Err(OpenError::io(folder, error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_instance_is_named_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        let error = open(root.path(), "default").err().unwrap();
        assert!(matches!(error, OpenError::NoBundle { .. }), "{error}");
        fs::create_dir_all(root.path().join("default/rings")).unwrap();
        let error = open(root.path(), "default").err().unwrap();
        assert_eq!(error.exit_code(), 3);
    }

    #[test]
    fn a_second_reader_learns_who_the_first_is() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("default/rings/0");
        fs::create_dir_all(&folder).unwrap();
        let first = File::open(&folder).unwrap();
        lock_folder(&folder, &first).unwrap();
        match open(root.path(), "default").err().unwrap() {
            OpenError::AnotherReader { pid, .. } => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other}"),
        }
    }
}
