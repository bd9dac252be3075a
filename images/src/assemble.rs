//! From two objects to an image.

use std::collections::BTreeMap;

use oci_distribution::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE, ImageIndexEntry,
    OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageIndex,
    OciImageManifest, Platform as OciPlatform,
};

use crate::{
    ByteOrder, Description, Error, LABEL_ABI, LABEL_MAPS, LABEL_PROGRAMS, layer,
    spec::{ImageConfig, Rootfs, Runtime, digest},
};

/// Fixed for the sake of reproducible bytes; a missing time confuses some tools.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// A kind of machine that images are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Go's name of the architecture (GOARCH), as OCI wants it.
    pub architecture: &'static str,
    /// Which object it runs.
    pub byte_order: ByteOrder,
}

impl Platform {
    /// Every platform, in the order of the index.
    pub const ALL: [Self; 5] = [
        Self::new("amd64", ByteOrder::Little),
        Self::new("arm64", ByteOrder::Little),
        Self::new("ppc64le", ByteOrder::Little),
        Self::new("riscv64", ByteOrder::Little),
        Self::new("s390x", ByteOrder::Big),
    ];

    const fn new(architecture: &'static str, byte_order: ByteOrder) -> Self {
        Self {
            architecture,
            byte_order,
        }
    }

    /// GOARCH of the machine that this runs on.
    #[must_use]
    pub fn native() -> &'static str {
        match (std::env::consts::ARCH, cfg!(target_endian = "little")) {
            ("x86_64", _) => "amd64",
            ("aarch64", _) => "arm64",
            ("powerpc64", true) => "ppc64le",
            (other, _) => other,
        }
    }
}

/// The objects of an image.
#[derive(Clone, Copy, Debug)]
pub struct Objects<'a> {
    /// For little-endian machines.
    pub little: &'a [u8],
    /// For big-endian machines.
    pub big: &'a [u8],
}

/// Bytes with their digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// `sha256:…`
    pub digest: String,
    /// Media type.
    pub media_type: &'static str,
    /// Content.
    pub bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            digest: digest(&bytes),
            media_type,
            bytes,
        }
    }
}

/// An image, complete and in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The index. Its digest is the image's.
    pub index: Blob,
    /// One manifest per platform, in the order of [`Platform::ALL`].
    pub manifests: Vec<Blob>,
    /// Layers and configs, each once.
    pub blobs: Vec<Blob>,
}

/// Makes an image of two objects, labelled with what is in them and with `version`.
///
/// # Errors
/// [`Error::CorruptObject`], [`Error::ForeignObject`], [`Error::TooLarge`],
/// [`Error::WrongByteOrder`], [`Error::ObjectsDiffer`].
pub fn build(objects: Objects<'_>, version: &str) -> Result<Bundle, Error> {
    let little = describe(objects.little, ByteOrder::Little)?;
    let big = describe(objects.big, ByteOrder::Big)?;
    agree(&little, &big)?;
    let labels = labels(&little, version);
    let layer_le = layer::pack(objects.little)?;
    let layer_be = layer::pack(objects.big)?;

    let mut blobs = Vec::new();
    let mut manifests = Vec::new();
    let mut entries = Vec::new();
    for (order, layer) in [(ByteOrder::Little, layer_le), (ByteOrder::Big, layer_be)] {
        let blob = Blob::new(IMAGE_LAYER_GZIP_MEDIA_TYPE, layer.bytes);
        for platform in Platform::ALL.iter().filter(|p| p.byte_order == order) {
            let config = config(platform, &labels, &layer.diff_id)?;
            let manifest = manifest(&config, &blob)?;
            entries.push(entry(platform, &manifest)?);
            manifests.push(manifest);
            blobs.push(config);
        }
        blobs.push(blob);
    }
    let index = OciImageIndex {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned()),
        manifests: entries,
        artifact_type: None,
        annotations: Some(
            labels
                .into_iter()
                .filter(|(key, _)| key.starts_with("org."))
                .collect(),
        ),
    };
    Ok(Bundle {
        index: document(OCI_IMAGE_INDEX_MEDIA_TYPE, &index)?,
        manifests,
        blobs,
    })
}

