//! One file a command, with its arguments and what it does.

pub(crate) mod doctor;
pub(crate) mod grant;
pub(crate) mod image;
pub(crate) mod load;
pub(crate) mod status;
pub(crate) mod unload;
pub(crate) mod upgrade;

use anyhow::Result;
use dns_trace_options::pages;

pub(crate) use load::{FACT_OBJECT, FACT_SOURCE, Settings};

use crate::{
    cli::{Cli, Command},
    report::Report,
};

/// Name of the hidden command that runs a trial load.
pub(crate) const TRY_OBJECT: &str = "try-object";

/// Runs the command.
pub(crate) async fn run(cli: Cli) -> Result<Report> {
    match cli.command {
        Command::Load(args) => load::run(args).await,
        Command::Grant(args) => grant::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Upgrade(args) => upgrade::run(args).await,
        Command::Unload(args) => unload::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Image(args) => image::run(args).await,
        Command::Completions(args) => Ok(Report::new(pages::completions::<Cli>(&args))),
        Command::Man(args) => Ok(Report::new(pages::man::<Cli>(&args)?)),
        Command::TryObject { programs } => {
            crate::local::try_object(&programs).map(|()| Report::default())
        }
    }
}
