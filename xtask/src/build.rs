//! Our own binaries, built for the guest, and what is built beside them: programs in Go, and those of another
//! vendor.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cmd, paths};

/// Packages whose binaries go into the guest.
const PACKAGES: &[&str] = &["dns-trace", "dns-tracectl", "dns-trace-tests"];

/// Builds our binaries as they ship and returns the folder that holds them.
pub(crate) fn binaries() -> Result<PathBuf> {
    let mut cargo = cmd::cargo();
    cargo
        .current_dir(paths::project())
        .args(["build", "--release", "--quiet", "--bins"]);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    cmd::run(&mut cargo)?;
    Ok(folder())
}

/// The folder that holds our binaries.
pub(crate) fn folder() -> PathBuf {
    paths::target().join("release")
}

/// Programs in Go, each a folder of `tests`: the loader on cilium/ebpf, the library that the next bpfman loads
/// with, and a client with Go's own resolver.
const GO: &[&str] = &["cilium-load", "go-lookup"];

/// Builds them from Debian's packaged sources.
pub(crate) fn go_programs() -> Result<Vec<PathBuf>> {
    GO.iter().map(|name| go(name)).collect()
}

fn go(name: &str) -> Result<PathBuf> {
    let out = paths::target().join("vm").join(name);
    let source = paths::project().join("tests").join(name);
    let mut go = Command::new("go");
    go.current_dir(source)
        .args(["build", "-o"])
        .arg(&out)
        .arg(".");
    go.env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("CGO_ENABLED", "0");
    go.env("GOFLAGS", "")
        .env("GOCACHE", paths::target().join("vm/go-cache"));
    cmd::run(&mut go)?;
    Ok(out)
}

/// Compiles the programs of another vendor that scenarios put beside ours.
pub(crate) fn foreign_programs() -> Result<PathBuf> {
    let out = paths::target().join("vm/foreign.bpf.o");
    let clang = ["clang", "clang-22"].into_iter().find_map(cmd::find);
    let mut clang = Command::new(clang.context("cannot find clang; run: cargo xtask setup")?);
    clang
        .args([
            "-target",
            "bpf",
            "-O2",
            "-g",
            "-Wall",
            "-Wno-unused-parameter",
            "-c",
            "-o",
        ])
        .arg(&out)
        .arg(paths::project().join("tests/foreign/foreign.bpf.c"));
    cmd::run(&mut clang)?;
    Ok(out)
}
