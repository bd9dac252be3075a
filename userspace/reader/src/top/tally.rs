//! What is counted of every lookup: who asks most for what, how it ends, how long it takes. Lives on the thread
//! that reads; all room is taken at the start.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use domain::base::iana::{OptRcode, Rtype};

use super::few::{Few, Recent};
use super::heavy::Heavy;
use super::histogram::Histogram;
use super::text::Text;
use crate::clock::WallClock;
use crate::filter::failed;
use crate::lookup::{Lookup, Outcome};
use crate::name::{NAME_MAX, Presented};
use crate::process::Comm;
use crate::sink::Sink;
use crate::sink::table::{AnswerList, outcome_name};

/// Slots of each table of [`Heavy`].
pub const SLOTS: usize = 512;

/// A name in wire format.
pub type NameKey = Text<NAME_MAX>;

/// How a lookup ended, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    outcome: Outcome,
    /// Of what was answered.
    rcode: Option<OptRcode>,
    /// Whether that is a failure, see [`failed`].
    pub failed: bool,
}

impl End {
    fn of(lookup: &Lookup<'_>) -> Self {
        let malformed = lookup.error() == Outcome::Malformed.error();
        let outcome = if malformed {
            Outcome::Malformed
        } else {
            lookup.outcome
        };
        let answered = matches!(outcome, Outcome::Answered | Outcome::Response);
        let rcode = lookup.dns.as_ref().and_then(|dns| dns.rcode());
        Self {
            outcome,
            rcode: rcode.filter(|_| answered),
            failed: failed(lookup),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rcode {
            Some(rcode) => fmt::Display::fmt(&rcode, f),
            None => f.write_str(outcome_name(self.outcome)),
        }
    }
}

/// Counts that every row has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Lookups that failed.
    pub failed: u64,
    /// Lookups with a response, by which the times are known.
    answered: u64,
    sum_ns: u64,
    /// The longest time.
    pub max_ns: u64,
}

impl Stats {
    fn add(&mut self, end: End, duration_ns: Option<u64>) {
        self.failed += u64::from(end.failed);
        if let Some(ns) = duration_ns {
            self.answered += 1;
            self.sum_ns = self.sum_ns.saturating_add(ns);
            self.max_ns = self.max_ns.max(ns);
        }
    }

    /// The mean time, nanoseconds.
    #[must_use]
    pub const fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.answered)
    }
}

/// One lookup, to be shown by itself.
#[derive(Clone, Copy, Debug)]
pub struct Last {
    /// When, nanoseconds since 1970.
    pub unix_ns: i64,
    /// Type of the question.
    pub qtype: Option<Rtype>,
    /// Who asked.
    pub client: IpAddr,
    /// How it ended.
    pub end: End,
    /// How long it took, nanoseconds.
    pub duration_ns: Option<u64>,
    /// Answers, or where these are known from elsewhere the name.
    pub text: Text<96>,
}

/// What is known of a name beyond its row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Named {
    /// The row's counts.
    pub stats: Stats,
    /// Types that were asked for.
    pub types: Few<Rtype, 6>,
    /// How lookups ended.
    pub ends: Few<End, 6>,
    /// Who asked.
    pub clients: Few<IpAddr, 6>,
    /// How long it took.
    pub latency: Histogram<1>,
    /// The last ones.
    pub last: Recent<Last, 4>,
}

/// What is known of processes of one name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Running {
    /// The row's counts.
    pub stats: Stats,
    /// The one that asked last.
    pub pid: u32,
    /// There was another one before it.
    pub several: bool,
}

/// All of it.
#[derive(Debug)]
pub struct Tally {
    /// By name.
    pub names: Heavy<NameKey, Named>,
    /// By client.
    pub clients: Heavy<IpAddr, Stats>,
    /// By server.
    pub servers: Heavy<SocketAddr, Stats>,
    /// By name of the process.
    pub processes: Heavy<Comm, Running>,
    /// How lookups ended.
    pub ends: Few<End, 24>,
    /// The last failures.
    pub failures: Recent<Last, 16>,
    /// How long lookups took.
    pub latency: Histogram<4>,
    /// Lookups that passed the filters.
    pub lookups: u64,
    /// Lookups of these without a known process.
    pub processless: u64,
}

impl Tally {
    /// Nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self {
            names: Heavy::new(SLOTS),
            clients: Heavy::new(SLOTS),
            servers: Heavy::new(SLOTS),
            processes: Heavy::new(SLOTS),
            ends: Few::default(),
            failures: Recent::default(),
            latency: Histogram::default(),
            lookups: 0,
            processless: 0,
        }
    }

    fn add(&mut self, lookup: &Lookup<'_>, clock: WallClock) {
        let end = End::of(lookup);
        let duration = lookup.duration_ns;
        self.lookups += 1;
        self.ends.count(end);
        if let Some(ns) = duration {
            self.latency.add(ns);
        }
        let (client, server) = (lookup.client.ip(), lookup.server.socket());
        let row = self.clients.count(&client, |client| *client);
        row.add(end, duration);
        let row = self.servers.count(&server, |server| *server);
        row.add(end, duration);
        match lookup.process {
            Some(process) => {
                let row = self.processes.count(&process.name, |name| *name);
                row.stats.add(end, duration);
                row.several |= row.pid != 0 && row.pid != process.pid;
                row.pid = process.pid;
            }
            None => self.processless += 1,
        }
        let last = |text| Last {
            unix_ns: clock.unix_ns(lookup.time_ns),
            qtype: lookup.dns.as_ref().and_then(|dns| dns.qtype()),
            client,
            end,
            duration_ns: duration,
            text,
        };
        let name = lookup.dns.as_ref().map_or(&[][..], |dns| dns.question.name);
        if end.failed {
            self.failures.push(last(Text::shown(Presented(name))));
        }
        // What has no question has no name.
        if !name.is_empty() {
            self.named(name, last(Text::shown(AnswerList(lookup))));
        }
    }

    fn named(&mut self, name: &[u8], last: Last) {
        let row = self.names.count(name, NameKey::new);
        row.stats.add(last.end, last.duration_ns);
        if let Some(qtype) = last.qtype {
            row.types.count(qtype);
        }
        row.ends.count(last.end);
        row.clients.count(last.client);
        if let Some(ns) = last.duration_ns {
            row.latency.add(ns);
        }
        row.last.push(last);
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

/// The tally as the end of the pipeline, shared with what takes snapshots of it on the same thread.
#[derive(Clone, Debug, Default)]
pub struct TallySink(pub Rc<RefCell<Tally>>);

impl Sink for TallySink {
    fn lookup(&mut self, lookup: &Lookup<'_>, clock: WallClock) -> io::Result<()> {
        self.0.borrow_mut().add(lookup, clock);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
