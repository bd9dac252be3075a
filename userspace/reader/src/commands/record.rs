//! `dns-trace record`: packets or messages as they are, into a file or to a collector.

use std::io;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::{Begun, Session, on_terminal};
use crate::cli::{RecordArgs, RecordFormat, RecordPlan, RecordTo};
use crate::confine::Needs;
use crate::interface::Interfaces;
use crate::ring::NoTicker;
use crate::sink::Silent;
use crate::spool::collector::{Address, Collector};
use crate::spool::file::FileOutput;
use crate::spool::{Output, Spool, Whole};
use crate::stop::Stop;
use crate::tap::dnstap::{Dnstap, Framing};
use crate::tap::pcapng::Pcapng;
use crate::tap::{Format, Recorder, Tap};

/// Runs the command.
///
/// # Errors
/// [`crate::bundle::OpenError`] in the chain, or what went wrong while reading or writing.
pub fn run(args: &RecordArgs, plan: RecordPlan) -> anyhow::Result<()> {
    if matches!(plan.to, RecordTo::Stdout) && on_terminal() {
        bail!(
            "standard output is a terminal, which a recording would upset: give a file, or a pipe"
        );
    }
    let session = Session::open(&args.common, None)?;
    let needs = needs(session.needs(), &plan.to);
    let recording = "cannot write the recording";
    // It asks through a socket, which cannot be made any more once the process is confined.
    let interfaces = Interfaces::new();
    match plan.format {
        RecordFormat::Pcapng => {
            let output = output(&plan.to, Pcapng::WHOLE).context(recording)?;
            let begun = session.begin(needs)?;
            let format = Pcapng::new(interfaces);
            let recorder = recorder(format, output, plan, begun.stop()).context(recording)?;
            begun.record(recorder)
        }
        RecordFormat::Dnstap => {
            let output = output(&plan.to, Dnstap::WHOLE).context(recording)?;
            let begun = session.begin(needs)?;
            let framing = match plan.to {
                RecordTo::Collector(_) => Framing::Connection,
                RecordTo::Stdout | RecordTo::File { .. } => Framing::File,
            };
            let format = Dnstap::new(framing, interfaces);
            let recorder = recorder(format, output, plan, begun.stop()).context(recording)?;
            begun.record(recorder)
        }
    }
}

/// What the output needs later on: the next file, the next connection.
fn needs(needs: Needs, to: &RecordTo) -> Needs {
    match to {
        RecordTo::File {
            path,
            rotate: Some(_),
        } => needs.writes(folder_of(path)),
        RecordTo::Stdout | RecordTo::File { .. } => needs,
        RecordTo::Collector(Address::Unix(_)) => needs.connects_locally(),
        RecordTo::Collector(Address::Tcp(address)) => needs.connects(address.port()),
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().unwrap_or(path);
    if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    }
}

impl Begun {
    fn record(self, mut tap: impl Tap) -> anyhow::Result<()> {
        self.run_tapped(&mut Silent, Some(&mut tap), &mut NoTicker)
    }
}

fn recorder<F: Format>(
    format: F,
    output: Box<dyn Output>,
    plan: RecordPlan,
    stop: &Stop,
) -> io::Result<Recorder<F>> {
    let rotate_size = match &plan.to {
        RecordTo::File { rotate, .. } => rotate.map(|(size, _)| size),
        _ => None,
    };
    let stop = stop.clone();
    let spool = Spool::start(output, move || stop.give())?;
    Recorder::new(format, spool, plan.filter, rotate_size)
}

fn output(to: &RecordTo, whole: Whole) -> io::Result<Box<dyn Output>> {
    Ok(match to {
        RecordTo::Stdout => Box::new(FileOutput::stdout(whole)?),
        RecordTo::File { path, rotate } => {
            let keep = rotate.map(|(_, keep)| keep);
            Box::new(FileOutput::create(path, keep, whole)?)
        }
        RecordTo::Collector(address) => Box::new(Collector::new(address.clone())),
    })
}
