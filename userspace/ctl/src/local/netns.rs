//! Network namespaces: entered by a thread of its own, so that this process stays where it is.

use std::{
    fs::File,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use rustix::{
    net::{AddressFamily, SocketType, netdevice},
    thread::LinkNameSpaceType,
};

use crate::exit::{Exit, Failure};

/// Where `ip netns` keeps named namespaces.
const NAMED: &str = "/run/netns";
/// The namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace.
#[derive(Debug)]
pub(crate) struct Netns {
    file: File,
    inode: u64,
    /// As the operator wrote it, a name made into a path; `None` for the namespace of this process.
    path: Option<PathBuf>,
}

impl Netns {
    /// The namespace with that name or path; without one that of this process.
    pub(crate) fn open(name: Option<&str>) -> Result<Self> {
        let path = name.map(|n| {
            if n.contains('/') {
                PathBuf::from(n)
            } else {
                Path::new(NAMED).join(n)
            }
        });
        let file = path.as_deref().unwrap_or(Path::new(OWN));
        let open = File::open(file).and_then(|f| f.metadata().map(|m| (f, m.ino())));
        match open {
            Ok((file, inode)) => Ok(Self { file, inode, path }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let message = format!(
                    "there is no network namespace {} (see: ip netns)",
                    file.display()
                );
                Err(Failure::new(Exit::Missing, message))
            }
            Err(error) => Err(error)
                .with_context(|| format!("cannot open the network namespace {}", file.display())),
        }
    }

    /// Looks for the namespace with that inode: this process's, one that is mounted somewhere, or
    /// that of a process. `None` if it is gone, or known only to an open file.
    pub(crate) fn find(inode: u64) -> Option<Self> {
        let own = Self::open(None).ok()?;
        if own.inode == inode {
            return Some(own);
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        mounted(&mounts, inode)
            .into_iter()
            .chain(
                processes
                    .map(|p| p.path().join("ns/net"))
                    .filter(|p| is(p, inode)),
            )
            .find_map(|path| {
                Self::open(path.to_str())
                    .ok()
                    .filter(|ns| ns.inode == inode)
            })
    }

    /// Number of the namespace.
    pub(crate) const fn inode(&self) -> u64 {
        self.inode
    }

    /// Path of the namespace; `None` for that of this process.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Runs `work` on a thread inside the namespace.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let enter = || {
            if self.path.is_some() {
                rustix::thread::move_into_link_name_space(
                    self.file.as_fd(),
                    Some(LinkNameSpaceType::Network),
                )
                .map_err(|error| match error {
                    rustix::io::Errno::INVAL => Failure::new(
                        Exit::Missing,
                        format!("{self} is no network namespace (see: ip netns)"),
                    ),
                    other => {
                        anyhow!(other).context(format!("cannot enter the network namespace {self}"))
                    }
                })?;
            }
            work()
        };
        std::thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|_| {
            Err(anyhow!(
                "the thread in the network namespace {self} panicked"
            ))
        })
    }

    /// Whether it is the namespace of process 1, where a daemon of this host lives.
    pub(crate) fn is_hosts(&self) -> bool {
        is(Path::new("/proc/1/ns/net"), self.inode)
    }

    /// Cookie of the namespace; 0 where the kernel does not tell (before Linux 5.14).
    pub(crate) fn cookie(&self) -> Result<u64> {
        self.run(|| {
            let socket = any_socket()?;
            let mut cookie = 0u64;
            let mut size = size_of::<u64>() as libc::socklen_t;
            // SAFETY: both pointers are to live variables, and `size` is that of `cookie`.
            let done = unsafe {
                libc::getsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_NETNS_COOKIE,
                    (&raw mut cookie).cast(),
                    &raw mut size,
                )
            };
            Ok(if done == 0 { cookie } else { 0 })
        })
    }

    /// Index of an interface in the namespace.
    pub(crate) fn ifindex(&self, iface: &str) -> Result<u32> {
        self.run(|| {
            netdevice::name_to_index(any_socket()?, iface).map_err(|error| match error {
                rustix::io::Errno::NODEV => Failure::new(
                    Exit::Missing,
                    format!(
                        "there is no interface {} in {self} (see: ip link)",
                        crate::exit::clean(iface)
                    ),
                ),
                other => anyhow!(other).context(format!(
                    "cannot look up the interface {}",
                    crate::exit::clean(iface)
                )),
            })
        })
    }

    /// Name of an interface; `None` if it is gone.
    pub(crate) fn iface(&self, ifindex: u32) -> Option<String> {
        self.run(|| Ok(netdevice::index_to_name(any_socket()?, ifindex).ok()))
            .ok()
            .flatten()
    }
}

impl std::fmt::Display for Netns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}", path.display()),
            None => f.write_str("this network namespace"),
        }
    }
}

/// A socket of the calling thread's namespace, for ioctls.
fn any_socket() -> Result<std::os::fd::OwnedFd> {
    rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None)
        .context("cannot make a socket")
}

fn is(path: &Path, inode: u64) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.ino() == inode)
}

/// Mount points of the namespace in a `mountinfo`: its fourth field is `net:[inode]`.
fn mounted(table: &str, inode: u64) -> Vec<PathBuf> {
    let wanted = format!("net:[{inode}]");
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(3);
            (fields.next()? == wanted)
                .then(|| fields.next())
                .flatten()
                .map(PathBuf::from)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_found_by_inode() {
        let own = Netns::open(None).unwrap();
        let found = Netns::find(own.inode()).unwrap();
        assert_eq!(found.inode(), own.inode());
        assert!(Netns::find(1).is_none());
        assert_eq!(found.cookie().unwrap(), own.cookie().unwrap());
    }

    #[test]
    fn mounted_namespaces_are_found_by_inode() {
        let table = "\
40 28 0:4 net:[4026532281] /run/netns/blue rw - nsfs nsfs rw
41 28 0:4 net:[4026532282] /run/netns/red rw - nsfs nsfs rw
";
        assert_eq!(mounted(table, 4_026_532_282), [Path::new("/run/netns/red")]);
        assert!(mounted(table, 402_653_228).is_empty());
    }

    #[test]
    fn what_is_not_there_is_missing() {
        let error = Netns::open(Some("no-such-netns")).unwrap_err();
        assert!(
            error.to_string().contains("/run/netns/no-such-netns"),
            "{error}"
        );
        assert_eq!(crate::exit::code_of(&error), Exit::Missing);
        let error = Netns::open(None)
            .unwrap()
            .ifindex("no-such-if")
            .unwrap_err();
        assert_eq!(crate::exit::code_of(&error), Exit::Missing);
    }
}
