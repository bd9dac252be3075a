//! Images that are well-formed and still not for us, by both ways of loading.

use anyhow::{Result, ensure};

use crate::lab::ctl::{ctl, load_hook, nothing_left};
use crate::lab::image::{future_objects, push_unlabelled};
use crate::lab::registry::{self, CA, REGISTRY};
use crate::lab::{net, sh};

/// An image without labels: refused by our own client, and by bpfman, whose words our tool explains.
pub(crate) fn unlabelled() -> Result<()> {
    net::create()?;
    let _registry = registry::start()?;
    let image = push_unlabelled()?;
    let remedy = ["io.ebpf.programs", "dns-tracectl image build"];
    ctl(&["image", "inspect", &image, "--ca-file", CA])?
        .exits(6)?
        .refuses(&remedy)?;
    load_hook("tc", &["--local", "--image", &image, "--ca-file", CA])?
        .exits(6)?
        .refuses(&remedy)?;
    nothing_left()?;

    let _bpfman = registry::bpfman()?;
    load_hook("tc", &["--image", &image])?
        .exits(5)?
        .refuses(&["Labels not found", "dns-tracectl image build"])?;
    nothing_left()
}

/// An image of a newer ABI: told by its label before anything is loaded, and by the map where bpfman
/// has loaded it, which is then undone.
pub(crate) fn newer_abi() -> Result<()> {
    net::create()?;
    let _registry = registry::start()?;
    let objects = future_objects()?;
    let image = format!("{REGISTRY}/future:1");
    let mut push = vec!["image", "push", &image, "--ca-file", CA];
    push.extend(objects.iter().map(String::as_str));
    ctl(&push)?.ok()?;
    let shown = ctl(&["image", "inspect", &image, "--ca-file", CA])?.ok()?;
    ensure!(
        shown.stdout.contains("2, newer than this program's 1"),
        "an image of the future is shown as {}",
        shown.stdout
    );
    let both = ["ABI", "2", "1", "upgrade dns-trace"];
    load_hook("tc", &["--local", "--image", &image, "--ca-file", CA])?
        .exits(6)?
        .refuses(&both)?;
    nothing_left()?;
    let object = objects.get(1).map_or("", String::as_str);
    load_hook("tc", &["--local", "--object", object])?
        .exits(6)?
        .refuses(&["ABI 2", "ABI 1", "update dns-tracectl"])?;
    nothing_left()?;

    let _bpfman = registry::bpfman()?;
    load_hook("tc", &["--image", &image])?.exits(6)?.refuses(&[
        "ABI 2",
        "ABI 1",
        "update dns-tracectl",
    ])?;
    nothing_left()
}

/// A host without any CA certificate is told what to do, and what it is told works. The HTTP client
/// would panic there, even for plain HTTP.
pub(crate) fn no_authorities() -> Result<()> {
    let _registry = registry::start()?;
    let bare = |words: &[&str], file: &str| {
        let mut command = sh::command(&["dns-tracectl", "image"]);
        command.args(words);
        command
            .env("SSL_CERT_FILE", file)
            .env("SSL_CERT_DIR", "/no/such");
        sh::run(&mut command)
    };
    let image = format!("{REGISTRY}/dns-trace:1");
    for words in [
        &["push", &image][..],
        &["push", &image, "--plain-http"],
        &["push", &image, "--ca-file", CA],
        &["inspect", &image, "--plain-http"],
    ] {
        bare(words, "/no/such.pem")?
            .exits(3)?
            .refuses(&["no CA certificates", "SSL_CERT_FILE"])?;
    }
    bare(&["push", &image], CA)?.ok()?;
    bare(&["inspect", &image], CA)?.ok()?;
    nothing_left()
}
