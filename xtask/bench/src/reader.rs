//! The reader in process: nanoseconds a message for decoding and matching, a lookup for sinks, and
//! allocations.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Seek as _};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use dns_trace::bundle::FEW;
use dns_trace::filter::Filter;
use dns_trace::interface::Interfaces;
use dns_trace::message::Decoded;
use dns_trace::metrics::{Limits, Meter};
use dns_trace::name::WireName;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::sink::json::JsonSink;
use dns_trace::sink::table::{Look, TableSink};
use dns_trace::sink::{Silent, Sink};
use dns_trace::spool::Spool;
use dns_trace::spool::file::FileOutput;
use dns_trace::tap::dnstap::{Dnstap, Framing};
use dns_trace::tap::pcapng::Pcapng;
use dns_trace::tap::{Format, MessageFilter, Recorder, Tap};
use dns_trace::top::tally::TallySink;
use jiff::tz::TimeZone;

use crate::args::Args;
use crate::table::{Budget, Samples, Table, number};
use crate::{alloc, dns, machine};

/// A pipeline that is measured, with the name of what it feeds.
struct Subject<'s> {
    name: &'static str,
    pipeline: Pipeline<'s>,
}

/// What is taken of one round.
struct Round {
    decode_ns: f64,
    silent: Pass,
    /// By subject.
    passes: Vec<Pass>,
}

/// Figures of one message.
#[derive(Clone, Copy)]
pub(crate) struct Pass {
    /// Nanoseconds.
    pub(crate) ns: f64,
    /// Allocations.
    pub(crate) allocations: f64,
}

/// A pipeline that never gives up a query.
pub(crate) fn options() -> Options {
    Options {
        filter: Filter::default(),
        timeout_ns: u64::MAX,
        max_pending: 1 << 21,
        count: None,
        start_ns: 0,
        hold_ns: 0,
    }
}

/// Runs records through a pipeline several times, each time from another port of the client. The
/// time is the median of all times: one that was interrupted does not count.
pub(crate) fn pass(
    pipeline: &mut Pipeline<'_>,
    records: &mut [Vec<u8>],
    times: u16,
) -> Result<Pass> {
    let before = pipeline.counts();
    let mut ns = Vec::with_capacity(times.into());
    let calls = alloc::calls();
    for time in 0..times {
        dns::set_client_port(records, 1024 + time * 13);
        let begin = Instant::now();
        for few in records.chunks(FEW) {
            let ahead = pipeline.look_ahead_at(black_box(few));
            for (record, ahead) in few.iter().zip(ahead) {
                pipeline.take(record, ahead)?;
            }
        }
        ns.push(begin.elapsed().as_nanos() as f64 / records.len() as f64);
        pipeline.drained()?;
    }
    let calls = alloc::calls() - calls;
    let messages = (records.len() * usize::from(times)) as u64;
    let answered = pipeline.counts().raw.answered - before.raw.answered;
    ensure!(
        answered * 2 == messages,
        "the reader's counts do not add up: {messages} messages, {answered} lookups"
    );
    Ok(Pass {
        ns: Samples::new(ns).median(),
        allocations: calls as f64 / messages as f64,
    })
}

/// Measures, and adds the rows.
pub(crate) fn run(args: &Args, table: &mut Table) -> Result<()> {
    machine::pin(0)?;
    let mut records = dns::lookups(1);
    let times = args.choose(100, 10);
    let path = args.data.join("reader.jsonl");
    let named = || format!("cannot write {}", path.display());
    let mut file = File::create(&path).with_context(named)?;
    let mut sinks = sinks(file.try_clone().with_context(named)?);
    let mut taps = taps()?;
    let mut untapped = [Silent; 2];
    let mut nothing = Silent;
    let mut silent = Pipeline::new(options(), &mut nothing);
    let mut subjects = Vec::new();
    for (name, sink) in &mut sinks {
        let pipeline = Pipeline::new(options(), &mut **sink);
        subjects.push(Subject { name, pipeline });
    }
    for ((name, tap), sink) in taps.iter_mut().zip(&mut untapped) {
        let pipeline = Pipeline::new(options(), sink).with_tap(Some(&mut **tap));
        subjects.push(Subject { name, pipeline });
    }
    pass(&mut silent, &mut records, 10)?; // warms up
    for subject in &mut subjects {
        pass(&mut subject.pipeline, &mut records, 10)?;
    }
    let mut rounds = Vec::new();
    for i in 1..=args.rounds {
        eprintln!("reader: round {i} of {}", args.rounds);
        file.set_len(0).with_context(named)?;
        file.rewind().with_context(named)?;
        let decode_ns = decode(times)?;
        let silent = pass(&mut silent, &mut records, times)?;
        let passes = subjects.iter_mut();
        let passes = passes.map(|subject| pass(&mut subject.pipeline, &mut records, times));
        rounds.push(Round {
            decode_ns,
            silent,
            passes: passes.collect::<Result<_>>()?,
        });
    }
    for subject in &subjects {
        let dropped = subject.pipeline.counts().tap.dropped;
        ensure!(dropped == 0, "{dropped} messages were not recorded");
    }
    drop(file);
    std::fs::remove_file(&path).with_context(named)?;
    let names: Vec<_> = subjects.iter().map(|subject| subject.name).collect();
    rows(&names, &rounds, table);
    Ok(())
}

