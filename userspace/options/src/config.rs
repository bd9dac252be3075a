//! From a file to arguments.

use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::values;

/// Largest file, in bytes.
const FILE_MAX: u64 = 1 << 20;
/// Name of the option that names the file.
const CONFIG: &str = "config";
/// Options that make no sense in a file.
const NEVER: [&str; 3] = [CONFIG, "help", "version"];

/// Adds what the file says to the arguments, if they name one.
pub(crate) fn extend(
    command: &Command,
    mut args: Vec<OsString>,
) -> Result<Vec<OsString>, clap::Error> {
    // What is wrong with the arguments themselves, the parse of all of them will tell.
    let lenient = command.clone().ignore_errors(true);
    let Ok(matches) = lenient.try_get_matches_from(&args) else {
        return Ok(args);
    };
    let Some(path) = matches.get_one::<PathBuf>(CONFIG) else {
        return Ok(args);
    };
    let given = Given::of(&matches);
    let text = read(path)?;
    let mut file = File {
        path,
        text: &text,
        program: command,
        given: &given,
        args: Vec::new(),
    };
    let root = DeTable::parse(&text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        file.error(span, error.message())
    })?;
    file.section(command, root.get_ref(), &mut Vec::new())?;
    // After a bare `--` nothing is an option.
    let end = args.iter().position(|arg| arg == "--");
    let end = end.unwrap_or(args.len());
    args.splice(end..end, file.args);
    Ok(args)
}

fn read(path: &Path) -> Result<String, clap::Error> {
    let named = |what: &str| {
        let message = format!("cannot read {}: {what}\n", path.display());
        clap::Error::raw(ErrorKind::Io, message)
    };
    let about = fs::metadata(path).map_err(|error| named(&error.to_string()))?;
    if about.len() > FILE_MAX {
        return Err(named("it has more than 1 MiB"));
    }
    fs::read_to_string(path).map_err(|error| named(&error.to_string()))
}

/// The command that the arguments name, and the options that they give it.
struct Given {
    command: Vec<String>,
    options: Vec<String>,
}

impl Given {
    fn of(matches: &ArgMatches) -> Self {
        let mut command = Vec::new();
        let mut matches = matches;
        while let Some((name, below)) = matches.subcommand() {
            command.push(name.to_owned());
            matches = below;
        }
        let given = |id: &&str| {
            let source = matches.value_source(id);
            source.is_some_and(|source| source != ValueSource::DefaultValue)
        };
        let ids = matches.ids().map(clap::Id::as_str);
        let options = ids.filter(given).map(str::to_owned).collect();
        Self { command, options }
    }
}

/// A file on its way to arguments.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
    program: &'a Command,
    given: &'a Given,
    args: Vec<OsString>,
}

impl File<'_> {
    /// Checks a command's section, and takes it if that is the command given.
    fn section(
        &mut self,
        command: &Command,
        table: &DeTable<'_>,
        path: &mut Vec<String>,
    ) -> Result<(), clap::Error> {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if let Some(below) = command.find_subcommand(name) {
                let DeValue::Table(table) = value.get_ref() else {
                    let what = format!("{name} is a command: write [{}]", dotted(path, name));
                    return Err(self.error(value.span(), &what));
                };
                path.push(below.get_name().to_owned());
                self.section(below, table, path)?;
                path.pop();
            } else if let Some(arg) = option(command, name) {
                self.option(arg, value, path)?;
            } else {
                return Err(self.unknown(command, key, path));
            }
        }
        Ok(())
    }

    /// Checks an option, and takes it if it is for the command given, and not given already.
    fn option(
        &mut self,
        arg: &Arg,
        value: &Spanned<DeValue<'_>>,
        path: &[String],
    ) -> Result<(), clap::Error> {
        let name = arg.get_long().unwrap_or_default();
        let args = values::arguments(arg, value.get_ref()).map_err(|wants| {
            let what = format!("{} {wants}", dotted(path, name));
            self.error(value.span(), &what)
        })?;
        for arg in &args {
            if let Some(why) = values::refusal(self.program, path, arg) {
                return Err(self.error(value.span(), &why));
            }
        }
        let given = &self.given.options;
        if self.given.command == path && !given.iter().any(|id| arg.get_id() == id.as_str()) {
            self.args.extend(args);
        }
        Ok(())
    }

    fn unknown(
        &self,
        command: &Command,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        path: &[String],
    ) -> clap::Error {
        let commands = command
            .get_subcommands()
            .filter(|below| !below.is_hide_set());
        let commands: Vec<&str> = commands.map(Command::get_name).collect();
        let name = key.get_ref();
        let what = if commands.is_empty() {
            let known = options(command).filter(|arg| !arg.is_hide_set());
            let known: Vec<&str> = known.filter_map(Arg::get_long).collect();
            let known = known.join(", ");
            format!(
                "unknown option {name} in [{}]; known are: {known}",
                path.join(".")
            )
        } else {
            format!("unknown command {name}; known are: {}", commands.join(", "))
        };
        self.error(key.span(), &what)
    }

    fn error(&self, span: Range<usize>, what: &str) -> clap::Error {
        let before = self.text.as_bytes().iter().take(span.start);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        let message = format!("{}:{line}: {what}\n", self.path.display());
        clap::Error::raw(ErrorKind::InvalidValue, message)
    }
}

fn dotted(path: &[String], name: &str) -> String {
    let mut dotted = path.join(".");
    if !dotted.is_empty() {
        dotted.push('.');
    }
    dotted + name
}

fn option<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    options(command).find(|arg| arg.get_long() == Some(name))
}

/// A command that has commands has no options in a file.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let none = command.has_subcommands();
    let args = command.get_arguments().filter(move |_| !none);
    args.filter(|arg| arg.get_long().is_some_and(|long| !NEVER.contains(&long)))
}
