//! Other distributions than Debian 12, on which setup installs no packages: what is not there, and
//! how to get it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::packages::Package;
use crate::cmd;

/// One line for each thing that is not there.
pub(crate) fn missing(packages: impl Iterator<Item = &'static Package>) -> Vec<String> {
    let mut lines: Vec<String> = packages
        .filter(|p| match p.probe {
            "" => false,
            file if file.starts_with('/') => !Path::new(file).exists(),
            program => cmd::find(program).is_none(),
        })
        .map(|p| format!("Debian's {} ({})", p.name, p.purpose))
        .collect();
    if !has_core() {
        lines.push(
            "core for the BPF targets: rustup toolchain install nightly --component rust-src"
                .into(),
        );
    }
    if cmd::find("bpf-linker").is_none() {
        // Its own releases carry the LLVM that a nightly compiler wants; few distributions have it.
        lines.push("bpf-linker: cargo install cargo-binstall && cargo binstall bpf-linker".into());
    }
    lines
}

/// Whether one of the two routes of the kernel part's build has its core: the source in nightly, or
/// a prebuilt one.
fn has_core() -> bool {
    let source = sysroot(Command::new("rustc").env("RUSTUP_TOOLCHAIN", "nightly"))
        .map(|root| root.join("lib/rustlib/src/rust/library/core"));
    let named = std::env::var_os("DNS_TRACE_BPF_RUSTC").unwrap_or_else(|| "/usr/bin/rustc".into());
    let prebuilt = sysroot(&mut Command::new(named))
        .map(|root| root.join("lib/rustlib/bpfel-unknown-none/lib"));
    [source, prebuilt]
        .into_iter()
        .flatten()
        .any(|folder| folder.is_dir())
}

fn sysroot(rustc: &mut Command) -> Option<PathBuf> {
    let root = cmd::output(rustc.args(["--print", "sysroot"])).ok()?;
    Some(PathBuf::from(root.trim()))
}
