//! `cargo xtask setup`: what build and tests need, installed once.
//!
//! Distribution packages come from apt on Debian 12, tools from crates.io into the cache. A run
//! that finds everything in place costs one `dpkg-query` and a few `stat`s.

mod apt;
mod elsewhere;
mod packages;
mod tools;

pub(crate) use apt::is_root;

use std::fs::{self, File};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::paths;

/// Arguments of `cargo xtask setup`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only say what is missing and how to get it; exit 2 if anything is
    #[arg(long)]
    check: bool,
}

/// Runs `cargo xtask setup`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let begin = Instant::now();
    if args.check {
        let missing = missing()?;
        if !missing.is_empty() {
            bail!("missing:\n  {}", missing.join("\n  "));
        }
    } else {
        ensure()?;
    }
    println!(
        "setup: everything is in place ({:.1} s)",
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Two commands at once must not build the same tool twice.
fn lock() -> Result<File> {
    let cache = paths::cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let lock = File::create(cache.join("setup.lock")).context("cannot create the setup lock")?;
    lock.lock().context("cannot lock the cache")?;
    Ok(lock)
}

/// Makes sure that cargo-fuzz is there.
pub(crate) fn ensure_fuzzer() -> Result<()> {
    let _lock = lock()?;
    tools::install_fuzzer()
}

/// Makes sure that everything is in place; silent if it is.
pub(crate) fn ensure() -> Result<()> {
    let _lock = lock()?;
    if apt::is_debian_12() {
        apt::install(packages::all())?;
    } else {
        let missing = elsewhere::missing(packages::all());
        if !missing.is_empty() {
            bail!(
                "this is not Debian 12, so install these with its own package manager:\n  {}",
                missing.join("\n  ")
            );
        }
    }
    tools::install()
}

/// One line for each missing thing, with the command that gets it or, last, all packages at once.
fn missing() -> Result<Vec<String>> {
    let mut lines = if apt::is_debian_12() {
        let missing = apt::missing(packages::all())?;
        let names: Vec<&str> = missing.iter().map(|p| p.name).collect();
        let all = format!("all packages: sudo sh -c '{}'", apt::by_hand(&names));
        missing
            .iter()
            .map(|p| format!("{} ({})", p.name, p.purpose))
            .chain((!names.is_empty()).then_some(all))
            .collect()
    } else {
        elsewhere::missing(packages::all())
    };
    lines.extend(tools::missing()?);
    Ok(lines)
}

/// Prints a step, runs it, and prints how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    use std::io::Write;
    let begin = Instant::now();
    print!("setup: {what} ... ");
    let _ = std::io::stdout().flush();
    let result = work();
    let outcome = if result.is_ok() { "ok" } else { "FAILED" };
    println!("{outcome} ({:.1} s)", begin.elapsed().as_secs_f64());
    result
}

#[cfg(test)]
mod tests {
    use crate::{cmd, paths};

    /// The kernel objects are compiled with what setup installs: a setup that needs them never begins.
    #[test]
    fn setup_can_be_built_before_it_has_run() {
        let output = cmd::cargo()
            .current_dir(paths::project())
            .args(["tree", "--offline", "--package", "xtask"])
            .args(["--edges", "normal,build", "--prefix", "none"])
            .output()
            .unwrap();
        let tree = String::from_utf8(output.stdout).unwrap();
        assert!(tree.contains("dns-trace-tests"), "no tree: {tree}");
        assert!(!tree.contains("dns-trace-bytecode"), "{tree}");
    }
}
