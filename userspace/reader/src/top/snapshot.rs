//! A copy of everything that is shown, which goes from the thread that reads to the one that draws. Its room is
//! used again and again.

use std::net::{IpAddr, SocketAddr};

use super::few::{Few, Recent};
use super::heavy::{Heavy, Slot};
use super::histogram::Histogram;
use super::rates::Rates;
use super::tally::{End, Last, NameKey, Named, Running, Stats, Tally};
use crate::counts::Summary;
use crate::process::Comm;

/// A table as it was.
#[derive(Clone, Debug)]
pub struct Rows<K, V> {
    /// The slots in use, in no order.
    pub slots: Vec<Slot<K, V>>,
    /// How often a key had to make room.
    pub evicted: u64,
}

impl<K: Copy, V: Copy + Default> Rows<K, V> {
    fn fill(&mut self, from: &Heavy<K, V>) {
        self.slots.clear();
        self.slots.extend_from_slice(from.slots());
        self.evicted = from.evicted();
    }
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            evicted: 0,
        }
    }
}

/// What there was at some time.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// By name.
    pub names: Rows<NameKey, Named>,
    /// By client.
    pub clients: Rows<IpAddr, Stats>,
    /// By server.
    pub servers: Rows<SocketAddr, Stats>,
    /// By name of the process.
    pub processes: Rows<Comm, Running>,
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
    /// Lookups by the second, of all that came.
    pub rates: Rates,
    /// Counters.
    pub summary: Summary,
    /// Whether something is known that keeps packets from the programs.
    pub hook_down: bool,
}

impl Snapshot {
    /// Takes it anew.
    pub fn fill(&mut self, tally: &Tally, rates: &Rates, summary: &Summary, hook_down: bool) {
        self.names.fill(&tally.names);
        self.clients.fill(&tally.clients);
        self.servers.fill(&tally.servers);
        self.processes.fill(&tally.processes);
        self.ends = tally.ends;
        self.failures = tally.failures;
        self.latency = tally.latency;
        self.lookups = tally.lookups;
        self.processless = tally.processless;
        self.rates = *rates;
        self.summary = *summary;
        self.hook_down = hook_down;
    }
}
