//! The object, taken out of its image, under other people's loaders.

use anyhow::{Result, ensure};
use dns_trace_event::{CAPTURE_PROGRAMS, MAP_CONTROL, MAP_EVENTS, MAP_STATS, PROG_TCX};

use crate::lab::ctl::{nothing_left, unpack_object};
use crate::lab::sh::{self, sh};

/// libbpf, by way of `bpftool prog loadall`.
pub(crate) fn libbpf() -> Result<()> {
    let object = unpack_object()?;
    let folder = "/sys/fs/bpf/libbpf";
    sh(&[
        "bpftool",
        "prog",
        "loadall",
        &object,
        folder,
        "pinmaps",
        "/sys/fs/bpf/maps",
    ])?;
    for program in CAPTURE_PROGRAMS {
        let shown = sh(&[
            "bpftool",
            "prog",
            "show",
            "pinned",
            &format!("{folder}/{program}"),
        ])?;
        ensure!(
            shown.contains(&format!("name {program} ")),
            "bpftool shows {program} as {shown}"
        );
    }
    for map in [MAP_EVENTS, MAP_STATS, MAP_CONTROL] {
        let shown = sh(&[
            "bpftool",
            "map",
            "show",
            "pinned",
            &format!("/sys/fs/bpf/maps/{map}"),
        ])?;
        ensure!(
            shown.contains(&format!("name {map} ")),
            "bpftool shows {map} as {shown}"
        );
    }
    let dump = sh(&[
        "bpftool",
        "map",
        "dump",
        "pinned",
        &format!("/sys/fs/bpf/maps/{MAP_STATS}"),
    ])?;
    ensure!(
        dump.contains("\"ring_full\""),
        "the counters have no names in BTF: {dump}"
    );
    sh(&["rm", "-r", folder, "/sys/fs/bpf/maps"])?;
    nothing_left()
}

/// cilium/ebpf, which bpfman's Go version loads with.
pub(crate) fn cilium() -> Result<()> {
    let object = unpack_object()?;
    let loaded = sh(&["cilium-load", &object])?;
    for program in CAPTURE_PROGRAMS {
        ensure!(
            loaded.lines().any(|line| line == program),
            "cilium/ebpf did not load {program}: {loaded}"
        );
    }
    nothing_left()
}

/// A damaged object is refused in one line, by our own tool too.
pub(crate) fn damaged() -> Result<()> {
    let object = unpack_object()?;
    let mut bytes = std::fs::read(&object)?;
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    std::fs::write("/run/lab/half.o", &bytes)?;
    let load = [
        "dns-tracectl",
        "load",
        "--local",
        "--object",
        "/run/lab/half.o",
        "--iface",
        "lo",
    ];
    sh::run(&mut sh::command(&load))?
        .exits(6)?
        .refuses(&["half.o"])?;
    let missing = std::fs::read(&object)?
        .windows(PROG_TCX.len())
        .any(|w| w == PROG_TCX.as_bytes());
    ensure!(missing, "the object does not name {PROG_TCX}");
    nothing_left()
}
