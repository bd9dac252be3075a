//! What the devices of the reader's network namespace have counted, by `/proc/self/net/dev`.

use std::collections::HashMap;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netdevice::index_to_name;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Asks for names and counters.
#[derive(Debug)]
pub(super) struct Devices {
    socket: Option<OwnedFd>,
    netns: Option<u64>,
}

impl Devices {
    /// Opens the socket that names are asked through.
    pub(super) fn new() -> Self {
        let flags = SocketFlags::CLOEXEC;
        let netns = fs::read_link("/proc/self/ns/net").ok();
        Self {
            socket: socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).ok(),
            netns: netns.and_then(|link| inode(link.to_str()?)),
        }
    }

    /// Inode number of the network namespace; `None` without procfs.
    pub(super) const fn netns(&self) -> Option<u64> {
        self.netns
    }

    /// The counters as of now.
    pub(super) fn read(&self) -> Table<'_> {
        let text = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
        Table {
            socket: self.socket.as_ref(),
            rows: text.lines().filter_map(row).collect(),
        }
    }
}

/// Received and sent packets by the name of the device.
pub(super) struct Table<'s> {
    socket: Option<&'s OwnedFd>,
    rows: HashMap<String, (u64, u64)>,
}

impl Table<'_> {
    /// Received and sent packets of a device, `None` if there is no such device; an error if that cannot be
    /// told.
    pub(super) fn packets(&self, ifindex: u32) -> Result<Option<(u64, u64)>, ()> {
        match index_to_name(self.socket.ok_or(())?, ifindex) {
            // One that was made or renamed since the table was read is in the next one.
            Ok(name) => self.rows.get(&name).copied().map(Some).ok_or(()),
            Err(Errno::NODEV) => Ok(None),
            Err(_) => Err(()),
        }
    }
}

/// Reads `net:[4026531840]`.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// Reads a line, proc_pid_net(5): a name, a colon, eight numbers of what was received, of which the second
/// counts packets, and eight of what was sent.
fn row(line: &str) -> Option<(String, (u64, u64))> {
    let (name, numbers) = line.rsplit_once(':')?;
    let mut numbers = numbers.split_ascii_whitespace().skip(1);
    let received = numbers.next()?.parse().ok()?;
    let sent = numbers.nth(7)?.parse().ok()?;
    Some((name.trim_start().to_owned(), (received, sent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = "  eth0: 1000 11 0 0 0 0 0 0 2000 22 0 0 0 0 0 0";
        assert_eq!(row(line), Some(("eth0".to_owned(), (11, 22))));
        assert_eq!(
            row("Inter-|   Receive                            |  Transmit"),
            None
        );
        assert_eq!(row(" face |bytes    packets errs"), None);
    }

    #[test]
    fn the_loopback_device_is_there_and_another_is_not() {
        let devices = Devices::new();
        assert!(devices.netns().is_some());
        let table = devices.read();
        assert!(matches!(table.packets(1), Ok(Some(_))));
        assert_eq!(table.packets(0x7fff_fff0), Ok(None));
    }
}