const TO_A_FILE: &str = "JSON lines to a file";

/// One of each, as the commands have them.
fn sinks(file: File) -> Vec<(&'static str, Box<dyn Sink>)> {
    let look = Look {
        width: Some(160),
        colour: true,
        zone: TimeZone::UTC,
    };
    let limits = Limits {
        servers: 64,
        names: None,
        series: 1000,
    };
    vec![
        (
            "JSON lines into nothing",
            Box::new(JsonSink::new(io::sink(), interfaces())),
        ),
        (TO_A_FILE, Box::new(JsonSink::new(file, interfaces()))),
        (
            "a table into nothing",
            Box::new(TableSink::new(io::sink(), look)),
        ),
        ("the measures of serve", Box::new(Meter::new(limits))),
        ("the counts of top", Box::new(TallySink::default())),
    ]
}

fn taps() -> Result<Vec<(&'static str, Box<dyn Tap>)>> {
    let dnstap = Dnstap::new(Framing::File, interfaces());
    Ok(vec![
        (
            "pcapng into nothing",
            Box::new(recorder(Pcapng::new(interfaces()))?),
        ),
        ("dnstap into nothing", Box::new(recorder(dnstap)?)),
    ])
}

fn interfaces() -> Interfaces {
    Interfaces::fixed(&[(2, "eth0")])
}

/// A recorder whose writing thread has next to nothing to do.
fn recorder<F: Format>(format: F) -> Result<Recorder<F>> {
    let output = FileOutput::create("/dev/null".as_ref(), None, F::WHOLE)?;
    let spool = Spool::start(Box::new(output), || {})?;
    let filter = MessageFilter::default();
    Ok(Recorder::new(format, spool, filter, None)?)
}

/// Nanoseconds to decode a message; a query and a response by turns.
fn decode(times: u16) -> Result<f64> {
    let messages = [
        dns::query(7, "www.example.com"),
        dns::response(7, "www.example.com"),
    ];
    let mut ns = Vec::new();
    for _ in 0..times {
        let begin = Instant::now();
        for _ in 0..1000 {
            for message in &messages {
                let mut name = WireName::new();
                let decoded = Decoded::decode(black_box(message), false, &mut name);
                ensure!(black_box(decoded).is_ok(), "a message cannot be decoded");
            }
        }
        ns.push(begin.elapsed().as_nanos() as f64 / 2000.0);
    }
    Ok(Samples::new(ns).median())
}

fn rows(names: &[&str], rounds: &[Round], table: &mut Table) {
    table.group("reader: in process, one thread");
    let of = |take: &dyn Fn(&Round) -> f64| Samples::new(rounds.iter().map(take));
    table.row(
        "decode, per message",
        of(&|r| r.decode_ns),
        "ns",
        "all of a message",
        None,
    );
    let silent = of(&|r| r.silent.ns);
    let beside = format!("silent {} ns", number(2.0 * silent.median()));
    let sink = Some(Budget::AtMost(500.0));
    table.row("decode + match, per message", silent, "ns", "no sink", sink);
    table.row(
        "decode + match, allocations per message",
        of(&|r| r.silent.allocations),
        "",
        "",
        Some(Budget::Never),
    );
    // A lookup is two messages.
    for (i, name) in names.iter().enumerate() {
        table.row(
            format!("{name}, per lookup, on top"),
            of(&|r| 2.0 * (r.passes[i].ns - r.silent.ns)),
            "ns",
            beside.clone(),
            (*name == TO_A_FILE).then_some(Budget::AtMost(1500.0)),
        );
        table.row(
            format!("{name}, allocations per lookup"),
            of(&|r| 2.0 * r.passes[i].allocations),
            "",
            "",
            None,
        );
    }
}
