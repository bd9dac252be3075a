//! `dns-trace`: parses, dispatches, and maps the outcome to an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use dns_trace::bundle::OpenError;
use dns_trace::cli::{Cli, Command};
use dns_trace::commands;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let result = match &cli.command {
        Command::Watch(args) => commands::watch::run(args),
        Command::Stats(args) => commands::stats::run(args),
        Command::Record(args) => match args.plan() {
            Ok(plan) => commands::record::run(args, plan),
            Err(error) => error.exit(),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dns-trace: {error:#}");
            let open = error.downcast_ref::<OpenError>();
            open.map_or(ExitCode::FAILURE, |error| error.exit_code().into())
        }
    }
}
