//! pcapng: packets as Wireshark reads them (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>).
//!
//! Of a packet we have addresses, ports, payload, and sequence number and flags of TCP. The headers
//! are made anew from them (`headers.rs`), and every file says so. A payload that was cut gives a packet whose
//! captured length is less than its original length.
//!
//! Blocks are written by hand (`block.rs`). What crates there are wants a vector of options for every packet, or is
//! not kept any more, and what we write is five kinds of blocks.

mod block;
mod headers;
mod section;

use super::{Asker, Format, note};
use crate::clock::WallClock;
use crate::counts::KernelCounts;
use crate::interface::Interfaces;
use crate::record::{Direction, Packet};
use crate::spool::Whole;
use section::Section;

/// `epb_flags`, bits 0 and 1.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Writes packets.
#[derive(Debug)]
pub struct Pcapng {
    section: Section,
    comment: String,
}

impl Pcapng {
    /// Packets from these interfaces.
    #[must_use]
    pub fn new(interfaces: Interfaces) -> Self {
        Self {
            section: Section::new(interfaces),
            comment: String::new(),
        }
    }
}

impl Format for Pcapng {
    const SEGMENTS: bool = true;
    const WHOLE: Whole = block::whole_packets;

    fn head(&mut self, out: &mut Vec<u8>) {
        self.section.begin(out);
    }

    fn tail(&mut self, clock: WallClock, kernel: Option<&KernelCounts>, out: &mut Vec<u8>) {
        self.section.end(clock, kernel, out);
    }

    fn write(
        &mut self,
        packet: &Packet<'_>,
        _: bool,
        asker: &Asker,
        clock: WallClock,
        out: &mut Vec<u8>,
    ) {
        let interface = self.section.interface(packet, clock, out);
        self.comment.clear();
        note::comment(packet, asker, &mut self.comment);
        block::write(block::ENHANCED_PACKET, out, |out| {
            out.extend_from_slice(&interface.to_le_bytes());
            block::time(clock.unix_ns(packet.time_ns), out);
            let lengths = out.len();
            out.extend_from_slice(&[0; 8]);
            let start = out.len();
            headers::write(packet, out);
            let headers = (out.len() - start) as u32;
            out.extend_from_slice(packet.payload);
            let captured = (out.len() - start) as u32;
            let original = headers.saturating_add(packet.wire_len);
            out[lengths..lengths + 4].copy_from_slice(&captured.to_le_bytes());
            out[lengths + 4..start].copy_from_slice(&original.to_le_bytes());
            block::pad(captured as usize, out);
            let direction = match packet.direction {
                Direction::Ingress => INBOUND,
                Direction::Egress => OUTBOUND,
            };
            block::option(block::EPB_FLAGS, &direction.to_le_bytes(), out);
            if !self.comment.is_empty() {
                block::option(block::COMMENT, self.comment.as_bytes(), out);
            }
            block::end_of_options(out);
        });
    }

    fn dropped(&mut self, packet: &Packet<'_>) {
        self.section.dropped(packet);
    }
}
