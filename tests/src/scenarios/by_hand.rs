//! bpfman's own commands, typed by hand, and then `grant`.

use anyhow::{Context, Result};
use dns_trace_event::{PROG_TC_EGRESS, PROG_TC_INGRESS};

use super::pipeline::look_up_and_compare;
use crate::lab::ctl::{ctl, nothing_left, push};
use crate::lab::names::NameServers;
use crate::lab::net::{self, SERVER_DEVICE};
use crate::lab::registry;
use crate::lab::sh::{self, sh};

/// Loads and attaches with `bpfman`, grants, reads, and takes it all away.
pub(crate) fn bpfman_then_grant() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("by-hand")?;
    let (ingress, egress) = (
        format!("tc:{PROG_TC_INGRESS}"),
        format!("tc:{PROG_TC_EGRESS}"),
    );
    let mut load = sh::command(&[
        "bpfman",
        "load",
        "image",
        "--image-url",
        &image,
        "--programs",
        &ingress,
        &egress,
    ]);
    load.args(["--application", "dns-trace"])
        .env("SSL_CERT_FILE", registry::CA);
    sh::run(&mut load)?.ok()?;
    let mut ids = Vec::new();
    for (program, direction) in [(PROG_TC_INGRESS, "ingress"), (PROG_TC_EGRESS, "egress")] {
        let id = id_of(program)?;
        sh(&[
            "bpfman",
            "attach",
            &id,
            "tc",
            "--direction",
            direction,
            "--iface",
            SERVER_DEVICE,
            "--priority",
            "50",
            "--netns",
            &net::path("server"),
        ])?;
        ids.push(id);
    }
    ctl(&["grant"])?.ok()?;
    look_up_and_compare(1)?;
    ctl(&["unload"])?.ok()?;
    for id in ids {
        sh(&["bpfman", "unload", &id])?;
    }
    nothing_left()
}

/// Kernel id of a program, from bpfman's list.
fn id_of(program: &str) -> Result<String> {
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
