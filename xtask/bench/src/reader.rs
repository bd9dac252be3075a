//! The reader in process: nanoseconds a message for decoding and matching, a lookup for sinks, and
//! allocations.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Seek as _};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use dns_trace::filter::Filter;
use dns_trace::interface::Interfaces;
use dns_trace::message::Decoded;
use dns_trace::name::WireName;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::sink::Silent;
use dns_trace::sink::json::JsonSink;
use dns_trace::spool::Spool;
use dns_trace::spool::file::FileOutput;
use dns_trace::tap::dnstap::{Dnstap, Framing};
use dns_trace::tap::pcapng::Pcapng;
use dns_trace::tap::{Format, MessageFilter, Recorder};

use crate::args::Args;
use crate::table::{Budget, Samples, Table, number};
use crate::{alloc, dns, machine};

/// What is taken of one round.
struct Round {
    decode_ns: f64,
    silent: Pass,
    json: Pass,
    file: Pass,
    pcapng: Pass,
    dnstap: Pass,
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
        for record in &*records {
            pipeline.record(black_box(record))?;
        }
        ns.push(begin.elapsed().as_nanos() as f64 / records.len() as f64);
        pipeline.drained()?;
    }
    let calls = alloc::calls() - calls;
    let messages = (records.len() * usize::from(times)) as u64;
    let answered = pipeline.counts().answered - before.answered;
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
    let interfaces = || Interfaces::fixed(&[(2, "eth0")]);
    let mut sinks = (
        Silent,
        JsonSink::new(io::sink(), interfaces()),
        JsonSink::new(file.try_clone().with_context(named)?, interfaces()),
    );
    let mut taps = (
        recorder(Pcapng::new(interfaces()))?,
        recorder(Dnstap::new(Framing::File, interfaces()))?,
    );
    let mut untapped = (Silent, Silent);
    let mut pcapng = Pipeline::new(options(), &mut untapped.0).with_tap(Some(&mut taps.0));
    let mut dnstap = Pipeline::new(options(), &mut untapped.1).with_tap(Some(&mut taps.1));
    let mut silent = Pipeline::new(options(), &mut sinks.0);
    let mut json = Pipeline::new(options(), &mut sinks.1);
    let mut to_file = Pipeline::new(options(), &mut sinks.2);
    let pipelines = [
        &mut silent,
        &mut json,
        &mut to_file,
        &mut pcapng,
        &mut dnstap,
    ];
    for pipeline in pipelines {
        pass(pipeline, &mut records, 10)?; // warms up
    }
    let mut rounds = Vec::new();
    for i in 1..=args.rounds {
        eprintln!("reader: round {i} of {}", args.rounds);
        file.set_len(0).with_context(named)?;
        file.rewind().with_context(named)?;
        rounds.push(Round {
            decode_ns: decode(times)?,
            silent: pass(&mut silent, &mut records, times)?,
            json: pass(&mut json, &mut records, times)?,
            file: pass(&mut to_file, &mut records, times)?,
            pcapng: pass(&mut pcapng, &mut records, times)?,
            dnstap: pass(&mut dnstap, &mut records, times)?,
        });
    }
    for pipeline in [&pcapng, &dnstap] {
        let dropped = pipeline.counts().tap.dropped;
        ensure!(dropped == 0, "{dropped} messages were not recorded");
    }
    drop(file);
    std::fs::remove_file(&path).with_context(named)?;
    rows(&rounds, table);
    Ok(())
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

fn rows(rounds: &[Round], table: &mut Table) {
    table.group("reader: in process, one thread");
    let of = |take: fn(&Round) -> f64| Samples::new(rounds.iter().map(take));
    table.row(
        "decode, per message",
        of(|r| r.decode_ns),
        "ns",
        "header and question",
        None,
    );
    let silent = of(|r| r.silent.ns);
    let beside = format!("silent {} ns", number(2.0 * silent.median()));
    let sink = Some(Budget::AtMost(500.0));
    table.row("decode + match, per message", silent, "ns", "no sink", sink);
    table.row(
        "decode + match, allocations per message",
        of(|r| r.silent.allocations),
        "",
        "",
        Some(Budget::Never),
    );
    // A lookup is two messages.
    table.row(
        "JSON lines into nothing, per lookup, on top",
        of(|r| 2.0 * (r.json.ns - r.silent.ns)),
        "ns",
        beside.clone(),
        None,
    );
    table.row(
        "JSON lines to a file, per lookup, on top",
        of(|r| 2.0 * (r.file.ns - r.silent.ns)),
        "ns",
        beside.clone(),
        Some(Budget::AtMost(1500.0)),
    );
    table.row(
        "pcapng into nothing, per lookup, on top",
        of(|r| 2.0 * (r.pcapng.ns - r.silent.ns)),
        "ns",
        beside.clone(),
        None,
    );
    table.row(
        "dnstap into nothing, per lookup, on top",
        of(|r| 2.0 * (r.dnstap.ns - r.silent.ns)),
        "ns",
        beside,
        None,
    );
    table.row(
        "JSON lines, allocations per lookup",
        of(|r| 2.0 * r.file.allocations),
        "",
        "",
        None,
    );
    table.row(
        "recording, allocations per lookup",
        of(|r| 2.0 * (r.pcapng.allocations + r.dnstap.allocations)),
        "",
        "pcapng and dnstap together",
        None,
    );
}
