//! A capture file with nanoseconds (draft-ietf-opsawg-pcap, section 4).

use std::io::{self, Write};

use crate::corpus::Packet;
use crate::frame::ethernet;

/// Time of day at which the corpus starts, nanoseconds since 1970.
pub const START_NS: u64 = 1_767_323_045_000_000_000;

const NANOSECONDS: u32 = 0xa1b2_3c4d;
const ETHERNET: u32 = 1;
const SNAP_LEN: u32 = 262_144;

/// Writes packets, the first of them as frame 1.
///
/// # Errors
/// The writer's.
pub fn write(writer: &mut impl Write, packets: &[Packet]) -> io::Result<()> {
    let words = [NANOSECONDS, 0x0004_0002, 0, 0, SNAP_LEN, ETHERNET];
    for word in words {
        writer.write_all(&word.to_le_bytes())?;
    }
    for packet in packets {
        let frame = ethernet(packet);
        let time = START_NS + packet.time_ns;
        let length = frame.len() as u32;
        let seconds = (time / 1_000_000_000) as u32;
        for word in [seconds, (time % 1_000_000_000) as u32, length, length] {
            writer.write_all(&word.to_le_bytes())?;
        }
        writer.write_all(&frame)?;
    }
    Ok(())
}
