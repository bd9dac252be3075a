//! `cargo xtask`: everything that is done to the project rather than by it.
//!
//! This file parses and dispatches. Each command has a file of its own; what several of them
//! need is in `setup` (tools and packages), `archive` (Debian's), `kernels` (kernels to boot), `build`
//! (our binaries) and `guest` (the virtual machine).

mod archive;
mod bench;
mod build;
mod cmd;
mod demo;
mod fuzz;
mod guest;
mod kernels;
mod lint;
mod matrix;
mod paths;
mod setup;
mod systemd;
mod test;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, test and measure dns-trace")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what build and tests need; the other commands call this by themselves
    Setup(setup::Args),
    /// Show real lookups, in namespaces that end with the demo
    Demo(demo::Args),
    /// Unit tests, property tests, and every scenario on the kernels of the short matrix
    Test(test::Args),
    /// Boot kernels and run scenarios on them
    Vm(vm::Args),
    /// Boot Debian with systemd twice and look at what our units do there
    Systemd(systemd::Args),
    /// What dns-trace costs, beside its budgets and its peers
    Bench(bench::Args),
    /// Feed the parsers bytes that nobody vouches for
    Fuzz(fuzz::Args),
    /// Formatting, clippy, documentation, licences, unused dependencies
    Lint,
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs the command; `false` says that it ran and that something it checked has failed.
fn dispatch(command: Command) -> Result<bool> {
    match command {
        Command::Setup(args) => setup::run(&args).map(|()| true),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Vm(args) => vm::run(&args),
        Command::Systemd(args) => systemd::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Lint => lint::run(),
    }
}
