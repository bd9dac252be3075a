//! `dns-tracectl doctor`: its verdict is what then happens.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::lab::ctl::{ctl, load_at_server, load_hook, nothing_left};
use crate::lab::net;

const STATES: [&str; 3] = ["ok", "missing", "skipped"];

/// The way that works is called so and works; the one that does not is refused with the same reason.
pub(crate) fn verdicts() -> Result<()> {
    net::create()?;
    let bpfman = ctl(&["doctor", "--way", "bpfman"])?.exits(5)?;
    ensure!(
        bpfman.stdout.contains("bpfman.socket"),
        "no remedy in {}",
        bpfman.stdout
    );
    load_at_server(&["--image", "registry.test:5000/none:1"])?
        .exits(5)?
        .refuses(&["bpfman"])?;
    ctl(&["doctor", "--way", "local", "--group", "nogroup-here"])?.exits(3)?;

    let report = ctl(&["doctor", "--way", "local", "--output", "json"])?.ok()?;
    let report: Value = serde_json::from_str(&report.stdout).context("not JSON")?;
    ensure!(report["works"] == true, "a way that works: {report}");
    let checks = report["checks"].as_array().context("no checks")?;
    for check in checks {
        let state = check["state"].as_str().unwrap_or_default();
        ensure!(STATES.contains(&state), "a state of its own: {check}");
        ensure!(
            state != "missing"
                || check["remedy"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
            "missing, and nothing to do about it: {check}"
        );
    }
    let tcx = checks
        .iter()
        .find(|check| check["name"] == "TCX")
        .context("no TCX")?;
    let loaded = load_hook("tcx", &["--local"])?;
    if tcx["state"] == "ok" {
        loaded.ok()?;
        ctl(&["unload"])?.ok()?;
    } else {
        loaded.exits(7)?;
    }
    nothing_left()
}
