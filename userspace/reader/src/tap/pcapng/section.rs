//! A section: its header, the interfaces of its packets, and at the end their statistics. A file is one
//! section, or several if interfaces come and go by the thousand.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::block;
use crate::clock::{WallClock, boot_now};
use crate::counts::KernelCounts;
use crate::interface::Interfaces;
use crate::record::Packet;

/// Packets begin with their IP header, of either version (`LINKTYPE_RAW`).
const LINKTYPE_RAW: u16 = 101;
/// Most interfaces of a section.
const INTERFACES_MAX: usize = 4096;

/// Options of the section header.
const SHB_OS: u16 = 3;
const SHB_USERAPPL: u16 = 4;
/// Options of an interface description.
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
/// Options of interface statistics.
const ISB_STARTTIME: u16 = 2;
const ISB_ENDTIME: u16 = 3;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;

const NOTE: &str = "IP, UDP and TCP headers are made from the addresses, ports, sequence numbers and \
                    flags that were captured; all their other fields are invented. Payload is as it was.";

/// An interface, as packets of the section refer to it.
#[derive(Debug, Default)]
struct Interface {
    /// Its number, once it has been described.
    id: Option<u32>,
    /// Packets that were to be recorded.
    received: u64,
    /// Those for which there was no room.
    dropped: u64,
}

/// The section that is being written.
#[derive(Debug)]
pub(super) struct Section {
    names: Interfaces,
    /// By cookie of the network namespace, and index.
    interfaces: HashMap<(u64, u32), Interface>,
    described: u32,
    begun_ns: i64,
}

impl Section {
    pub(super) fn new(names: Interfaces) -> Self {
        Self {
            names,
            interfaces: HashMap::new(),
            described: 0,
            begun_ns: 0,
        }
    }

    /// Appends the header of a section without interfaces.
    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        self.interfaces.clear();
        self.described = 0;
        self.begun_ns = WallClock::sample().unix_ns(boot_now());
        let system = rustix::system::uname();
        let os = format!(
            "{} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy()
        );
        block::write(block::SECTION_HEADER, out, |out| {
            out.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
            // Version 1.0; a section whose length is not known.
            out.extend_from_slice(&[1, 0, 0, 0]);
            out.extend_from_slice(&[0xff; 8]);
            block::option(SHB_OS, os.as_bytes(), out);
            let tool = concat!("dns-trace ", env!("CARGO_PKG_VERSION"));
            block::option(SHB_USERAPPL, tool.as_bytes(), out);
            block::option(block::COMMENT, NOTE.as_bytes(), out);
            block::end_of_options(out);
        });
    }

    /// The number of a packet's interface, which is described first if it is new.
    pub(super) fn interface(
        &mut self,
        packet: &Packet<'_>,
        clock: WallClock,
        out: &mut Vec<u8>,
    ) -> u32 {
        let key = (packet.netns_cookie, packet.ifindex);
        if self.interfaces.len() >= INTERFACES_MAX && !self.interfaces.contains_key(&key) {
            self.end(clock, None, out);
            self.begin(out);
        }
        let interface = self.interfaces.entry(key).or_default();
        interface.received += 1;
        *interface.id.get_or_insert_with(|| {
            let id = self.described;
            self.described += 1;
            let name = self.names.name(key.0, key.1, packet.time_ns);
            describe(key, name, out);
            id
        })
    }

    /// There was no room for a packet.
    pub(super) fn dropped(&mut self, packet: &Packet<'_>) {
        let key = (packet.netns_cookie, packet.ifindex);
        if self.interfaces.len() < INTERFACES_MAX || self.interfaces.contains_key(&key) {
            let interface = self.interfaces.entry(key).or_default();
            interface.received += 1;
            interface.dropped += 1;
        }
    }

    /// Appends the statistics of every interface.
    pub(super) fn end(
        &mut self,
        clock: WallClock,
        kernel: Option<&KernelCounts>,
        out: &mut Vec<u8>,
    ) {
        let now = boot_now();
        for (key, interface) in &mut self.interfaces {
            // All of its packets were dropped.
            if interface.id.is_none() {
                interface.id = Some(self.described);
                self.described += 1;
                describe(*key, self.names.name(key.0, key.1, now), out);
            }
        }
        let mut interfaces: Vec<&Interface> = self.interfaces.values().collect();
        interfaces.sort_by_key(|interface| interface.id);
        let only = interfaces.len() == 1;
        let times = (self.begun_ns, clock.unix_ns(now));
        for (i, interface) in interfaces.into_iter().enumerate() {
            // The kernel does not count by interface.
            let lost = kernel.filter(|_| i == 0);
            statistics(interface, times, lost, only, out);
        }
    }
}

fn describe((netns_cookie, ifindex): (u64, u32), name: Option<&str>, out: &mut Vec<u8>) {
    block::write(block::INTERFACE_DESCRIPTION, out, |out| {
        out.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
        // Reserved; packets of any length.
        out.extend_from_slice(&[0; 6]);
        if let Some(name) = name {
            block::option(IF_NAME, name.as_bytes(), out);
        }
        let mut description = format!("interface {ifindex}");
        if netns_cookie != 0 {
            // Writing into a string does not fail.
            let _ = write!(description, " of network namespace (cookie) {netns_cookie}");
        }
        block::option(IF_DESCRIPTION, description.as_bytes(), out);
        block::option(IF_TSRESOL, &[9], out);
        block::end_of_options(out);
    });
}

fn statistics(
    interface: &Interface,
    (begun_ns, now_ns): (i64, i64),
    kernel: Option<&KernelCounts>,
    only: bool,
    out: &mut Vec<u8>,
) {
    let timed = |code, unix_ns, out: &mut Vec<u8>| {
        let mut time = Vec::with_capacity(8);
        block::time(unix_ns, &mut time);
        block::option(code, &time, out);
    };
    block::write(block::INTERFACE_STATISTICS, out, |out| {
        out.extend_from_slice(&interface.id.unwrap_or(0).to_le_bytes());
        block::time(now_ns, out);
        timed(ISB_STARTTIME, begun_ns, out);
        timed(ISB_ENDTIME, now_ns, out);
        block::option(ISB_IFRECV, &interface.received.to_le_bytes(), out);
        block::option(ISB_IFDROP, &interface.dropped.to_le_bytes(), out);
        if let Some(kernel) = kernel {
            let lost = kernel.lost();
            if only {
                let sum: u64 = lost.iter().map(|(_, count)| count).sum();
                block::option(ISB_OSDROP, &sum.to_le_bytes(), out);
            }
            let reasons: Vec<String> = lost
                .iter()
                .map(|(reason, count)| format!("{count} {reason}"))
                .collect();
            let text = format!(
                "lost on all interfaces before the recording: {}",
                reasons.join(", ")
            );
            block::option(block::COMMENT, text.as_bytes(), out);
        }
        block::end_of_options(out);
    });
}
