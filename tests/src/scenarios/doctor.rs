//! `dns-tracectl doctor`: each of its verdicts is what then happens.

use anyhow::{Context, Result, bail, ensure};
use dns_trace_event::OWNER_PROGRAMS;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::Value;

use crate::init::figure;
use crate::lab::ctl::{ctl, load_at_server, load_hook, nothing_left, push};
use crate::lab::left::programs;
use crate::lab::net;
use crate::lab::reader::{GROUP, Watch, unprivileged};
use crate::lab::registry;
use crate::lab::sh::{self, sh};

const STATES: [&str; 3] = ["ok", "missing", "skipped"];
/// Names of the checks of hooks, and the hooks.
const HOOKS: [(&str, &str); 4] = [
    ("TCX", "tcx"),
    ("tc", "tc"),
    ("XDP", "xdp"),
    ("tracepoints", "tracepoint"),
];
const PROCESSES: &str = "processes";
const READING: &str = "unprivileged reading";
/// Where the kernel shows its types.
const BTF: &str = "/sys/kernel/btf";
/// Exit code: this kernel cannot.
const KERNEL: i32 = 7;

/// Every way and every hook that is called so works, and every other one is refused.
pub(crate) fn verdicts() -> Result<()> {
    net::create()?;
    without_types()?;
    without_group()?;
    let report = Verdicts::ask("local")?;
    report.have_remedies()?;
    ensure!(report.works(), "a way that works: {}", report.0);
    for (check, hook) in HOOKS {
        let verdict = report.of(check)?;
        let loaded = load_hook(hook, &["--local"])?;
        if verdict {
            loaded.ok()?;
            processes(report.of(PROCESSES)?)?;
            reading(report.of(READING)?)?;
            ctl(&["unload"])?.ok()?;
        } else {
            loaded.exits(KERNEL)?;
        }
        nothing_left()?;
        tell(check, verdict)?;
    }
    tell(PROCESSES, report.of(PROCESSES)?)?;
    tell(READING, report.of(READING)?)?;
    if !report.of(READING)? {
        reading_for_everybody()?;
    }
    daemon()
}

/// `doctor --output json`.
struct Verdicts(Value);

impl Verdicts {
    fn ask(way: &str) -> Result<Self> {
        let report = ctl(&["doctor", "--way", way, "--output", "json"])?.stdout;
        Ok(Self(serde_json::from_str(&report).context("not JSON")?))
    }

    fn checks(&self) -> Result<&Vec<Value>> {
        self.0["checks"].as_array().context("no checks")
    }

    /// Whether the check of that name says ok.
    fn of(&self, name: &str) -> Result<bool> {
        let check = self.checks()?.iter().find(|check| check["name"] == name);
        let check = check.with_context(|| format!("no check {name}"))?;
        match check["state"].as_str() {
            Some("ok") => Ok(true),
            Some("missing") => Ok(false),
            _ => bail!("root is told nothing: {check}"),
        }
    }

    /// Whether whatever the way needs is there; reading is another matter.
    fn works(&self) -> bool {
        let needed = |check: &&Value| check["required"] == true && check["name"] != READING;
        let checks = self.0["checks"].as_array().into_iter().flatten();
        checks.filter(needed).all(|check| check["state"] == "ok")
    }

    fn have_remedies(&self) -> Result<()> {
        for check in self.checks()? {
            let state = check["state"].as_str().unwrap_or_default();
            ensure!(STATES.contains(&state), "a state of its own: {check}");
            let remedy = check["remedy"].as_str().unwrap_or_default();
            ensure!(
                state != "missing" || !remedy.is_empty(),
                "missing, and nothing to do about it: {check}"
            );
        }
        Ok(())
    }
}

fn tell(what: &str, verdict: bool) -> Result<()> {
    figure(what, if verdict { "yes" } else { "no" })
}

/// A kernel that does not show its types.
fn without_types() -> Result<()> {
    mount("none", BTF, "tmpfs", MountFlags::empty(), None)?;
    let report = Verdicts::ask("local");
    let loaded = load_hook("tc", &["--local"]);
    unmount(BTF, UnmountFlags::DETACH)?;
    ensure!(!report?.of("BTF")?, "there are types");
    loaded?.exits(KERNEL)?.refuses(&["CONFIG_DEBUG_INFO_BTF"])?;
    nothing_left()
}

fn without_group() -> Result<()> {
    let group = ["--group", "nogroup-here"];
    ctl(&[["doctor", "--way", "local"].as_slice(), &group].concat())?.exits(3)?;
    load_hook("tc", &[["--local"].as_slice(), &group].concat())?
        .exits(3)?
        .refuses(&["nogroup-here"])?;
    nothing_left()
}

/// The programs that tell who asks are loaded beside the others, or not.
fn processes(verdict: bool) -> Result<()> {
    let loaded = programs()?;
    let owners = OWNER_PROGRAMS.iter().filter(|(name, _)| {
        let mut loaded = loaded.iter();
        loaded.any(|one| one == name)
    });
    let expected = if verdict { OWNER_PROGRAMS.len() } else { 0 };
    ensure!(owners.count() == expected, "loaded: {loaded:?}");
    Ok(())
}

/// A reader without privilege reads what is loaded, or is refused.
fn reading(verdict: bool) -> Result<()> {
    if verdict {
        Watch::start(&[])?.stop()?;
    } else {
        let watch = sh::run(&mut unprivileged(Some(GROUP), &["dns-trace", "watch"]))?;
        watch.exits(KERNEL)?.refuses(&["5.19"])?;
    }
    Ok(())
}

/// Where the kernel lets nobody read, it is a setting of it: doctor has asked and does not go by the version.
fn reading_for_everybody() -> Result<()> {
    let set = |value| sh(&["sysctl", "-q", "-w", value]).map(drop);
    set("kernel.unprivileged_bpf_disabled=0")?;
    let report = Verdicts::ask("local");
    let outcome = load_hook("tc", &["--local"])?.ok().and_then(|_| {
        reading(report?.of(READING)?)?;
        Watch::start(&[])?.stop()
    });
    ctl(&["unload"])?.ok()?;
    set("kernel.unprivileged_bpf_disabled=2")?;
    outcome?;
    nothing_left()
}

/// bpfman, before it runs and while it does.
fn daemon() -> Result<()> {
    let doctor = ctl(&["doctor", "--way", "bpfman"])?.exits(5)?.stdout;
    ensure!(doctor.contains("bpfman.socket"), "no remedy in {doctor}");
    load_at_server(&["--image", "registry.test:5000/none:1"])?
        .exits(5)?
        .refuses(&["bpfman"])?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let report = Verdicts::ask("bpfman")?;
    ensure!(report.works(), "bpfman runs: {}", report.0);
    let image = push("doctor")?;
    load_at_server(&["--image", &image])?.ok()?;
    processes(report.of(PROCESSES)?)?;
    ctl(&["unload"])?.ok()?;
    nothing_left()?;
    tell("bpfman", true)
}
