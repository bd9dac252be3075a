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
    let deny = [
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ];
    check_with_tool(&mut tally, "deny", "cargo-deny", &deny)?;
    check_with_tool(
        &mut tally,
        "machete",
        "cargo-machete",
        &["--skip-target-dir"],
    )?;
    Ok(tally)
}

fn cargo() -> Command {
    let mut cargo = cmd::cargo();
    cargo.current_dir(paths::project());
    cargo
}

/// Runs a tool that setup builds if it can. Without the tool the check fails: what was not looked at
/// is not in order.
fn check_with_tool(tally: &mut Tally, name: &str, tool: &str, args: &[&str]) -> Result<()> {
    let program = paths::tool(tool)?;
    if !program.is_file() {
        tally.failed += 1;
        println!("test lint::{name} ... FAILED");
        println!("    {tool} is missing; run: cargo xtask setup");
        return Ok(());
    }
    let mut command = Command::new(program);
    command.current_dir(paths::project()).args(args);
    check(tally, name, &mut command)
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
