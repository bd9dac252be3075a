//! `cargo xtask lint`: what a machine can find fault with.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::vm::Tally;
use crate::{cmd, paths, setup};

/// How thoroughly to look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What costs next to nothing after a build.
    Quick,
    /// Everything.
    Full,
}

/// Runs `cargo xtask lint`.
pub(crate) fn run() -> Result<bool> {
    setup::ensure()?;
    let tally = checks(Depth::Full)?;
    tally.print();
    Ok(tally.failed == 0)
}

/// Runs the checks, prints a line for each and counts them.
pub(crate) fn checks(depth: Depth) -> Result<Tally> {
    let mut tally = Tally::default();
    check(&mut tally, "fmt", cargo().args(["fmt", "--all", "--check"]))?;
    check(
        &mut tally,
        "clippy",
        cargo().args([
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    if depth == Depth::Full {
        let mut doc = cargo();
        doc.args([
            "doc",
            "--quiet",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ])
        .env("RUSTDOCFLAGS", "-D warnings");
        check(&mut tally, "doc", &mut doc)?;
    }
    // Advisories need a download, and what they say changes without any change of ours.
    if let Some(mut deny) = optional("cargo-deny")? {
        deny.args([
            "--log-level",
            "error",
            "check",
            "bans",
            "licenses",
            "sources",
        ]);
        check(&mut tally, "deny", &mut deny)?;
    }
    if let Some(mut machete) = optional("cargo-machete")? {
        check(&mut tally, "machete", machete.arg("--skip-target-dir"))?;
    }
    Ok(tally)
}

fn cargo() -> Command {
    let mut cargo = cmd::cargo();
    cargo.current_dir(paths::project());
    cargo
}

/// A tool that setup builds if it can.
fn optional(name: &str) -> Result<Option<Command>> {
    let program = paths::tool(name)?;
    if !program.is_file() {
        println!("lint {name} ... left out: it is not installed");
        return Ok(None);
    }
    let mut command = Command::new(program);
    command.current_dir(paths::project());
    Ok(Some(command))
}

fn check(tally: &mut Tally, name: &str, command: &mut Command) -> Result<()> {
    let begin = Instant::now();
    let ok = cmd::succeeds(command)?;
    let outcome = if ok { "ok" } else { "FAILED" };
    println!(
        "test lint::{name} ... {outcome} ({:.1} s)",
        begin.elapsed().as_secs_f64()
    );
    if ok {
        tally.passed += 1;
    } else {
        tally.failed += 1;
        println!("    again: {}", cmd::line(command));
    }
    Ok(())
}
