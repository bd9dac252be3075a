//! The layer: a gzipped tar with one file.

use std::io::{Cursor, Read, Write};

use dns_trace_event::OBJECT_NAME;
use flate2::{Compression, GzBuilder, read::GzDecoder};

use crate::{Error, OBJECT_MAX, spec::digest};

/// Most bytes of a layer after decompression: the object, and tar's own blocks around it.
const TAR_MAX: usize = OBJECT_MAX + (64 << 10);

/// A packed layer.
pub(crate) struct Layer {
    /// The gzipped tar.
    pub(crate) bytes: Vec<u8>,
    /// Digest of the tar before compression.
    pub(crate) diff_id: String,
}

/// Packs an object. Nothing of the machine, the user or the clock gets in.
pub(crate) fn pack(object: &[u8]) -> Result<Layer, Error> {
    let tar = tar(object).map_err(|e| Error::malformed("layer", e))?;
    let gzip = gzip(&tar).map_err(|e| Error::malformed("layer", e))?;
    Ok(Layer {
        bytes: gzip,
        diff_id: digest(&tar),
    })
}

fn tar(object: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(object.len() as u64);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, OBJECT_NAME, object)?;
    builder.into_inner()
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    // No name, no time; operating system 255 (unknown), RFC 1952, section 2.3.1.
    let builder = GzBuilder::new().mtime(0).operating_system(255);
    let mut encoder = builder.write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Takes the object out of a layer of unknown origin. Names of entries are compared, never used as
/// paths.
pub(crate) fn unpack(layer: &[u8]) -> Result<Vec<u8>, Error> {
    let mut tar = Vec::new();
    GzDecoder::new(layer)
        .take(TAR_MAX as u64 + 1)
        .read_to_end(&mut tar)
        .map_err(|e| Error::malformed("layer", e))?;
    if tar.len() > TAR_MAX {
        return Err(Error::TooLarge {
            what: "the layer",
            limit: OBJECT_MAX,
        });
    }
    let length = tar.len();
    let mut archive = tar::Archive::new(Cursor::new(tar));
    let mut entries = archive
        .entries()
        .map_err(|e| Error::malformed("layer", e))?;
    // bpfman takes the first entry, whatever its name.
    let Some(entry) = entries.next() else {
        return Err(Error::malformed("layer", "it is empty"));
    };
    let entry = entry.map_err(|e| Error::malformed("layer", e))?;
    if entry.path_bytes().as_ref() != OBJECT_NAME.as_bytes()
        || !entry.header().entry_type().is_file()
    {
        let cause = format!("its first entry is not the file {OBJECT_NAME}");
        return Err(Error::malformed("layer", cause));
    }
    let mut object = Vec::new();
    // A header can claim any size: never more bytes than came.
    entry
        .take(length as u64)
        .read_to_end(&mut object)
        .map_err(|e| Error::malformed("layer", e))?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bytes are a contract: a release can be rebuilt. They depend on the compressor too.
    #[test]
    fn golden_bytes() {
        let layer = pack(b"object").unwrap();
        assert_eq!(
            (layer.diff_id.as_str(), digest(&layer.bytes).as_str()),
            (
                "sha256:49f0456ad29bdec7e8332841cd458a7da9a41ba6a6db851304d16de455dd97e8",
                "sha256:5ba6d803957d7c65e33bc8317fa545c8a95056ab50d8a752f5999a98308e7460",
            ),
        );
    }

    #[test]
    fn edge_sizes() {
        for size in [0, 1, 511, 512, 513, 100_000] {
            let object = vec![7; size];
            assert_eq!(unpack(&pack(&object).unwrap().bytes).unwrap(), object);
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = gzip(&vec![0; TAR_MAX + 1]).unwrap();
        assert!(bomb.len() < 100_000);
        assert!(matches!(unpack(&bomb), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn other_names_and_kinds_are_refused() {
        for (name, kind) in [
            ("../etc/passwd", tar::EntryType::Regular),
            ("other.o", tar::EntryType::Regular),
            (OBJECT_NAME, tar::EntryType::Symlink),
            (OBJECT_NAME, tar::EntryType::Directory),
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_size(0);
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            let mut builder = tar::Builder::new(Vec::new());
            builder.append(&header, &[][..]).unwrap();
            let layer = gzip(&builder.into_inner().unwrap()).unwrap();
            assert!(
                matches!(unpack(&layer), Err(Error::Malformed { .. })),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = unpack(&bytes);
        }

        #[test]
        fn any_tar(mut tar in proptest::collection::vec(any::<u8>(), 0..4096)) {
            // With a magic the parser goes further.
            if tar.len() > 265 {
                tar[257..265].copy_from_slice(b"ustar\x0000");
            }
            let _ = unpack(&gzip(&tar).unwrap());
        }

        #[test]
        fn a_damaged_layer(at in 0usize..600, value in any::<u8>()) {
            let mut tar = tar(&[1; 600]).unwrap();
            tar[at] = value;
            let _ = unpack(&gzip(&tar).unwrap());
        }
    }
}
