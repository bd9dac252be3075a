//! What became of what was sent to a collector. Written by the threads that send.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Measures.
    Metrics,
    /// A record a lookup.
    Logs,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metrics => "metrics",
            Self::Logs => "log records",
        })
    }
}

/// What becomes of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The collector has it.
    Exported,
    /// There was no room for it while the collector was slow or away.
    Dropped,
    /// The collector did not want it, or was away at the end.
    Refused,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Exports {
    messages: [[AtomicU64; 2]; 2],
    logs: [AtomicU64; 3],
}

impl Exports {
    /// Counts a message.
    pub(crate) fn count(&self, signal: Signal, taken: bool) {
        let counter = &self.messages[signal as usize][usize::from(!taken)];
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts log records.
    pub(crate) fn logs(&self, fate: Fate, number: u64) {
        self.logs[fate as usize].fetch_add(number, Ordering::Relaxed);
    }

    /// Messages that the collector took, and that it did not.
    #[must_use]
    pub fn messages(&self, signal: Signal) -> (u64, u64) {
        let [taken, failed] = &self.messages[signal as usize];
        (
            taken.load(Ordering::Relaxed),
            failed.load(Ordering::Relaxed),
        )
    }

    /// Log records of a fate.
    #[must_use]
    pub fn log_records(&self, fate: Fate) -> u64 {
        self.logs[fate as usize].load(Ordering::Relaxed)
    }
}
