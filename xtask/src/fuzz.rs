//! `cargo xtask fuzz`: the targets of `fuzz/`, one after the other, each for a time.
//!
//! Needs no nightly toolchain: what instrumentation wants of the compiler, the stable one has, and
//! `RUSTC_BOOTSTRAP` lets it say so.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::vm::Tally;
use crate::{cmd, paths, setup};

/// Largest input, in bytes. A message over TCP has 64 KiB, an object some 10.
const INPUT_MAX: u32 = 64 << 10;
/// Longest time that one input may take, in seconds.
const INPUT_SECONDS: u32 = 10;

/// Targets of the crate for images.
const IMAGES: [&str; 2] = ["image", "object"];

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which; all if none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Seconds for each
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// Runs `cargo xtask fuzz`.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let known = known()?;
    for target in &args.targets {
        let all = known.join(", ");
        ensure!(
            known.contains(target),
            "no target {target}; there are {all}"
        );
    }
    setup::ensure_fuzzer()?;
    let targets = if args.targets.is_empty() {
        &known
    } else {
        &args.targets
    };
    let mut tally = Tally::default();
    for target in targets {
        let ok = fuzz(target, args.seconds)?;
        println!(
            "test fuzz::{target} ... {}",
            if ok { "ok" } else { "FAILED" }
        );
        tally.passed += u64::from(ok);
        tally.failed += u64::from(!ok);
    }
    tally.print();
    Ok(tally.failed == 0)
}

/// The targets, by their files.
fn known() -> Result<Vec<String>> {
    let folder = paths::project().join("fuzz/fuzz_targets");
    let files =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        names.extend(
            path.file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    Ok(names)
}

/// Runs one target. What it learns stays in `fuzz/corpus`, what it finds in `fuzz/artifacts`; neither is
/// committed. It begins with `fuzz/seeds`.
fn fuzz(target: &str, seconds: u32) -> Result<bool> {
    let folder = paths::project().join("fuzz");
    let corpus = folder.join("corpus").join(target);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let mut path = paths::tools()?.join("bin").into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut cargo: Command = cmd::cargo();
    cargo.current_dir(paths::project()).env("PATH", path);
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo.args(["fuzz", "run", "--sanitizer", "address"]);
    if IMAGES.contains(&target) {
        cargo.args(["--features", "images"]);
    }
    cargo.arg(target);
    cargo.arg(&corpus).arg(folder.join("seeds").join(target));
    cargo.arg("--");
    cargo.arg(format!("-max_total_time={seconds}"));
    cargo.arg(format!("-max_len={INPUT_MAX}"));
    cargo.arg(format!("-timeout={INPUT_SECONDS}"));
    cmd::succeeds(&mut cargo)
}
