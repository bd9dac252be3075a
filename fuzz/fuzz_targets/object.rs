//! An eBPF object of unknown origin: ELF and BTF.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(inspection) = dns_trace_images::inspect_object(bytes) {
        assert!(!inspection.programs.is_empty());
    }
});
