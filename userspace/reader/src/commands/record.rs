//! `dns-trace record`: packets or messages as they are, into a file or to a collector.

use std::io;

use anyhow::{Context as _, bail};

use super::{Session, on_terminal};
use crate::cli::{RecordArgs, RecordFormat, RecordPlan, RecordTo};
use crate::interface::Interfaces;
use crate::ring::NoTicker;
use crate::sink::Silent;
use crate::spool::collector::Collector;
use crate::spool::file::FileOutput;
use crate::spool::{Output, Spool, Whole};
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
    let mut tap = open(plan).context("cannot write the recording")?;
    session.run_tapped(&mut Silent, Some(&mut *tap), &mut NoTicker)
}

/// Opens the output, and begins.
fn open(plan: RecordPlan) -> io::Result<Box<dyn Tap>> {
    match plan.format {
        RecordFormat::Pcapng => recorder(Pcapng::new(Interfaces::new()), plan),
        RecordFormat::Dnstap => {
            let framing = match plan.to {
                RecordTo::Collector(_) => Framing::Connection,
                RecordTo::Stdout | RecordTo::File { .. } => Framing::File,
            };
            recorder(Dnstap::new(framing, Interfaces::new()), plan)
        }
    }
}

fn recorder<F: Format + 'static>(format: F, plan: RecordPlan) -> io::Result<Box<dyn Tap>> {
    let rotate_size = match &plan.to {
        RecordTo::File { rotate, .. } => rotate.map(|(size, _)| size),
        _ => None,
    };
    let spool = Spool::start(output(plan.to, F::WHOLE)?)?;
    let recorder = Recorder::new(format, spool, plan.filter, rotate_size)?;
    Ok(Box::new(recorder))
}

fn output(to: RecordTo, whole: Whole) -> io::Result<Box<dyn Output>> {
    Ok(match to {
        RecordTo::Stdout => Box::new(FileOutput::stdout(whole)?),
        RecordTo::File { path, rotate } => {
            let keep = rotate.map(|(_, keep)| keep);
            Box::new(FileOutput::create(&path, keep, whole)?)
        }
        RecordTo::Collector(address) => Box::new(Collector::new(address)),
    })
}
