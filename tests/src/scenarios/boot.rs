//! The guest itself: without this nothing else means anything.

use std::path::Path;

use anyhow::{Result, ensure};

/// BTF, bpffs, tracefs and the devices that scenarios need are there.
pub(crate) fn sanity() -> Result<()> {
    for path in [
        "/sys/kernel/btf/vmlinux",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/kernel/tracing/events/net",
    ] {
        ensure!(Path::new(path).exists(), "the guest has no {path}");
    }
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    ensure!(
        mounts.contains(" /sys/fs/bpf bpf "),
        "the guest has no bpffs: {mounts}"
    );
    let switch = std::fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled")?;
    ensure!(
        switch.trim() != "0",
        "unprivileged bpf() is allowed, so a refusal would prove nothing"
    );
    Ok(())
}
