//! Names of network devices. An index means something in its own network namespace only, so a
//! device of another namespace stays without a name.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Names kept; a host with more devices forgets all and asks again.
const CACHE_MAX: usize = 4096;
/// Time after which a name is asked for anew, nanoseconds: devices come, go and change their names.
const FRESH_NS: u64 = 1_000_000_000;

/// Looks up and remembers names.
#[derive(Debug)]
pub struct Interfaces {
    socket: Option<OwnedFd>,
    own_netns: Option<u64>,
    names: HashMap<u32, Known>,
}

/// The last name of a device.
#[derive(Debug)]
struct Known {
    name: Option<Box<str>>,
    /// When it was asked for, boot time; `None` if it never is.
    asked_ns: Option<u64>,
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
        let known = |name: &str| Known {
            name: Some(name.into()),
            asked_ns: None,
        };
        let names = names.iter().map(|(index, name)| (*index, known(name)));
        Self {
            socket: None,
            own_netns: None,
            names: names.collect(),
        }
    }

    /// Name of a device seen in the namespace of that cookie; 0 is taken for the reader's own. A device that
    /// is gone keeps the name that it had, since what was seen at it may be told later. `seen_ns` is the boot time at
    /// which it was seen; by that a name ages, which spares a clock for every line.
    pub fn name(&mut self, netns_cookie: u64, ifindex: u32, seen_ns: u64) -> Option<&str> {
        if netns_cookie != 0 && self.own_netns != Some(netns_cookie) {
            return None;
        }
        if self.names.len() >= CACHE_MAX {
            self.names.clear();
        }
        let socket = self.socket.as_ref();
        let known = match self.names.entry(ifindex) {
            Entry::Occupied(entry) => {
                let known = entry.into_mut();
                let aged = |asked: u64| seen_ns > asked.saturating_add(FRESH_NS);
                if known.asked_ns.is_some_and(aged) {
                    known.asked_ns = Some(seen_ns);
                    known.name = ask(socket, ifindex).or_else(|| known.name.take());
                }
                known
            }
            Entry::Vacant(entry) => entry.insert(Known {
                name: ask(socket, ifindex),
                asked_ns: Some(seen_ns),
            }),
        };
        known.name.as_deref()
    }
}

/// The name that the device has now.
fn ask(socket: Option<&OwnedFd>, ifindex: u32) -> Option<Box<str>> {
    let name = rustix::net::netdevice::index_to_name(socket?, ifindex).ok()?;
    // The kernel forbids '/' and white space in names, nothing else.
    name.chars()
        .all(|c| c.is_ascii_graphic())
        .then(|| name.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An index that no device has.
    const NONE: u32 = 0x7fff_fff0;

    /// Long after 0.
    const LATER: u64 = 2 * FRESH_NS;

    #[test]
    fn a_name_is_asked_for_anew() {
        let mut interfaces = Interfaces::new();
        assert_eq!(interfaces.name(0, 1, 0), Some("lo"));
        for known in interfaces.names.values_mut() {
            known.name = Some("old".into());
        }
        let early = interfaces.name(0, 1, FRESH_NS);
        assert_eq!(early, Some("old"), "asked for each time");
        assert_eq!(interfaces.name(0, 1, LATER), Some("lo"));
    }

    #[test]
    fn a_device_that_is_gone_keeps_its_name() {
        let mut interfaces = Interfaces::new();
        assert_eq!(interfaces.name(0, NONE, 0), None);
        for known in interfaces.names.values_mut() {
            known.name = Some("veth1".into());
        }
        assert_eq!(interfaces.name(0, NONE, LATER), Some("veth1"));
    }
}
