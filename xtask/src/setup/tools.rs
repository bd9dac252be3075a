//! Programs from crates.io, built once into the cache.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{apt, step};
use crate::{cmd, paths};

/// A program that `cargo install` builds.
struct Tool {
    krate: &'static str,
    version: &'static str,
    program: &'static str,
    /// What building it takes on two cores, for the impatient.
    minutes: u32,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    /// It is built against Debian's packages; elsewhere setup asks for one in `PATH`.
    debian_only: bool,
    /// Nothing but `cargo xtask lint` needs it, so that failing to build it is no reason to stop.
    optional: bool,
}

/// For `cargo xtask fuzz` alone, which asks for it.
const FUZZER: Tool = Tool {
    krate: "cargo-fuzz",
    version: "0.13.2",
    program: "cargo-fuzz",
    minutes: 2,
    args: &["--locked"],
    env: &[],
    debian_only: false,
    optional: false,
};

/// bpfman's build wants `clang` in `PATH`, and clang does not find Debian's `asm/` by itself.
const BPFMAN_ENV: &[(&str, &str)] = &[("C_INCLUDE_PATH", "/usr/include/x86_64-linux-gnu")];

const TOOLS: &[Tool] = &[
    Tool {
        krate: "bpf-linker",
        version: "0.13.0",
        program: "bpf-linker",
        minutes: 1,
        args: &["--locked", "--no-default-features", "--features", "llvm-22"],
        env: &[("LLVM_PREFIX", "/usr/lib/llvm-22")],
        debian_only: true,
        optional: false,
    },
    Tool {
        krate: "bpfman-api",
        version: "0.6.0",
        program: "bpfman-rpc",
        minutes: 8,
        // Newer sigstore dependencies than the locked ones do not compile.
        args: &["--locked"],
        env: BPFMAN_ENV,
        debian_only: false,
        optional: false,
    },
    Tool {
        krate: "bpfman",
        version: "0.6.0",
        program: "bpfman",
        minutes: 4,
        args: &["--locked"],
        env: BPFMAN_ENV,
        debian_only: false,
        optional: false,
    },
    Tool {
        krate: "cargo-deny",
        version: "0.20.2",
        program: "cargo-deny",
        minutes: 4,
        args: &["--locked"],
        env: &[],
        debian_only: false,
        optional: true,
    },
    Tool {
        krate: "cargo-machete",
        version: "0.9.2",
        program: "cargo-machete",
        minutes: 1,
        args: &["--locked"],
        env: &[],
        debian_only: false,
        optional: true,
    },
];

impl Tool {
    fn is_missing(&self, installed: &str) -> Result<bool> {
        if self.debian_only && !apt::is_debian_12() {
            return Ok(false);
        }
        let entry = format!("\"{} {} (", self.krate, self.version);
        Ok(!installed.contains(&entry) || !paths::tool(self.program)?.is_file())
    }

    fn command(&self) -> Result<Command> {
        let mut command = cmd::cargo();
        command
            .args(["install", self.krate, "--version", self.version])
            .args(self.args);
        command.arg("--root").arg(paths::tools()?);
        command.envs(self.env.iter().copied());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("/usr/lib/llvm-22/bin:{path}"));
        // Neither our cargo configuration nor our build products belong in there.
        command
            .current_dir("/")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_TARGET_DIR");
        Ok(command)
    }

    fn by_hand(&self) -> Result<String> {
        let env: String = self.env.iter().map(|(k, v)| format!("{k}={v} ")).collect();
        Ok(format!(
            "PATH=/usr/lib/llvm-22/bin:$PATH {env}{}",
            cmd::line(&self.command()?)
        ))
    }
}

/// What cargo says about its installs: the file names every crate with its version.
fn installed() -> Result<String> {
    Ok(fs::read_to_string(paths::tools()?.join(".crates.toml")).unwrap_or_default())
}

/// One line for each tool that is not there.
pub(crate) fn missing() -> Result<Vec<String>> {
    let installed = installed()?;
    let mut lines = Vec::new();
    for tool in TOOLS {
        if tool.is_missing(&installed)? {
            lines.push(format!(
                "{} {}: {}",
                tool.krate,
                tool.version,
                tool.by_hand()?
            ));
        }
    }
    Ok(lines)
}

/// Builds the tools that are not there.
pub(crate) fn install() -> Result<()> {
    install_all(TOOLS)
}

/// Builds cargo-fuzz if it is not there.
pub(crate) fn install_fuzzer() -> Result<()> {
    install_all(&[FUZZER])
}

fn install_all(tools: &[Tool]) -> Result<()> {
    let installed = installed()?;
    let cache = paths::cache()?;
    for tool in tools {
        let refused = cache.join(format!("no-{}-{}", tool.krate, tool.version));
        if !tool.is_missing(&installed)? || (tool.optional && refused.exists()) {
            continue;
        }
        let what = format!(
            "building {} {} (about {} min)",
            tool.krate, tool.version, tool.minutes
        );
        let log = cache.join("logs").join(format!("{}.log", tool.krate));
        let result = step(&what, || {
            let build = tempfile::Builder::new()
                .prefix("build-")
                .tempdir_in(&cache)?;
            cmd::logged(tool.command()?.arg("--target-dir").arg(build.path()), &log)
        });
        match result {
            Ok(()) => {}
            Err(error) if tool.optional => {
                eprintln!("setup: going on without {}: {error:#}", tool.krate);
                fs::write(&refused, format!("{error:#}\n"))?;
            }
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot build {} {}; by hand it is: {}",
                        tool.krate,
                        tool.version,
                        tool.by_hand().unwrap_or_default()
                    )
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::setup::packages::BUILD;

    /// The same source gives the same object only if the compilers are the same.
    #[test]
    fn the_containerfile_uses_the_same_tools() {
        let text = fs::read_to_string(paths::project().join("Containerfile")).unwrap();
        let words: HashSet<&str> = text.split_ascii_whitespace().collect();
        let linker = TOOLS.iter().find(|t| t.krate == "bpf-linker").unwrap();
        let env = linker
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let wanted: Vec<String> = [linker.krate, linker.version]
            .iter()
            .chain(linker.args)
            .chain(
                BUILD
                    .iter()
                    .filter(|p| p.purpose != "building bpfman")
                    .map(|p| &p.name),
            )
            .map(|word| (*word).to_owned())
            .chain(env)
            .collect();
        let missing: Vec<_> = wanted
            .iter()
            .filter(|w| !words.contains(w.as_str()))
            .collect();
        assert!(missing.is_empty(), "not in the Containerfile: {missing:?}");
    }
}
