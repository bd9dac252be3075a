//! Segments of two connections. A part's head: whether it is of a response (bit 0) and of the second
//! connection (bit 1), TCP flags, 16 ms since the one before, bytes that no record holds, and how far
//! its sequence number is from where the one before in its stream ended (16 bits).
#![no_main]

use dns_trace_event::{FLAG_TRUNCATED, L4_TCP};
use dns_trace_fuzz::{parts, record, through};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut time_ns = 1;
    let mut next = [100_u32; 4];
    let mut records = Vec::new();
    for (&[bits, flags, later, missing, low, high], payload) in parts(bytes) {
        time_ns += u64::from(later) << 24;
        let next = &mut next[usize::from(bits & 3)];
        let seq = next.wrapping_add_signed(i16::from_le_bytes([low, high]).into());
        records.push(record(time_ns, bits & 1 != 0, payload, |header| {
            header.l4 = L4_TCP;
            header.tcp_flags = flags;
            header.tcp_seq = seq;
            header.netns_cookie = u64::from(bits & 2);
            header.wire_len += u32::from(missing);
            if missing > 0 {
                header.flags |= FLAG_TRUNCATED;
            }
            *next = seq.wrapping_add(header.wire_len);
        }));
    }
    through(&records, 0);
});
