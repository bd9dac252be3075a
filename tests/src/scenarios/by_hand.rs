//! bpfman's own commands, typed by hand, and then `grant`.

use anyhow::{Context, Result, ensure};
use dns_trace_event::{
    BUNDLE_ROOT, DEFAULT_INSTANCE, PROG_TC_EGRESS, PROG_TC_INGRESS, PROG_TCX, RINGS_DIR,
};

use super::pipeline::look_up_and_compare;
use crate::lab::ctl::{ctl, nothing_left, push};
use crate::lab::names::NameServers;
use crate::lab::net::{self, SERVER_DEVICE};
use crate::lab::registry;
use crate::lab::sh::{self, sh};

const TC: [(&str, &str); 2] = [(PROG_TC_INGRESS, "ingress"), (PROG_TC_EGRESS, "egress")];
const TCX: [(&str, &str); 2] = [(PROG_TCX, "ingress"), (PROG_TCX, "egress")];

/// Both programs in one request: they share their maps.
pub(crate) fn tc() -> Result<()> {
    bpfman_then_grant("tc", &[&[PROG_TC_INGRESS, PROG_TC_EGRESS]], TC)
}

/// One program, attached twice.
pub(crate) fn tcx() -> Result<()> {
    bpfman_then_grant("tcx", &[&[PROG_TCX]], TCX)
}

/// A request for each program: each has maps of its own, and the reader reads two rings. It is what
/// the next bpfman does to every bundle.
pub(crate) fn two_rings() -> Result<()> {
    bpfman_then_grant("tc", &[&[PROG_TC_INGRESS], &[PROG_TC_EGRESS]], TC)
}

/// Loads and attaches with `bpfman`, grants, reads, and takes it all away.
fn bpfman_then_grant(kind: &str, requests: &[&[&str]], attach: [(&str, &str); 2]) -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("by-hand")?;
    for programs in requests {
        load(kind, &image, programs)?;
    }
    for (program, direction) in attach {
        sh(&[
            "bpfman",
            "attach",
            &id_of(program)?,
            kind,
            "--direction",
            direction,
            "--iface",
            SERVER_DEVICE,
            "--priority",
            "50",
            "--netns",
            &net::path("server"),
        ])?;
    }
    ctl(&["grant"])?.ok()?;
    let rings = std::fs::read_dir(format!("{BUNDLE_ROOT}/{DEFAULT_INSTANCE}/{RINGS_DIR}"))?.count();
    ensure!(
        rings == requests.len(),
        "{rings} rings after {} requests",
        requests.len()
    );
    look_up_and_compare(1)?;
    ctl(&["unload"])?.ok()?;
    for program in requests.concat() {
        sh(&["bpfman", "unload", &id_of(program)?])?;
    }
    nothing_left()
}

fn load(kind: &str, image: &str, programs: &[&str]) -> Result<()> {
    let mut load = sh::command(&[
        "bpfman",
        "load",
        "image",
        "--image-url",
        image,
        "--programs",
    ]);
    load.args(programs.iter().map(|program| format!("{kind}:{program}")))
        .args(["--application", "dns-trace"])
        .env("SSL_CERT_FILE", registry::CA);
    sh::run(&mut load)?.ok()?;
    Ok(())
}

/// Kernel id of a program, from bpfman's list.
pub(crate) fn id_of(program: &str) -> Result<String> {
    let list = sh(&["bpfman", "list", "programs"])?;
    let line = list
        .lines()
        .find(|line| line.contains(program))
        .with_context(|| format!("bpfman lists no {program}"))?;
    let id = line
        .split_whitespace()
        .find(|word| word.parse::<u32>().is_ok());
    Ok(id.with_context(|| format!("no id in {line}"))?.to_owned())
}
