//! The machine: what it is, how busy it is, and on which of its cores we run.

use std::fs;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Ticks a second in `/proc/stat`, on every machine that we build for.
const USER_HZ: f64 = 100.0;

/// One line that says which machine and kernel this is.
pub(crate) fn line() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown CPU", |(_, name)| name);
    let virtual_machine = cpuinfo.contains(" hypervisor");
    let cores = cpuinfo
        .lines()
        .filter(|l| l.starts_with("processor"))
        .count();
    let uname = rustix::system::uname();
    format!(
        "{model}, {cores} cores{}, Linux {} {}",
        if virtual_machine {
            ", a virtual machine"
        } else {
            ""
        },
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy(),
    )
}

/// Load average of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// Keeps this thread on one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot stay on core {core}"))
}

/// Lets this thread, and what it starts, run on every core.
pub(crate) fn any_core() -> Result<()> {
    let mut set = CpuSet::new();
    for core in 0..CpuSet::MAX_CPU {
        set.set(core);
    }
    sched_setaffinity(None, &set).context("cannot run on every core")
}

/// CPU seconds of the whole machine so far: processes, kernel, interrupts.
pub(crate) fn busy() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    // user, nice, system, (idle, iowait,) irq, softirq
    let busy = [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|i| ticks.get(*i))
        .sum::<f64>();
    Ok(busy / USER_HZ)
}
