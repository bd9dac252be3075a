//! What an image or an object holds, for people and scripts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    ByteOrder, Description, Error, Origin,
    fetch::{abi, check},
};

/// What an image or an object holds.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Digest of the image; `None` for a bare object.
    pub digest: Option<String>,
    /// ABI version.
    pub abi: u16,
    /// Program names to bpfman's names of their types.
    pub programs: BTreeMap<String, String>,
    /// Map names to bpfman's names of their types.
    pub maps: BTreeMap<String, String>,
    /// One per platform; empty for a bare object.
    pub platforms: Vec<PlatformInspection>,
    /// Every label; empty for a bare object.
    pub labels: BTreeMap<String, String>,
}

/// The part of an image for one platform.
#[derive(Clone, Debug, Serialize)]
pub struct PlatformInspection {
    /// GOOS.
    pub os: String,
    /// GOARCH.
    pub architecture: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Byte order of the object.
    pub byte_order: ByteOrder,
    /// Size of the layer in bytes.
    pub layer_bytes: usize,
    /// Size of the object in bytes.
    pub object_bytes: usize,
}

/// Describes a bare object.
///
/// # Errors
/// As [`Description::of`].
pub fn inspect_object(bytes: &[u8]) -> Result<Inspection, Error> {
    let Description {
        abi,
        programs,
        maps,
        ..
    } = Description::of(bytes)?;
    Ok(Inspection {
        digest: None,
        abi,
        programs,
        maps,
        platforms: Vec::new(),
        labels: BTreeMap::new(),
    })
}

impl Origin<'_> {
    /// Reads the whole image, every platform of it, and checks that the labels describe the
    /// objects. A newer ABI version is no error here.
    ///
    /// # Errors
    /// [`Error::NoLabels`], [`Error::LabelMismatch`], [`Error::CorruptObject`], and whatever else
    /// can be wrong with an image or a registry.
    pub async fn inspect(&self) -> Result<Inspection, Error> {
        let image = self.image().await?;
        let mut first: Option<(Description, BTreeMap<String, String>)> = None;
        let mut platforms = Vec::new();
        for manifest in &image.manifests {
            let labels = manifest.labels()?;
            abi(labels)?;
            let object = self.object(manifest).await?;
            let description = check(manifest, &object)?;
            platforms.push(PlatformInspection {
                os: manifest.os.clone(),
                architecture: manifest.architecture.clone(),
                digest: manifest.digest.clone(),
                byte_order: description.byte_order,
                layer_bytes: usize::try_from(manifest.layer.size).unwrap_or(0),
                object_bytes: object.len(),
            });
            match &first {
                None => first = Some((description, labels.clone())),
                Some((_, other)) if other == labels => {}
                Some(_) => {
                    return Err(Error::malformed(
                        "image",
                        "its platforms have different labels",
                    ));
                }
            }
        }
        let Some((description, labels)) = first else {
            return Err(Error::malformed("image", "it has no platform"));
        };
        Ok(Inspection {
            digest: Some(image.digest),
            abi: description.abi,
            programs: description.programs,
            maps: description.maps,
            platforms,
            labels,
        })
    }
}
