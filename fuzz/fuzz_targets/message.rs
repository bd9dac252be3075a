//! Messages over UDP. A part's head: whether it is a response (bit 0), of mDNS (bit 1) or LLMNR (bit
//! 2), and 16 ms since the one before. An odd number of parts has early responses held back.
#![no_main]

use dns_trace_fuzz::{parts, record, through};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut time_ns = 1;
    let mut records = Vec::new();
    for (&[bits, later], payload) in parts(bytes) {
        time_ns += u64::from(later) << 24;
        let port = match bits & 6 {
            0 => 53,
            2 => 5353,
            _ => 5355,
        };
        let response = bits & 1 != 0;
        records.push(record(time_ns, response, payload, |header| {
            let server = match response {
                true => &mut header.source_port,
                false => &mut header.destination_port,
            };
            *server = port;
        }));
    }
    let hold_ns = [0, 200_000_000][records.len() % 2];
    through(&records, hold_ns);
});
