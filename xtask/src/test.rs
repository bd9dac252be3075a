//! `cargo xtask test`: the project's own tests, then every scenario on the short matrix.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::vm::{self, Tally};
use crate::{bench, build, cmd, lint, paths, setup};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out what needs root: the guests, and the bench in short
    #[arg(long)]
    no_guests: bool,
    /// Kernels to boot: `all`, or names separated by commas
    #[arg(long, value_name = "LIST")]
    kernels: Option<String>,
}

/// Runs `cargo xtask test`. Goes on after a failure, so that one run shows all there is.
pub(crate) fn run(args: &Args) -> Result<bool> {
    setup::ensure()?;
    let mut tally = lint::checks(lint::Depth::Quick)?;
    add(&mut tally, unit_tests()?);
    add(&mut tally, benches()?);
    if !args.no_guests {
        add(
            &mut tally,
            vm::scenarios(
                &build::binaries()?,
                vm::Choice {
                    kernels: args.kernels.as_deref(),
                    ..vm::Choice::default()
                },
            )?,
        );
        add(&mut tally, short_bench()?);
    }
    tally.print();
    Ok(tally.failed == 0)
}

/// Whether the bench still measures, and every message is reported or counted as lost. On a machine that does
/// other things at the same time its figures decide nothing.
fn short_bench() -> Result<Tally> {
    Ok(told("bench --quick", bench::run(&bench::Args::quick())?))
}

/// Whether the reader's parts can still be measured by themselves: each is run once.
fn benches() -> Result<Tally> {
    let mut cargo = cmd::cargo();
    cargo.current_dir(paths::project()).args([
        "bench",
        "--quiet",
        "--package",
        "dns-trace",
        "--bench",
        "reader",
        "--",
        "--test",
        "--quiet",
    ]);
    let status = cargo.status().context("cannot start cargo")?;
    Ok(told("benches", status.success()))
}

fn told(name: &str, well: bool) -> Tally {
    println!("test {name} ... {}", if well { "ok" } else { "FAILED" });
    Tally {
        passed: well.into(),
        failed: (!well).into(),
    }
}

fn add(to: &mut Tally, other: Tally) {
    to.passed += other.passed;
    to.failed += other.failed;
}

/// Runs `cargo test` and counts what its harnesses report.
fn unit_tests() -> Result<Tally> {
    let mut cargo = cmd::cargo();
    cargo
        .current_dir(paths::project())
        .args(["test", "--quiet", "--workspace", "--no-fail-fast"]);
    count(&mut cargo)
}

fn count(command: &mut Command) -> Result<Tally> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", cmd::line(command)))?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some(one) = summary(&line) {
            add(&mut tally, one);
            // A harness without tests says so in three lines that tell nobody anything.
            if one.passed + one.failed == 0 {
                continue;
            }
        }
        if !line.is_empty() && line != "running 0 tests" {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        // Something did not compile, or a harness died.
        println!("test {} ... FAILED", cmd::line(command));
        tally.failed = 1;
    }
    Ok(tally)
}

/// Reads `test result: ok. 3 passed; 0 failed; …`.
fn summary(line: &str) -> Option<Tally> {
    let rest = line.trim().strip_prefix("test result: ")?;
    let number = |word: &str| -> Option<u64> {
        let before = rest.split(word).next()?;
        before.trim().rsplit(' ').next()?.parse().ok()
    };
    Some(Tally {
        passed: number(" passed")?,
        failed: number(" failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn a_summary_is_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let tally = summary(line).unwrap();
        assert_eq!((tally.passed, tally.failed), (12, 3));
        assert!(summary("running 3 tests").is_none());
    }
}
