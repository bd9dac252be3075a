//! `dns-tracectl`, run as root.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use dns_trace_event::{DEFAULT_INSTANCE, OBJECT_NAME};
use serde_json::Value;

use super::net::SERVER_DEVICE;
use super::registry::{CA, REGISTRY};
use super::sh::{self, Outcome, sh};

pub use super::left::nothing_left;

/// Runs `dns-tracectl` to its end.
///
/// # Errors
/// If it cannot be started.
pub fn ctl(words: &[&str]) -> Result<Outcome> {
    sh::run(sh::command(&["dns-tracectl"]).args(words))
}

/// Runs `dns-tracectl load` at the server's device, with more of its words.
///
/// # Errors
/// If it cannot be started.
pub fn load_at_server(words: &[&str]) -> Result<Outcome> {
    let mut line = vec!["load", "--iface", SERVER_DEVICE, "--netns", "server"];
    line.extend(words);
    ctl(&line)
}

/// The same with a kind of hook; the tracepoints take no device.
///
/// # Errors
/// If it cannot be started.
pub fn load_hook(hook: &str, words: &[&str]) -> Result<Outcome> {
    let mut line = vec!["--hook", hook];
    line.extend(words);
    if hook == "tracepoint" {
        line.insert(0, "load");
        return ctl(&line);
    }
    load_at_server(&line)
}

/// What `status` tells of the default instance, in JSON.
///
/// # Errors
/// If it fails, or knows no such instance.
pub fn status() -> Result<Value> {
    let text = ctl(&["status", "--output", "json", "--instance", DEFAULT_INSTANCE])?
        .ok()?
        .stdout;
    let all: Value = serde_json::from_str(&text).context("status printed no JSON")?;
    all.get(0)
        .cloned()
        .with_context(|| format!("no instance in {text}"))
}

/// Pushes the image to the test's registry and returns its reference.
///
/// # Errors
/// If that fails.
pub fn push(tag: &str) -> Result<String> {
    let image = format!("{REGISTRY}/dns-trace:{tag}");
    ctl(&["image", "push", &image, "--ca-file", CA])?.ok()?;
    Ok(image)
}

/// Pulls an image apart with other people's tools and returns the path of the object in it.
///
/// # Errors
/// If the image is not as skopeo and tar expect.
pub fn unpack_object() -> Result<String> {
    let folder = "/run/lab/image";
    ctl(&["image", "build", "--output", folder])?.ok()?;
    let index: Value = read_json(&format!("{folder}/index.json"))?;
    sh(&[
        "skopeo",
        "copy",
        "--override-arch",
        "amd64",
        &format!("oci:{folder}{}", tag_of(&index)),
        "dir:/run/lab/unpacked",
    ])?;
    let manifest = read_json("/run/lab/unpacked/manifest.json")?;
    let layer = manifest
        .pointer("/layers/0/digest")
        .and_then(Value::as_str)
        .context("no layer")?;
    let layer = format!("/run/lab/unpacked/{}", layer.trim_start_matches("sha256:"));
    sh(&["tar", "-xzf", &layer, "-C", "/run/lab"])?;
    let object = format!("/run/lab/{OBJECT_NAME}");
    ensure!(
        Path::new(&object).exists(),
        "the layer has no {OBJECT_NAME}"
    );
    Ok(object)
}

fn tag_of(index: &Value) -> String {
    let name = index
        .pointer("/manifests/0/annotations/org.opencontainers.image.ref.name")
        .and_then(Value::as_str);
    name.map(|n| format!(":{n}")).unwrap_or_default()
}

/// Reads a file of JSON.
pub(super) fn read_json(file: &str) -> Result<Value> {
    let text = fs::read(file).with_context(|| format!("cannot read {file}"))?;
    serde_json::from_slice(&text).with_context(|| format!("{file} is no JSON"))
}
