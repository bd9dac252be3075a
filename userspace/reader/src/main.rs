//! `dns-trace`: parses, dispatches, and maps the outcome to an exit code.

use std::env;
use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;
use dns_trace::bundle::OpenError;
use dns_trace::cli::{Cli, Command};
use dns_trace::commands;
use dns_trace_options::pages;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = match dns_trace_options::parse::<Cli>(env::args_os()) {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayVersion && verbose() => {
            return outcome(commands::version::run());
        }
        Err(error) => error.exit(),
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(io::stderr)
        .init();
    outcome(match &cli.command {
        Command::Watch(args) => commands::watch::run(args),
        Command::Stats(args) => commands::stats::run(args),
        Command::Top(args) => commands::top::run(args),
        Command::Record(args) => match args.plan() {
            Ok(plan) => commands::record::run(args, plan),
            Err(error) => error.exit(),
        },
        Command::Serve(args) => match args.plan() {
            Ok(plan) => commands::serve::run(args, plan),
            Err(error) => error.exit(),
        },
        Command::Completions(args) => page(Ok(pages::completions::<Cli>(args))),
        Command::Man(args) => page(pages::man::<Cli>(args)),
    })
}

/// clap ends at `--version`, whatever follows.
fn verbose() -> bool {
    env::args_os().any(|arg| arg == "--verbose")
}

fn page(text: io::Result<String>) -> anyhow::Result<()> {
    Ok(pages::print(&text?)?)
}

fn outcome(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dns-trace: {error:#}");
            let open = error.downcast_ref::<OpenError>();
            open.map_or(ExitCode::FAILURE, |error| error.exit_code().into())
        }
    }
}
