//! Names of network devices. An index means something in its own network namespace only, so a
//! device of another namespace stays without a name.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Names kept; a host with more devices forgets all and asks again.
const CACHE_MAX: usize = 4096;

/// Looks up and remembers names.
#[derive(Debug)]
pub struct Interfaces {
    socket: Option<OwnedFd>,
    own_netns: Option<u64>,
    names: HashMap<u32, Option<Box<str>>>,
}

impl Interfaces {
    /// Opens a socket to ask through; without one no device has a name.
    #[must_use]
    pub fn new() -> Self {
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).ok();
        Self {
            own_netns: socket.as_ref().and_then(netns_cookie),
            socket,
            names: HashMap::new(),
        }
    }

    /// Knows the names given and asks nobody, for tests.
    #[must_use]
    pub fn fixed(names: &[(u32, &str)]) -> Self {
        let names = names
            .iter()
            .map(|(index, name)| (*index, Some((*name).into())));
        Self {
            socket: None,
            own_netns: None,
            names: names.collect(),
        }
    }

    /// Name of a device seen in the namespace of that cookie; 0 is taken for the reader's own.
    pub fn name(&mut self, netns_cookie: u64, ifindex: u32) -> Option<&str> {
        if netns_cookie != 0 && self.own_netns != Some(netns_cookie) {
            return None;
        }
        if self.names.len() >= CACHE_MAX {
            self.names.clear();
        }
        let socket = self.socket.as_ref();
        let name = self.names.entry(ifindex).or_insert_with(|| {
            let name = rustix::net::netdevice::index_to_name(socket?, ifindex).ok()?;
            // The kernel forbids '/' and white space in names, nothing else.
            name.chars()
                .all(|c| c.is_ascii_graphic())
                .then(|| name.into())
        });
        name.as_deref()
    }
}

impl Default for Interfaces {
    fn default() -> Self {
        Self::new()
    }
}

/// Cookie of the namespace a socket is in; Linux 5.14.
fn netns_cookie(socket: &OwnedFd) -> Option<u64> {
    let mut cookie = 0_u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: `cookie` and `len` live through the call and `len` is the size of `cookie`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    (result == 0).then_some(cookie)
}
