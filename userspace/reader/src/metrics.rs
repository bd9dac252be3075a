//! Lookups as numbers, for whoever scrapes or collects them: durations and errors by labels, and the
//! counters. Every label has a bounded number of values and everything together a bounded number of
//! series; what comes beyond is counted under `other`. No traffic can make them grow.
//!
//! The thread that reads the rings is the only one that writes, with plain loads and stores of atomics; who
//! reads them never makes it wait. Nothing here knows how they are sent.

mod board;
mod exports;
mod labels;
mod names;
mod series;
mod totals;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::base::iana::OptRcode;

pub use board::{Board, BoardTicker, State};
pub use exports::{Exports, Fate, Signal};
pub use labels::{ERROR_LABELS, LABELS, Texts};
pub use names::NamePart;
pub use series::{BOUNDS_NS, Count, Durations, Labels, Store};
pub use totals::{Counter, Gauge, counters, gauges};

use crate::clock::{WallClock, boot_now};
use crate::lookup::{Lookup, Outcome};
use crate::sink::Sink;
use labels::{Slots, error_index, rcode_index, transport_index, type_index};
use names::Names;
use series::Writer;

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Servers with a value of their own.
    pub servers: u16,
    /// Names with a value of their own, and which part of a name that is; without, names are no label.
    pub names: Option<(u16, NamePart)>,
    /// Series of durations, and as many of errors.
    pub series: usize,
}

/// What has been measured, for those who read it.
#[derive(Debug)]
pub struct Measures {
    /// Durations of answered lookups.
    pub durations: Arc<Store<Durations>>,
    /// Lookups with an error.
    pub errors: Arc<Store<Count>>,
    /// Values of the label for servers.
    pub servers: Arc<Texts>,
    /// Values of the label for names, if there is one.
    pub names: Option<Arc<Texts>>,
    /// Counters.
    pub board: Board,
    /// What became of what was sent to a collector.
    pub exports: Exports,
    lag_ns: AtomicU64,
}

impl Measures {
    /// From the kernel's stamp to the reading, of the lookup that waited longest when the rings were read
    /// last; nanoseconds.
    #[must_use]
    pub fn lag_ns(&self) -> u64 {
        self.lag_ns.load(Ordering::Relaxed)
    }
}

/// Measures lookups.
pub struct Meter {
    durations: Writer<Durations>,
    errors: Writer<Count>,
    servers: Slots<IpAddr>,
    names: Option<Names>,
    measures: Arc<Measures>,
    /// When the first answer since the last flush came, boot time.
    oldest_ns: Option<u64>,
}

impl Meter {
    /// Has measured nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let durations = Writer::new(limits.series);
        let errors = Writer::new(limits.series);
        let servers = Slots::new(limits.servers);
        let names = limits.names.map(|(most, part)| Names::new(most, part));
        let measures = Arc::new(Measures {
            durations: durations.store(),
            errors: errors.store(),
            servers: servers.texts(),
            names: names.as_ref().map(Names::texts),
            board: Board::new(),
            exports: Exports::default(),
            lag_ns: AtomicU64::new(0),
        });
        Self {
            durations,
            errors,
            servers,
            names,
            measures,
            oldest_ns: None,
        }
    }

    /// What it measures.
    #[must_use]
    pub fn measures(&self) -> Arc<Measures> {
        Arc::clone(&self.measures)
    }

    /// Who was asked. An address takes a value of its own by being asked or by answering a query that was
    /// seen, not by sending something unasked: that anybody can do, from any number of addresses.
    fn server(&mut self, lookup: &Lookup<'_>) -> u16 {
        let server = lookup.server.ip();
        match lookup.outcome {
            Outcome::Answered | Outcome::Timeout | Outcome::Evicted => {
                self.servers.claim(&server, |server| server.to_string())
            }
            _ => self.servers.find(&server),
        }
    }

    /// A name takes a value of its own by existing: names that are made up do not.
    fn name(&mut self, lookup: &Lookup<'_>) -> u16 {
        let (Some(names), Some(dns)) = (&mut self.names, &lookup.dns) else {
            return 0;
        };
        let exists = lookup.outcome == Outcome::Answered && dns.rcode() == Some(OptRcode::NOERROR);
        names.index(dns.question.name, exists)
    }
}

impl Sink for Meter {
    fn lookup(&mut self, lookup: &Lookup<'_>, _: WallClock) -> io::Result<()> {
        let error = lookup.error();
        if error.is_none() && lookup.duration_ns.is_none() {
            return Ok(());
        }
        let dns = lookup.dns.as_ref();
        let labels = Labels {
            qtype: type_index(dns.and_then(|dns| dns.qtype())),
            outcome: 0,
            transport: transport_index(lookup.transport),
            server: self.server(lookup),
            name: self.name(lookup),
        };
        if let Some(duration) = lookup.duration_ns {
            let outcome = rcode_index(dns.and_then(|dns| dns.rcode()));
            self.durations
                .cell(Labels { outcome, ..labels })
                .add(duration);
            self.oldest_ns
                .get_or_insert(lookup.time_ns.saturating_add(duration));
        }
        if let Some(error) = error {
            let outcome = error_index(error);
            self.errors.cell(Labels { outcome, ..labels }).add();
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(oldest) = self.oldest_ns.take() {
            let lag = boot_now().saturating_sub(oldest);
            self.measures.lag_ns.store(lag, Ordering::Relaxed);
        }
        Ok(())
    }
}
