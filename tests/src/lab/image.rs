//! Images that nobody should load, made from the good one.

use std::fs;

use anyhow::{Context, Result};
use dns_trace_event::ABI_VERSION;
use dns_trace_images::Description;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ctl::{ctl, read_json};
use super::registry::{CA, REGISTRY};
use super::sh::sh;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes an image without labels, as an ordinary container build makes one, and returns its
/// reference. It is pushed with skopeo, since our own tool makes no such thing.
///
/// # Errors
/// If that fails.
pub fn push_unlabelled() -> Result<String> {
    let folder = "/run/lab/unlabelled";
    ctl(&["image", "build", "--output", folder])?.ok()?;
    let index_file = format!("{folder}/index.json");
    let mut top = read_json(&index_file)?;
    let index = read_json(&blob(folder, digest_at(&top, "/manifests/0/digest")?))?;
    let first = digest_at(&index, "/manifests/0/digest")?;
    let mut manifest = read_json(&blob(folder, first))?;
    let mut config = read_json(&blob(folder, digest_at(&manifest, "/config/digest")?))?;
    set(&mut config, "/config", json!({}))?;
    let (digest, size) = store(folder, &config)?;
    set(&mut manifest, "/config/digest", digest.into())?;
    set(&mut manifest, "/config/size", size.into())?;
    let (digest, size) = store(folder, &manifest)?;
    let entry = json!([{ "mediaType": MANIFEST, "digest": digest, "size": size }]);
    set(&mut top, "/manifests", entry)?;
    fs::write(&index_file, top.to_string())?;

    let image = format!("{REGISTRY}/unlabelled:1");
    fs::create_dir_all("/run/lab/trust")?;
    fs::copy(CA, "/run/lab/trust/ca.crt")?;
    sh(&[
        "skopeo",
        "copy",
        "--dest-cert-dir",
        "/run/lab/trust",
        &format!("oci:{folder}"),
        &format!("docker://{image}"),
    ])?;
    Ok(image)
}

fn blob(folder: &str, digest: &str) -> String {
    format!("{folder}/blobs/{}", digest.replace(':', "/"))
}

fn digest_at<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    let digest = value.pointer(pointer).and_then(Value::as_str);
    digest.with_context(|| format!("no digest at {pointer} of {value}"))
}

fn set(value: &mut Value, pointer: &str, new: Value) -> Result<()> {
    *value
        .pointer_mut(pointer)
        .with_context(|| format!("nothing at {pointer}"))? = new;
    Ok(())
}

/// Writes a document as a blob; gives its digest and its size.
fn store(folder: &str, value: &Value) -> Result<(String, usize)> {
    let bytes = serde_json::to_vec(value)?;
    let digest = format!("sha256:{:x}", Sha256::digest(&bytes));
    fs::write(blob(folder, &digest), &bytes)?;
    Ok((digest, bytes.len()))
}

/// The object for this machine, as our own tool hands it out.
///
/// # Errors
/// If that fails.
pub fn object() -> Result<Vec<u8>> {
    object_of(if cfg!(target_endian = "little") {
        "little"
    } else {
        "big"
    })
}

fn object_of(order: &str) -> Result<Vec<u8>> {
    fs::create_dir_all("/run/lab")?;
    let file = format!("/run/lab/{order}.o");
    ctl(&["image", "object", "--byte-order", order, "--output", &file])?.ok()?;
    fs::read(&file).with_context(|| format!("cannot read {file}"))
}

/// Writes the objects of the next ABI and returns the words that make `dns-tracectl image` take them.
///
/// # Errors
/// If that fails.
pub fn future_objects() -> Result<Vec<String>> {
    let mut words = Vec::new();
    for (order, option) in [("little", "--object-le"), ("big", "--object-be")] {
        let file = format!("/run/lab/future-{order}.o");
        let future = future(object_of(order)?).with_context(|| format!("no ABI in {order}"))?;
        fs::write(&file, future)?;
        words.extend([option.to_owned(), file]);
    }
    Ok(words)
}

/// The object with the next ABI version, which is a number of entries in its BTF: the one word that
/// makes the object say so when it is raised.
fn future(mut object: Vec<u8>) -> Option<Vec<u8>> {
    let is_big = object.get(5) == Some(&2);
    let word = |number: u16| match is_big {
        true => u32::from(number).to_be_bytes(),
        false => u32::from(number).to_le_bytes(),
    };
    let (now, next) = (word(ABI_VERSION), word(ABI_VERSION + 1));
    for at in (0..object.len().saturating_sub(4)).step_by(4) {
        if object.get(at..at + 4) != Some(&now) {
            continue;
        }
        object.get_mut(at..at + 4)?.copy_from_slice(&next);
        if Description::of(&object).is_ok_and(|found| found.abi == ABI_VERSION + 1) {
            return Some(object);
        }
        object.get_mut(at..at + 4)?.copy_from_slice(&now);
    }
    None
}
