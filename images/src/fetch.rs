//! Reading an image, from a registry or from a folder, with every digest verified.

use std::{collections::BTreeMap, path::PathBuf};

use dns_trace_event::ABI_VERSION;
use oci_distribution::{
    Reference,
    manifest::{
        IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE, OciDescriptor,
        OciImageManifest, OciManifest,
    },
};

use crate::{
    Description, Error, LABEL_ABI, LABEL_MAPS, LABEL_PROGRAMS, MANIFEST_MAX, OBJECT_MAX,
    PLATFORMS_MAX, Platform, Registry, layer, layout, reference,
    registry::Document,
    spec::{self, ImageConfig},
};

/// Where an image is.
pub enum Origin<'a> {
    /// In a registry.
    Registry {
        /// Its client.
        registry: &'a Registry,
        /// `REGISTRY/NAME:TAG`, or `@sha256:…` in place of the tag.
        reference: String,
    },
    /// In a folder with the layout of the OCI image specification.
    Layout(PathBuf),
}

/// An object out of an image, with its labels checked against it.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Digest of the image, which is that of its index.
    pub digest: String,
    /// Architecture (GOARCH) that it is for.
    pub architecture: String,
    /// What is in the object.
    pub description: Description,
    /// The object.
    pub object: Vec<u8>,
    /// Every label.
    pub labels: BTreeMap<String, String>,
}

impl Origin<'_> {
    /// Takes out the object for an architecture (GOARCH; see [`Platform::native`]).
    ///
    /// # Errors
    /// [`Error::NoPlatform`], [`Error::NoLabels`], [`Error::NewerAbi`], [`Error::LabelMismatch`],
    /// and whatever else can be wrong with an image or a registry.
    pub async fn pull(&self, architecture: &str) -> Result<Pulled, Error> {
        let image = self.image().await?;
        let wanted = |m: &&Manifest| m.architecture == architecture && m.os == "linux";
        let manifest = image
            .manifests
            .iter()
            .find(wanted)
            .ok_or_else(|| Error::NoPlatform {
                wanted: format!("linux/{}", crate::error::one_line(architecture)),
                available: image.platforms(),
            })?;
        let labels = manifest.labels()?;
        let abi = abi(labels)?;
        if abi > ABI_VERSION {
            return Err(Error::NewerAbi {
                image: abi,
                ours: ABI_VERSION,
            });
        }
        let object = self.object(manifest).await?;
        let description = check(manifest, &object)?;
        Ok(Pulled {
            digest: image.digest,
            architecture: architecture.to_owned(),
            labels: labels.clone(),
            description,
            object,
        })
    }

    /// Everything of an image but its layers.
    pub(crate) async fn image(&self) -> Result<Image, Error> {
        let top = self.top().await?;
        let manifests = match parse_manifest(&top.bytes)? {
            OciManifest::Image(manifest) => {
                vec![self.manifest(top.digest.clone(), manifest).await?]
            }
            OciManifest::ImageIndex(index) => {
                if index.manifests.len() > PLATFORMS_MAX {
                    return Err(Error::TooLarge {
                        what: "the index",
                        limit: MANIFEST_MAX,
                    });
                }
                let mut manifests = Vec::new();
                // Attestations of build tools have a platform that does not exist.
                let known = |os: &str| os != "unknown";
                for entry in index.manifests {
                    if entry
                        .platform
                        .as_ref()
                        .is_some_and(|p| !known(&p.os.to_string()))
                    {
                        continue;
                    }
                    let bytes = self.document(&entry.digest, "the manifest").await?;
                    let OciManifest::Image(manifest) = parse_manifest(&bytes)? else {
                        return Err(Error::malformed("index", "an index inside an index"));
                    };
                    manifests.push(self.manifest(entry.digest, manifest).await?);
                }
                manifests
            }
        };
        Ok(Image {
            digest: top.digest,
            manifests,
        })
    }

    async fn manifest(
        &self,
        digest: String,
        manifest: OciImageManifest,
    ) -> Result<Manifest, Error> {
        let [layer] = <[OciDescriptor; 1]>::try_from(manifest.layers).map_err(|layers| {
            Error::malformed(
                "manifest",
                format!("{} layers instead of one", layers.len()),
            )
        })?;
        if ![
            IMAGE_LAYER_GZIP_MEDIA_TYPE,
            IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE,
        ]
        .contains(&layer.media_type.as_str())
        {
            return Err(Error::malformed(
                "manifest",
                "its layer is not a gzipped tar",
            ));
        }
        spec::check_digest(&layer.digest)?;
        let config = self
            .blob(&manifest.config.digest, "the config", MANIFEST_MAX)
            .await?;
        let config: ImageConfig =
            serde_json::from_slice(&config).map_err(|e| Error::malformed("config", e))?;
        Ok(Manifest {
            digest,
            architecture: config.architecture,
            os: config.os,
            labels: config.config.labels.unwrap_or_default(),
            layer,
        })
    }

    /// The object of a manifest, out of its layer.
    pub(crate) async fn object(&self, manifest: &Manifest) -> Result<Vec<u8>, Error> {
        let bytes = self
            .blob(&manifest.layer.digest, "the layer", OBJECT_MAX)
            .await?;
        layer::unpack(&bytes)
    }

    async fn top(&self) -> Result<Document, Error> {
        match self {
            Self::Layout(folder) => layout::top(folder),
            Self::Registry {
                registry,
                reference,
            } => {
                let image = reference::parse(reference)?;
                let Some(digest) = image.digest() else {
                    return registry
                        .manifest(&image, image.tag().unwrap_or("latest"))
                        .await;
                };
                let bytes = remote_manifest(registry, &image, digest, "the image").await?;
                Ok(Document {
                    digest: digest.to_owned(),
                    bytes,
                })
            }
        }
    }

    async fn document(&self, digest: &str, what: &'static str) -> Result<Vec<u8>, Error> {
        match self {
            Self::Layout(folder) => layout::blob(folder, digest, what, MANIFEST_MAX),
            Self::Registry {
                registry,
                reference,
            } => remote_manifest(registry, &reference::parse(reference)?, digest, what).await,
        }
    }

    async fn blob(&self, digest: &str, what: &'static str, limit: usize) -> Result<Vec<u8>, Error> {
        match self {
            Self::Layout(folder) => layout::blob(folder, digest, what, limit),
            Self::Registry {
                registry,
                reference,
            } => {
                spec::check_digest(digest)?;
                let image = reference::parse(reference)?;
                verified(
                    registry.blob(&image, digest, what, limit).await?,
                    digest,
                    what,
                )
            }
        }
    }
}

