//! The counters themselves as output, one line an interval.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use dns_trace_event::Stats;

use crate::counts::{Summary, Totals};
use crate::pipeline::Pipeline;
use crate::ring::Ticker;

/// Lines between two headings.
const HEADING_EVERY: u32 = 20;
/// Columns and their widths.
const COLUMNS: [(&str, usize); 12] = [
    ("seconds", 8),
    ("queries", 10),
    ("responses", 10),
    ("lookups", 10),
    ("shown", 10),
    ("timeout", 8),
    ("orphan", 8),
    ("retrans", 8),
    ("malformed", 9),
    ("evicted", 8),
    ("packets", 11),
    ("lost", 8),
];

/// Prints the counters since the start. Where not every lookup is captured, a table has a second line with
/// them scaled.
pub struct StatsTicker<W> {
    writer: W,
    json: bool,
    interval: Duration,
    started: Instant,
    next: Instant,
    kernel_start: Stats,
    lines: u32,
    once: bool,
}

impl<W: Write> StatsTicker<W> {
    /// Prints every `interval` from now, as JSON or as a table.
    pub fn new(writer: W, json: bool, interval: Duration, kernel_start: Stats) -> Self {
        let started = Instant::now();
        Self {
            writer,
            json,
            interval,
            started,
            next: started + interval,
            kernel_start,
            lines: 0,
            once: false,
        }
    }

    /// Ends the session after the first line.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    fn table(&mut self, summary: &Summary) -> io::Result<()> {
        let Summary {
            reader,
            kernel,
            seconds,
            ..
        } = summary;
        if self.lines.is_multiple_of(HEADING_EVERY) {
            self.row(COLUMNS.each_ref().map(|(name, _)| name as &dyn Display))?;
        }
        self.lines += 1;
        let lost = kernel.lost().into_iter().chain(reader.tcp.given_up());
        let lost: u64 = lost.map(|(_, count)| count).sum();
        let rest = [&reader.shown, &kernel.0.packets, &lost].map(|count| count as &dyn Display);
        self.totals(&format!("{seconds:.1}"), &reader.raw, rest)?;
        if reader.scaled != reader.raw {
            self.totals("scaled", &reader.scaled, [&"-"; 3])?;
        }
        Ok(())
    }

    /// A line of totals; `rest` is what has no scaled form: lookups shown, packets, what is lost.
    fn totals(&mut self, first: &str, totals: &Totals, rest: [&dyn Display; 3]) -> io::Result<()> {
        let [shown, packets, lost] = rest;
        self.row([
            &first,
            &totals.queries,
            &totals.responses,
            &totals.lookups,
            shown,
            &totals.timeouts,
            &totals.orphans,
            &totals.retransmissions,
            &totals.malformed,
            &totals.evicted,
            packets,
            lost,
        ])
    }

    fn row(&mut self, cells: [&dyn Display; COLUMNS.len()]) -> io::Result<()> {
        for (at, (cell, (_, width))) in cells.iter().zip(COLUMNS).enumerate() {
            let gap = if at == 0 { "" } else { " " };
            write!(self.writer, "{gap}{cell:>width$}")?;
        }
        writeln!(self.writer)
    }
}

impl<W: Write> Ticker for StatsTicker<W> {
    fn next(&self) -> Option<Instant> {
        Some(self.next)
    }

    fn tick(&mut self, pipeline: &mut Pipeline<'_>, kernel: &Stats) -> io::Result<bool> {
        let now = Instant::now();
        while self.next <= now {
            self.next += self.interval;
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let summary = Summary::since(pipeline.counts(), kernel, &self.kernel_start, seconds);
        if self.json {
            summary.write_json(&mut self.writer)?;
        } else {
            self.table(&summary)?;
        }
        self.writer.flush()?;
        Ok(self.once)
    }
}