fn describe(object: &[u8], expected: ByteOrder) -> Result<Description, Error> {
    let description = Description::of(object)?;
    if description.byte_order == expected {
        return Ok(description);
    }
    Err(Error::WrongByteOrder {
        expected,
        actual: description.byte_order,
    })
}

fn agree(little: &Description, big: &Description) -> Result<(), Error> {
    let differ = |what| Err(Error::ObjectsDiffer { what });
    if little.programs != big.programs {
        return differ("programs");
    }
    if little.maps != big.maps {
        return differ("maps");
    }
    if little.abi != big.abi {
        return differ("ABI version");
    }
    Ok(())
}

/// Every label of an image, derived from the object but for those that describe the project.
pub(crate) fn labels(description: &Description, version: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from(
        [
            (LABEL_PROGRAMS, description.programs_label()),
            (LABEL_MAPS, description.maps_label()),
            (LABEL_ABI, description.abi.to_string()),
            (
                "org.opencontainers.image.title",
                "dns-trace bytecode".to_owned(),
            ),
            ("org.opencontainers.image.version", version.to_owned()),
            (
                "org.opencontainers.image.licenses",
                "GPL-2.0-only OR MIT".to_owned(),
            ),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    let source = env!("CARGO_PKG_REPOSITORY");
    if !source.is_empty() {
        labels.insert(
            "org.opencontainers.image.source".to_owned(),
            source.to_owned(),
        );
    }
    labels
}

fn config(
    platform: &Platform,
    labels: &BTreeMap<String, String>,
    diff_id: &str,
) -> Result<Blob, Error> {
    let config = ImageConfig {
        created: Some(CREATED.to_owned()),
        architecture: platform.architecture.to_owned(),
        os: "linux".to_owned(),
        config: Runtime {
            labels: Some(labels.clone()),
        },
        rootfs: Rootfs {
            kind: "layers".to_owned(),
            diff_ids: vec![diff_id.to_owned()],
        },
    };
    document(IMAGE_CONFIG_MEDIA_TYPE, &config)
}

fn manifest(config: &Blob, layer: &Blob) -> Result<Blob, Error> {
    let manifest = OciImageManifest {
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config: descriptor(config),
        layers: vec![descriptor(layer)],
        ..OciImageManifest::default()
    };
    document(OCI_IMAGE_MEDIA_TYPE, &manifest)
}

fn descriptor(blob: &Blob) -> OciDescriptor {
    OciDescriptor {
        media_type: blob.media_type.to_owned(),
        digest: blob.digest.clone(),
        size: size(blob),
        ..OciDescriptor::default()
    }
}

fn size(blob: &Blob) -> i64 {
    // No blob of ours is near the bound of the format's signed size.
    i64::try_from(blob.bytes.len()).unwrap_or(i64::MAX)
}

fn entry(platform: &Platform, manifest: &Blob) -> Result<ImageIndexEntry, Error> {
    let json = serde_json::json!({ "architecture": platform.architecture, "os": "linux" });
    let platform: OciPlatform =
        serde_json::from_value(json).map_err(|e| Error::malformed("platform", e))?;
    Ok(ImageIndexEntry {
        media_type: manifest.media_type.to_owned(),
        digest: manifest.digest.clone(),
        size: size(manifest),
        platform: Some(platform),
        annotations: None,
        artifact_type: None,
    })
}

fn document(media_type: &'static str, value: &impl serde::Serialize) -> Result<Blob, Error> {
    let bytes = serde_json::to_vec(value).map_err(|e| Error::malformed("document", e))?;
    Ok(Blob::new(media_type, bytes))
}
