//! Blocks and their options, in little endian, which the section header says.

/// Block types.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
pub(super) const INTERFACE_STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;

/// `opt_comment`, of every block.
pub(super) const COMMENT: u16 = 1;
/// `epb_flags`.
pub(super) const EPB_FLAGS: u16 = 2;

/// Octets of type and length.
const HEAD: usize = 8;
/// Octets of a block without a body.
const LEAST: usize = 12;

/// Appends a block whose body is what `body` appends: a multiple of four octets.
pub(super) fn write(kind: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - start + 4) as u32;
    out[start + 4..start + HEAD].copy_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
}

/// Appends an option; of a value what its length can say.
pub(super) fn option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    let value = &value[..value.len().min(u16::MAX.into())];
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(value.len(), out);
}

/// Appends the end of options.
pub(super) fn end_of_options(out: &mut Vec<u8>) {
    option(0, &[], out);
}

/// Appends what so many octets lack to a multiple of four.
pub(super) fn pad(octets: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 3][..(4 - octets % 4) % 4]);
}

/// Appends a time in nanoseconds since 1970 (`if_tsresol` 9): the upper half, then the lower.
pub(super) fn time(unix_ns: i64, out: &mut Vec<u8>) {
    let time = u64::try_from(unix_ns).unwrap_or(0);
    for half in [(time >> 32) as u32, time as u32] {
        out.extend_from_slice(&half.to_le_bytes());
    }
}

/// Octets of the whole blocks at the start of `bytes`, and packets among them.
pub(super) fn whole_packets(bytes: &[u8]) -> (usize, u64) {
    let (mut at, mut packets) = (0, 0);
    while let Some(&[a, b, c, d, e, f, g, h]) = bytes[at..].first_chunk::<HEAD>() {
        let length = u32::from_le_bytes([e, f, g, h]) as usize;
        if length < LEAST || length > bytes.len() - at {
            break;
        }
        at += length;
        packets += u64::from(u32::from_le_bytes([a, b, c, d]) == ENHANCED_PACKET);
    }
    (at, packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_are_told_from_parts() {
        let mut bytes = Vec::new();
        write(SECTION_HEADER, &mut bytes, |_| {});
        write(ENHANCED_PACKET, &mut bytes, |out| {
            option(COMMENT, b"hello", out)
        });
        assert_eq!(bytes.len(), 12 + 24);
        let one = (12, 0);
        for (length, wanted) in [(36, (36, 1)), (35, one), (13, one), (12, one), (11, (0, 0))] {
            assert_eq!(whole_packets(&bytes[..length]), wanted);
        }
        // A length that cannot be does not end in a loop.
        assert_eq!(whole_packets(&[0; 24]), (0, 0));
    }
}