async fn remote_manifest(
    registry: &Registry,
    image: &Reference,
    digest: &str,
    what: &'static str,
) -> Result<Vec<u8>, Error> {
    spec::check_digest(digest)?;
    verified(registry.manifest(image, digest).await?.bytes, digest, what)
}

/// Bytes that have the digest under which they were asked for.
pub(crate) fn verified(
    bytes: Vec<u8>,
    expected: &str,
    what: &'static str,
) -> Result<Vec<u8>, Error> {
    let actual = spec::digest(&bytes);
    if actual == expected {
        return Ok(bytes);
    }
    Err(Error::DigestMismatch {
        what,
        expected: expected.to_owned(),
        actual,
    })
}

pub(crate) fn parse_manifest(bytes: &[u8]) -> Result<OciManifest, Error> {
    serde_json::from_slice(bytes)
        .map_err(|_| Error::malformed("manifest", "neither an image manifest nor an image index"))
}

/// An image without its layers.
pub(crate) struct Image {
    pub(crate) digest: String,
    pub(crate) manifests: Vec<Manifest>,
}

impl Image {
    fn platforms(&self) -> String {
        let names = self
            .manifests
            .iter()
            .map(|m| format!("{}/{}", m.os, m.architecture));
        crate::error::one_line(&names.collect::<Vec<_>>().join(", "))
    }
}

/// The part of an image for one platform.
pub(crate) struct Manifest {
    pub(crate) digest: String,
    pub(crate) architecture: String,
    pub(crate) os: String,
    labels: BTreeMap<String, String>,
    pub(crate) layer: OciDescriptor,
}

impl Manifest {
    /// The labels, all of ours among them.
    pub(crate) fn labels(&self) -> Result<&BTreeMap<String, String>, Error> {
        for label in [LABEL_PROGRAMS, LABEL_MAPS, LABEL_ABI] {
            if !self.labels.contains_key(label) {
                return Err(Error::NoLabels { label });
            }
        }
        Ok(&self.labels)
    }
}

/// The ABI version by the label.
pub(crate) fn abi(labels: &BTreeMap<String, String>) -> Result<u16, Error> {
    let text = labels
        .get(LABEL_ABI)
        .ok_or(Error::NoLabels { label: LABEL_ABI })?;
    text.parse()
        .map_err(|_| Error::malformed("label", format!("{LABEL_ABI} is {text:?}")))
}

/// Compares labels and platform with the object.
pub(crate) fn check(manifest: &Manifest, object: &[u8]) -> Result<Description, Error> {
    let description = Description::of(object)?;
    let labels = manifest.labels()?;
    let order = Platform::ALL
        .iter()
        .find(|p| p.architecture == manifest.architecture)
        .map(|platform| platform.byte_order);
    if let Some(expected) = order.filter(|order| *order != description.byte_order) {
        return Err(Error::WrongByteOrder {
            expected,
            actual: description.byte_order,
        });
    }
    for (label, has) in [
        (LABEL_PROGRAMS, description.programs_label()),
        (LABEL_MAPS, description.maps_label()),
        (LABEL_ABI, description.abi.to_string()),
    ] {
        let says = labels.get(label).map_or("", String::as_str);
        // As JSON, since another tool may have written it with other spaces.
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        if value(says) != value(&has) {
            let says = crate::error::one_line(says);
            return Err(Error::LabelMismatch { label, says, has });
        }
    }
    Ok(description)
}
