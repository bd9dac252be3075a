//! Where the reader's thread writes its counters down, once a second, for others to read.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dns_trace_event::Stats;

use super::Measures;
use crate::counts::Summary;
use crate::pipeline::Pipeline;
use crate::ring::{Notice, Ticker};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is written down.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// All counters since the start.
    pub summary: Summary,
    /// How full the fullest ring was at most since the time before: 0 to 1.
    pub ring_fill: f64,
    /// Whether nothing is known that keeps packets from the programs.
    pub hook_up: bool,
    /// When that was.
    pub at: Instant,
}

/// The counters as they were less than a second ago.
#[derive(Debug)]
pub struct Board(Mutex<State>);

impl Board {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            summary: Summary::default(),
            ring_fill: 0.0,
            hook_up: true,
            at: Instant::now(),
        }))
    }

    /// What was written down last.
    #[must_use]
    pub fn read(&self) -> State {
        *self.lock()
    }

    /// Nobody holds it for longer than a copy takes, and nobody panics meanwhile.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down.
#[derive(Debug)]
pub struct BoardTicker {
    measures: Arc<Measures>,
    kernel_start: Stats,
    started: Instant,
    next: Instant,
    ring_fill: f64,
    hook_up: bool,
}

impl BoardTicker {
    /// Counts from now on, where the kernel's counters are those given.
    #[must_use]
    pub fn new(measures: Arc<Measures>, kernel_start: Stats) -> Self {
        let started = Instant::now();
        Self {
            measures,
            kernel_start,
            started,
            next: started,
            ring_fill: 0.0,
            hook_up: true,
        }
    }
}

impl Ticker for BoardTicker {
    fn next(&self) -> Option<Instant> {
        Some(self.next)
    }

    fn tick(&mut self, pipeline: &mut Pipeline<'_>, kernel: &Stats) -> io::Result<bool> {
        let at = Instant::now();
        // Who reads it may have been put to sleep: the next time then.
        if let Ok(mut state) = self.measures.board.0.try_lock() {
            *state = State {
                summary: Summary::since(
                    pipeline.counts(),
                    kernel,
                    &self.kernel_start,
                    self.started.elapsed().as_secs_f64(),
                ),
                ring_fill: std::mem::take(&mut self.ring_fill),
                hook_up: self.hook_up,
                at,
            };
        }
        self.next = at + INTERVAL;
        Ok(false)
    }

    fn filled(&mut self, fill: f64) {
        self.ring_fill = self.ring_fill.max(fill);
    }

    fn notice(&mut self, notice: &Notice) {
        self.hook_up = notice.is_good();
        eprintln!("dns-trace: {notice}");
    }

    fn end(&mut self, summary: &Summary) {
        let mut state = self.measures.board.lock();
        state.summary = *summary;
        state.at = Instant::now();
    }
}
