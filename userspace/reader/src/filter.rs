//! Which lookups are shown. All conditions must hold; what is left out is counted all the same.

use domain::base::iana::{OptRcode, Rtype};
use ipnet::IpNet;

use crate::lookup::{Lookup, Outcome};
use crate::name::Suffix;
use crate::process::Which;
use crate::record::address;

/// Conditions on a lookup. Empty lists hold always.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The question's name is one of these or below it.
    pub names: Vec<Suffix>,
    /// The question's type is one of these.
    pub types: Vec<Rtype>,
    /// There is a response with one of these codes.
    pub rcodes: Vec<OptRcode>,
    /// There is a response, and it took this long at least; nanoseconds.
    pub min_latency_ns: Option<u64>,
    /// The client is in one of these.
    pub clients: Vec<IpNet>,
    /// The server is in one of these.
    pub servers: Vec<IpNet>,
    /// The process that asked is known, and is one of these.
    pub processes: Vec<Which>,
    /// It failed, see [`failed`].
    pub failures: bool,
}

impl Filter {
    /// Whether the lookup is to be shown.
    #[must_use]
    pub fn admits(&self, lookup: &Lookup<'_>) -> bool {
        (!self.failures || failed(lookup))
            && self
                .min_latency_ns
                .is_none_or(|least| lookup.duration_ns.is_some_and(|duration| duration >= least))
            && within(&self.clients, lookup.client.address)
            && within(&self.servers, lookup.server.address)
            && self.admits_process(lookup)
            && self.admits_message(lookup)
    }

    fn admits_process(&self, lookup: &Lookup<'_>) -> bool {
        let is = |process| self.processes.iter().any(|which| which.is(process));
        self.processes.is_empty() || lookup.process.is_some_and(is)
    }

    fn admits_message(&self, lookup: &Lookup<'_>) -> bool {
        if self.names.is_empty() && self.types.is_empty() && self.rcodes.is_empty() {
            return true;
        }
        let Some(dns) = &lookup.dns else {
            return false;
        };
        (self.names.is_empty() || self.names.iter().any(|name| name.covers(dns.question.name)))
            && (self.types.is_empty() || dns.qtype().is_some_and(|t| self.types.contains(&t)))
            && (self.rcodes.is_empty() || dns.rcode().is_some_and(|r| self.rcodes.contains(&r)))
    }
}

/// Whether an address, as in a record, is in any of the networks, or there are none to be in.
pub(crate) fn within(nets: &[IpNet], bytes: [u8; 16]) -> bool {
    nets.is_empty() || {
        let address = address(bytes);
        nets.iter().any(|net| net.contains(&address))
    }
}

/// Whether a lookup failed: it has an error (time-out, eviction, malformed), or the server answered
/// with a code other than NOERROR and NXDOMAIN. That a name does not exist is an answer, and an
/// orphan says something about the trace, not about the lookup: neither is a failure.
#[must_use]
pub fn failed(lookup: &Lookup<'_>) -> bool {
    if lookup.outcome != Outcome::Orphan && lookup.error().is_some() {
        return true;
    }
    let rcode = lookup.dns.as_ref().and_then(|dns| dns.rcode());
    rcode.is_some_and(|rcode| !matches!(rcode, OptRcode::NOERROR | OptRcode::NXDOMAIN))
}
