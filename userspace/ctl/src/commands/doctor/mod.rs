//! `doctor`: what this kernel, this bpfman and these permissions allow.

mod checks;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

use crate::{
    cli,
    exit::Exit,
    report::{Format, Report, table, wrap},
};

/// Columns for what was found: 80 without those for the state and the name.
const ANSWER_WIDTH: usize = 49;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Way to load that has to work; without it bpfman if its socket is there, else local
    #[arg(long, value_enum)]
    way: Option<WayChoice>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    pub(super) bundle: cli::Bundle,
    #[command(flatten)]
    pub(super) readers: cli::Readers,
    #[command(flatten)]
    pub(super) daemon: cli::Daemon,
}

/// Way to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WayChoice {
    /// through the bpfman daemon
    Bpfman,
    /// by dns-tracectl itself
    Local,
}

/// Outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ok,
    Missing,
    Skipped,
}

/// One check.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    name: &'static str,
    state: State,
    /// Whether the chosen way needs it.
    required: bool,
    /// What was found.
    why: String,
    /// What to do about it; empty if there is nothing to do.
    remedy: String,
}

impl Check {
    fn new(
        name: &'static str,
        state: State,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            name,
            state,
            required: true,
            why: why.into(),
            remedy: remedy.into(),
        }
    }

    fn ok(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, State::Ok, why, "")
    }

    fn missing(name: &'static str, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(name, State::Missing, why, remedy)
    }

    fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, State::Skipped, why, "")
    }

    /// The same for a check whose failure does not stand in the way.
    fn optional(mut self) -> Self {
        self.required = false;
        self
    }
}

#[derive(Serialize)]
struct Outcome<'a> {
    way: WayChoice,
    works: bool,
    checks: &'a [Check],
}

/// Runs all checks.
pub(crate) async fn run(args: Args) -> Result<Report> {
    let has_socket = args.daemon.socket.exists();
    let way = args.way.unwrap_or(if has_socket {
        WayChoice::Bpfman
    } else {
        WayChoice::Local
    });
    let checks = checks::all(&args, way).await;
    let failed: Vec<&Check> = checks
        .iter()
        .filter(|c| c.required && c.state == State::Missing)
        .collect();
    let works = failed.is_empty();
    let text = match args.output {
        Format::Json => serde_json::to_string_pretty(&Outcome {
            way,
            works,
            checks: &checks,
        })
        .context("cannot write JSON")?,
        Format::Text => text(way, &checks, &failed),
    };
    let exit = match failed.first().map(|c| c.name) {
        None => Exit::Ok,
        Some(checks::BPFMAN) => Exit::Daemon,
        Some(checks::GROUP) => Exit::Missing,
        Some(_) => Exit::Kernel,
    };
    Ok(Report::new(text).with(exit))
}

fn text(way: WayChoice, checks: &[Check], failed: &[&Check]) -> String {
    let mut rows = Vec::new();
    for check in checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Missing => "missing",
            State::Skipped => "skipped",
        };
        let mut lines = wrap(&check.why, ANSWER_WIDTH);
        if !check.remedy.is_empty() {
            lines.extend(wrap(&format!("-> {}", check.remedy), ANSWER_WIDTH));
        }
        for (at, line) in lines.into_iter().enumerate() {
            let (state, name) = if at == 0 {
                (state, check.name)
            } else {
                ("", "")
            };
            rows.push(vec![state.to_owned(), name.to_owned(), line]);
        }
    }
    let way = match way {
        WayChoice::Bpfman => "through bpfman",
        WayChoice::Local => "with --local",
    };
    let verdict = if failed.is_empty() {
        format!("loading {way} works here")
    } else {
        let names: Vec<&str> = failed.iter().map(|c| c.name).collect();
        format!("loading {way} does not work here yet: {}", names.join(", "))
    };
    format!("{}{verdict}\n", table(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_thing_has_its_remedy_below() {
        let checks = [
            Check::ok("kernel", "Linux 6.18.0"),
            Check::missing(
                "group",
                "there is no group dns-trace",
                "sudo groupadd --system dns-trace",
            ),
            Check::skipped("TCX", "only root may ask").optional(),
        ];
        let failed: Vec<&Check> = checks
            .iter()
            .filter(|c| c.state == State::Missing)
            .collect();
        insta::assert_snapshot!(text(WayChoice::Local, &checks, &failed));
    }
}
