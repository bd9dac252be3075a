//! A producer on one core and the reader's own loop on another: how many records pass, and what
//! is lost when more come than the reader can take.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use dns_trace::counts::Counts;
use dns_trace::filter::Filter;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::ring::{NoTicker, Reader};
use dns_trace::sink::Silent;
use dns_trace::stop::Stop;
use dns_trace_event::{PROG_TCX, Stats};

use crate::args::Args;
use crate::table::{Budget, Samples, Table, number};
use crate::{machine, object, packet};

/// Packets of one call into the kernel.
const BATCH: u32 = 500;
/// Time between two calls at the steady rate: 500,000 packets a second.
const PACE: Duration = Duration::from_millis(1);

/// What one run came to.
struct Run {
    produced: u64,
    seconds: f64,
    /// Producer's nanoseconds a packet, the kernel's loop included.
    cost_ns: f64,
    counts: Counts,
    kernel: Stats,
}

/// Measures, and adds the rows.
pub(crate) fn run(args: &Args, table: &mut Table) -> Result<()> {
    machine::pin(0)?;
    let ours = object::ours("ring", &[PROG_TCX])?;
    let empty = object::yardsticks(&["empty_tc"])?;
    let time = args.choose(Duration::from_secs(2), Duration::from_millis(300));
    let (mut flat, mut steady, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for i in 1..=args.rounds {
        eprintln!("ring: round {i} of {}", args.rounds);
        floor.push(object::time(
            &empty,
            "empty_tc",
            &packet::message(1, false),
            8000,
        )?);
        flat.push(once(&ours, time, None)?);
        steady.push(once(&ours, time, Some(PACE))?);
    }
    rows(&flat, &steady, &floor, table);
    Ok(())
}

/// Produces for a while, with a reader beside.
fn once(ours: &Ebpf, time: Duration, pace: Option<Duration>) -> Result<Run> {
    let stop = Stop::new().context("cannot create an eventfd")?;
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let stop_ref = &stop;
        let reader = scope.spawn(move || read(stop_ref, &ready));
        // An error here means that the reader has ended; joining it says why.
        let produced = match is_ready.recv() {
            Ok(()) => produce(ours, time, pace),
            Err(_) => Ok((0, 0.0, 0.0)),
        };
        stop.give();
        let read = reader.join().ok().context("the reader panicked")?;
        let (counts, kernel) = read?;
        let (produced, seconds, cost_ns) = produced?;
        let run = Run {
            produced,
            seconds,
            cost_ns,
            counts,
            kernel,
        };
        adds_up(&run)?;
        Ok(run)
    })
}

fn read(stop: &Stop, ready: &std::sync::mpsc::Sender<()>) -> Result<(Counts, Stats)> {
    machine::pin(1)?;
    let mut reader = Reader::new(object::rings("ring")?, stop).context("cannot wait")?;
    let before = reader.stats()?;
    let options = Options {
        filter: Filter::default(),
        timeout_ns: 5_000_000_000,
        max_pending: 65_536,
        count: None,
        start_ns: 0,
        hold_ns: 0,
    };
    let mut sink = Silent;
    let mut pipeline = Pipeline::new(options, &mut sink);
    // Fails only if the producer is gone.
    let _ = ready.send(());
    reader.run(&mut pipeline, &mut NoTicker)?;
    let counts = pipeline.counts();
    let kernel = dns_trace::counts::KernelCounts::since(&reader.stats()?, &before);
    Ok((counts, kernel.0))
}

/// Packets, seconds, nanoseconds a packet.
fn produce(ours: &Ebpf, time: Duration, pace: Option<Duration>) -> Result<(u64, f64, f64)> {
    let begin = Instant::now();
    let (mut calls, mut cost) = (0_u32, 0.0);
    while begin.elapsed() < time {
        // A query 500 times, its response 500 times: the reader finds one lookup, 499 queries sent
        // again, 499 responses too many, and looks each of them up.
        let id = u16::try_from(calls / 2 % 65_536).unwrap_or(0);
        let packet = packet::message(id, calls % 2 == 1);
        cost += object::time(ours, PROG_TCX, &packet, BATCH)?;
        calls += 1;
        if let Some(pace) = pace {
            while begin.elapsed() < pace * calls {
                std::hint::spin_loop();
            }
        }
    }
    let produced = u64::from(calls) * u64::from(BATCH);
    Ok((
        produced,
        begin.elapsed().as_secs_f64(),
        cost / f64::from(calls),
    ))
}

fn adds_up(run: &Run) -> Result<()> {
    let (submitted, ring_full) = (run.kernel.submitted, run.kernel.ring_full);
    ensure!(
        submitted + ring_full == run.produced && run.counts.records == submitted,
        "the ring's counts do not add up: {} produced, {submitted} submitted, {ring_full} ring full, {} read",
        run.produced,
        run.counts.records
    );
    let c = &run.counts;
    ensure!(
        c.undecodable + c.raw.malformed + c.stale + c.duplicates == 0,
        "the reader left records out: {c:?}"
    );
    Ok(())
}

fn rows(flat: &[Run], steady: &[Run], floor: &[f64], table: &mut Table) {
    table.group("ring: dns_tcx on one core, the reader's loop without a sink on the other");
    let millions = |count: u64, run: &Run| count as f64 / run.seconds / 1e6;
    let read = Samples::new(flat.iter().map(|r| millions(r.counts.records, r)));
    let made = Samples::new(flat.iter().map(|r| millions(r.produced, r)));
    let lost = |runs: &[Run]| {
        Samples::new(
            runs.iter()
                .map(|r| 100.0 * r.kernel.ring_full as f64 / r.produced as f64),
        )
    };
    let beside = format!("{} M/s produced", number(made.median()));
    table.row("flat out: records read", read, "M/s", beside, None);
    table.row("flat out: lost", lost(flat), "%", "all counted", None);
    let rate = "500,000/s";
    table.row(
        format!("{rate}: lost"),
        lost(steady),
        "%",
        "",
        Some(Budget::Never),
    );
    let above = steady.iter().zip(floor).map(|(r, floor)| r.cost_ns - floor);
    table.row(
        format!("{rate}: producer, per message of 75 or 91 bytes"),
        Samples::new(above),
        "ns",
        format!("empty {} ns", number(Samples::new(floor.to_vec()).median())),
        Some(Budget::AtMost(130.0)),
    );
}
