//! What dns-trace costs, beside its budgets and its peers, in one table.
//!
//! `cargo xtask bench` builds this program and runs it in network, mount and process namespaces of
//! its own. Every row is compared within its own round: what is measured and what it is compared
//! with take turns, so that a machine that is busy with something else slows both. A missed budget
//! is said in the table and is no failure; counts that do not add up are.

mod alloc;
mod args;
mod cmd;
mod dns;
mod e2e;
mod growth;
mod kernel;
mod machine;
mod object;
mod packet;
mod reader;
mod ring;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::args::{Args, Group};
use crate::table::Table;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

fn main() -> ExitCode {
    let args = Args::parse();
    dns_trace_tests::lab::sh::quiet();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints; what was measured before something failed is printed too.
fn run(args: &Args) -> Result<()> {
    let before = machine::load();
    let mut table = Table::default();
    let result = measure(args, &mut table);
    println!("{}", machine::line());
    println!(
        "load average {before} before, {} after; {} rounds",
        machine::load(),
        args.rounds
    );
    println!("\n{table}");
    result
}

fn measure(args: &Args, table: &mut Table) -> Result<()> {
    for group in args.groups() {
        match group {
            Group::Kernel => kernel::run(args, table)?,
            Group::Ring => ring::run(args, table)?,
            Group::Reader => reader::run(args, table)?,
            Group::Growth => growth::run(args, table)?,
            Group::E2e => e2e::run(args, table)?,
        }
    }
    Ok(())
}
