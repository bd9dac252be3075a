//! `cargo xtask setup`: what build and tests need, installed once.
//!
//! Distribution packages come from apt on Debian 12, tools from crates.io into the cache. A run
//! that finds everything in place costs one `dpkg-query` and a few `stat`s.

mod apt;
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

/// Makes sure that everything is in place; silent if it is.
pub(crate) fn ensure() -> Result<()> {
    let cache = paths::cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    // Two commands at once must not build the same tool twice.
    let lock = File::create(cache.join("setup.lock")).context("cannot create the setup lock")?;
    lock.lock().context("cannot lock the cache")?;
    if apt::is_debian_12() {
        apt::install(packages::all())?;
    } else {
        let missing = apt::probe(packages::all());
        if !missing.is_empty() {
            bail!(
                "this is not Debian 12, so install these by your own means (Debian's names):\n  {}",
                missing.join("\n  ")
            );
        }
    }
    tools::install()
}

/// One line for each missing thing, with the command that gets it.
fn missing() -> Result<Vec<String>> {
    let mut lines = if apt::is_debian_12() {
        apt::missing(packages::all())?
            .iter()
            .map(|p| {
                format!(
                    "{} ({}): sudo apt-get install {}",
                    p.name, p.purpose, p.name
                )
            })
            .collect()
    } else {
        apt::probe(packages::all())
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
