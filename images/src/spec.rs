//! The documents of an image that `oci-client` has no reproducible types for: the image config
//! (OCI image specification 1.1, config.md). Its own keep labels in a `HashMap`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

/// Image config. Only what we write, and what readers need.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ImageConfig {
    /// Fixed, for the sake of reproducible bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) config: Runtime,
    #[serde(default)]
    pub(crate) rootfs: Rootfs,
}

/// The part of the config that a container engine would run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Runtime {
    #[serde(rename = "Labels", default)]
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

/// Digests of the layers before compression.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rootfs {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) diff_ids: Vec<String>,
}

/// `sha256:` and 64 hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// Refuses digests in any other form: they become parts of paths and URLs.
pub(crate) fn check_digest(text: &str) -> Result<(), Error> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(Error::Malformed {
        what: "digest",
        cause: format!(
            "{:?} is not sha256: and 64 digits",
            text.chars().take(80).collect::<String>()
        ),
    })
}
