//! The counters themselves as output, one line an interval.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use dns_trace_event::Stats;

use crate::counts::Summary;
use crate::pipeline::Pipeline;
use crate::ring::Ticker;

/// Lines between two headings.
const HEADING_EVERY: u32 = 20;

/// Prints the counters since the start.
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
            writeln!(
                self.writer,
                "{:>8} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8} {:>9} {:>8} {:>11} {:>8}",
                "seconds",
                "queries",
                "responses",
                "lookups",
                "shown",
                "timeout",
                "orphan",
                "retrans",
                "malformed",
                "evicted",
                "packets",
                "lost"
            )?;
        }
        self.lines += 1;
        let lost = kernel.lost().into_iter().chain(reader.tcp.given_up());
        let lost: u64 = lost.map(|(_, count)| count).sum();
        writeln!(
            self.writer,
            "{seconds:>8.1} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8} {:>9} {:>8} {:>11} {lost:>8}",
            reader.queries,
            reader.responses,
            reader.lookups,
            reader.shown,
            reader.timeouts,
            reader.orphans,
            reader.retransmissions,
            reader.malformed,
            reader.evicted,
            kernel.0.packets,
        )
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
