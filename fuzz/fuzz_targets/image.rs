//! An image in a folder. The parts are its index, manifest, config and layer, which name each other by
//! digests that no fuzzer guesses: the words `MANIFEST`, `CONFIG` and `LAYER` stand for them.
#![no_main]

use std::fs;
use std::sync::OnceLock;

use dns_trace_fuzz::parts;
use dns_trace_images::Origin;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::runtime::Builder;

fuzz_target!(|bytes: &[u8]| {
    let parts = parts::<0>(bytes);
    let part = |at: usize| parts.get(at).map_or(&[][..], |(_, body)| body);
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| TempDir::new_in("/dev/shm").unwrap());
    let blobs = folder.path().join("blobs/sha256");
    let _ = fs::remove_dir_all(&blobs);
    fs::create_dir_all(&blobs).unwrap();
    let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
    fs::write(folder.path().join("oci-layout"), version).unwrap();
    let put = |bytes: &[u8]| {
        let hex = format!("{:x}", Sha256::digest(bytes));
        fs::write(blobs.join(&hex), bytes).unwrap();
        format!("sha256:{hex}")
    };
    let (config, layer) = (put(part(2)), put(part(3)));
    let manifest = String::from_utf8_lossy(part(1));
    let manifest = manifest.replace("CONFIG", &config).replace("LAYER", &layer);
    let manifest = put(manifest.as_bytes());
    let index = String::from_utf8_lossy(part(0)).replace("MANIFEST", &manifest);
    fs::write(folder.path().join("index.json"), index).unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    let origin = Origin::Layout(folder.path().to_owned());
    let inspected = runtime.block_on(origin.inspect());
    let pulled = runtime.block_on(origin.pull("amd64"));
    if let (Ok(inspection), Ok(pulled)) = (inspected, pulled) {
        assert_eq!(inspection.programs, pulled.description.programs);
    }
});
