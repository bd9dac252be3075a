//! Bytes of the ring: several records of any length. A part's head: whether the record shall have the
//! ABI version of this reader (not 0), so that seeds outlive a version.
#![no_main]

use dns_trace_event::ABI_VERSION;
use dns_trace_fuzz::{parts, through};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut records = Vec::new();
    for (&[ours], record) in parts(bytes) {
        let mut record = record.to_vec();
        if let Some(version) = record.first_chunk_mut().filter(|_| ours != 0) {
            *version = ABI_VERSION.to_ne_bytes();
        }
        records.push(record);
    }
    through(&records, 0);
});
