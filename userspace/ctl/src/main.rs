//! `dns-tracectl`, the operator's tool of dns-trace: loads the capture programs, hands their maps
//! over to a group, shows them, and takes them away again. Needs root; nothing of it stays behind
//! as a process.

mod bpf;
mod bundle;
mod chain;
mod cli;
mod commands;
mod daemon;
mod exit;
mod hook;
mod instance;
mod kernel;
mod local;
mod report;

use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    let cli =
        dns_trace_options::parse::<cli::Cli>(std::env::args_os()).unwrap_or_else(|e| e.exit());
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(commands::run(cli)));
    match outcome {
        Ok(report) => report::print(&report),
        Err(error) => {
            // A closed stderr is nothing to complain about: there is nobody left to tell.
            let _ = writeln!(
                std::io::stderr(),
                "dns-tracectl: {}",
                exit::one_line(&error)
            );
            exit::code_of(&error).into()
        }
    }
}
