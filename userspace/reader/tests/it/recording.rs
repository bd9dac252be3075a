//! Recordings, read back by the tools of others.

mod askers;
mod collector;
mod formats;
mod outputs;

use std::path::Path;
use std::process::Command;

use dns_trace::clock::WallClock;
use dns_trace::counts::{Counts, KernelCounts};
use dns_trace::interface::Interfaces;
use dns_trace::pipeline::Pipeline;
use dns_trace::sink::Silent;
use dns_trace::spool::file::FileOutput;
use dns_trace::spool::{Output, Spool};
use dns_trace::tap::dnstap::{Dnstap, Framing};
use dns_trace::tap::pcapng::Pcapng;
use dns_trace::tap::{Format, MessageFilter, Recorder, Tap};
use dns_trace_event::Stats;

use crate::memory::{add_up, options};
use crate::records::Rec;

const MS: u64 = 1_000_000;

fn pcapng() -> Pcapng {
    Pcapng::new(Interfaces::fixed(&[(2, "eth0"), (3, "wg0")]))
}

fn dnstap(framing: Framing) -> Dnstap {
    Dnstap::new(framing, Interfaces::fixed(&[(2, "eth0"), (3, "wg0")]))
}

fn into_file<F: Format>(format: F, path: &Path) -> Recorder<F> {
    let output: Box<dyn Output> = Box::new(FileOutput::create(path, None, F::WHOLE).unwrap());
    let spool = Spool::start(output, || {}).unwrap();
    Recorder::new(format, spool, MessageFilter::default(), None).unwrap()
}

/// Runs records through a pipeline with a tap. Boot time 0 is 2026-01-02T03:04:05Z.
fn tapped(tap: &mut dyn Tap, records: &[Rec]) -> Counts {
    let records: Vec<Vec<u8>> = records.iter().map(Rec::bytes).collect();
    tapped_bytes(tap, &records)
}

/// The same with records as they lie in the ring.
fn tapped_bytes(tap: &mut dyn Tap, records: &[Vec<u8>]) -> Counts {
    let mut sink = Silent;
    let mut pipeline = Pipeline::new(options(), &mut sink).with_tap(Some(tap));
    pipeline.set_clock(WallClock::with_offset(1_767_323_045_000_000_000));
    for record in records {
        pipeline.record(record).unwrap();
    }
    pipeline.finish().unwrap();
    let kernel = KernelCounts(Stats {
        ring_full: 3,
        unreadable: 1,
        ..Stats::default()
    });
    pipeline.finish_tap(&kernel).unwrap();
    let counts = pipeline.counts();
    add_up(&counts);
    counts
}

/// What came of starting a program of a Debian package.
pub(crate) fn started<T>(result: std::io::Result<T>, program: &str, package: &str) -> T {
    let missing =
        |error| format!("cannot run {program}: {error}; it is in {package}: cargo xtask setup");
    result.map_err(missing).unwrap()
}

/// `extra` of each event in a file, as `fstrm_dump` prints it between the rest.
fn extras(path: &Path) -> Vec<String> {
    let dump = Command::new("fstrm_dump").arg(path).output();
    let dump = started(dump, "fstrm_dump", "fstrm-bin");
    let extra = |line: &str| {
        let from = line.find('{').unwrap();
        let to = line.rfind("}r").unwrap();
        line[from..=to].replace("\\\"", "\"")
    };
    let frames = String::from_utf8(dump.stdout).unwrap();
    frames.lines().map(extra).collect()
}

/// What a program of a Debian package prints on standard output.
fn tool(package: &str, words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output();
    let output = started(output, words[0], package);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}
