//! Finds the tools that build for BPF, and names what is missing with the command that installs it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

const REMEDY: &str = "run: cargo xtask setup";

/// Who supplies `core` for the BPF targets.
pub(crate) enum Core {
    /// A stable rustc with a prebuilt core in its sysroot, as Debian's `rustc-web` with
    /// `libstd-rust-web-dev-bpf`.
    Prebuilt {
        /// Path of that rustc.
        rustc: PathBuf,
    },
    /// rustup's nightly with the component rust-src, and `-Z build-std`.
    Source {
        /// The folder that rust-src is in.
        rust: PathBuf,
    },
}

/// The tools, by path or by name in `PATH`.
pub(crate) struct Toolchain {
    pub(crate) cargo: PathBuf,
    pub(crate) core: Core,
    pub(crate) linker: PathBuf,
    pub(crate) clang: PathBuf,
    pub(crate) strip: PathBuf,
}

impl Toolchain {
    pub(crate) fn find() -> Result<Self, String> {
        let core = find_core()?;
        let cargo = match core {
            Core::Prebuilt { .. } => env::var_os("CARGO").map_or("cargo".into(), PathBuf::from),
            // The proxy of rustup, which obeys RUSTUP_TOOLCHAIN.
            Core::Source { .. } => "cargo".into(),
        };
        Ok(Self {
            cargo,
            core,
            linker: find_tool("bpf-linker", &[cache().join("tools/bin/bpf-linker")])?,
            clang: find_versioned("clang")?,
            strip: find_versioned("llvm-strip")?,
        })
    }
}

fn find_core() -> Result<Core, String> {
    let candidates = [
        env::var_os("DNS_TRACE_BPF_RUSTC").map(PathBuf::from),
        Some("/usr/bin/rustc".into()),
    ];
    for rustc in candidates.into_iter().flatten() {
        if has_prebuilt_core(&rustc) {
            return Ok(Core::Prebuilt { rustc });
        }
    }
    let nightly = Command::new("rustc")
        .env("RUSTUP_TOOLCHAIN", "nightly")
        .args(["--print", "sysroot"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    if let Some(root) = nightly {
        let rust = root.join("lib/rustlib/src/rust");
        if rust.join("library/core").is_dir() {
            return Ok(Core::Source { rust });
        }
    }
    Err(format!(
        "no Rust compiler with a core library for BPF; on Debian 12 {REMEDY}; elsewhere \
         run: rustup toolchain install nightly --component rust-src"
    ))
}

fn has_prebuilt_core(rustc: &Path) -> bool {
    let Ok(output) = Command::new(rustc).args(["--print", "sysroot"]).output() else {
        return false;
    };
    let root = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    root.join("lib/rustlib/bpfel-unknown-none/lib").is_dir()
}

/// LLVM tools: the newest that the linker's LLVM 22 reads.
fn find_versioned(name: &str) -> Result<PathBuf, String> {
    let versions: Vec<_> = (15..=22)
        .rev()
        .map(|version| PathBuf::from(format!("{name}-{version}")))
        .collect();
    find_tool(name, &versions)
}

/// The first of `preferred` that runs, else `name` in `PATH`.
fn find_tool(name: &str, preferred: &[PathBuf]) -> Result<PathBuf, String> {
    preferred
        .iter()
        .cloned()
        .chain([PathBuf::from(name)])
        .find(|tool| {
            Command::new(tool)
                .arg("--version")
                .output()
                .is_ok_and(|output| output.status.success())
        })
        .ok_or_else(|| format!("{name} is missing; {REMEDY}"))
}

fn cache() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_default()
        .join("dns-trace")
}
