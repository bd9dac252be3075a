//! A file for `--config`, and the command line of the reader.
#![no_main]

use std::fs;
use std::sync::OnceLock;

use dns_trace::cli::Cli;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

fuzz_target!(|text: &[u8]| {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| TempDir::new_in("/dev/shm").unwrap());
    let path = folder.path().join("dns-trace.toml");
    fs::write(&path, text).unwrap();
    for command in ["watch", "stats"] {
        let args = ["dns-trace", "--config", path.to_str().unwrap(), command];
        if let Err(error) = dns_trace_options::parse::<Cli>(args.map(Into::into)) {
            assert_eq!(error.exit_code(), 2, "{error}");
        }
    }
});
