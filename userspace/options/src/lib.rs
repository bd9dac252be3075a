//! What follows from a command line's definition, for both programs alike: options from a file
//! ([`parse`]), shell completions and manual pages ([`pages`]). No option is known here by name but
//! `--config`, so nothing here goes stale when a command changes.

mod config;
pub mod pages;
mod values;

use std::ffi::OsString;

use clap::Parser;

/// Parses a command line whose `--config FILE`, if there is one, gives further options.
///
/// The file is TOML: a section a command (`[watch]`, `[image.push]`), and in it the long names of
/// options. What the command line or the environment says of an option, the file does not. Its
/// options are turned into arguments, so that clap checks them as it checks all others.
///
/// # Errors
/// clap's, also for `--help` and `--version`; and those of the file, with its name and the line.
pub fn parse<C: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<C, clap::Error> {
    let args = config::extend(&C::command(), args.into_iter().collect())?;
    C::try_parse_from(args)
}
