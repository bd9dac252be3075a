//! `dns-trace serve`: lookups as metrics, for Prometheus and collectors of OTLP.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;

use super::Session;
use crate::cli::{ServeArgs, ServePlan};
use crate::clock::WallClock;
use crate::interface::Interfaces;
use crate::lookup::Lookup;
use crate::metrics::{BoardTicker, Fate, Measures, Meter};
use crate::serve::otlp::logs::{Lines, Sender};
use crate::serve::otlp::{Exporter, Source, Target};
use crate::serve::{Plan, http};
use crate::sink::Sink;
use crate::sink::json::JsonSink;
use crate::spool::Spool;

/// Runs the command.
///
/// # Errors
/// [`crate::bundle::OpenError`] in the chain, or what went wrong while reading or serving.
pub fn run(args: &ServeArgs, plan: ServePlan) -> anyhow::Result<()> {
    let listener = plan.listen.map(http::listen).transpose()?;
    let address = listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());
    let mut otlp = None;
    if let Some(wanted) = plan.otlp {
        let port = wanted.url.port();
        otlp = Some((wanted.url.find()?, port, wanted.interval, wanted.logs));
    }
    let session = Session::open(&args.common, None)?;
    let meter = Meter::new(plan.limits);
    let measures = meter.measures();
    let mut ticker = BoardTicker::new(Arc::clone(&measures), session.kernel_start);
    let mut needs = session.needs();
    if listener.is_some() {
        needs = needs.accepts();
    }
    let mut server = Plan::new(listener, Arc::clone(&measures)).context(STARTING)?;
    let mut logs = None;
    if let Some((target, port, interval, wanted)) = otlp {
        needs = needs.connects(port);
        let source = Source::this_host(&args.common.instance);
        if wanted {
            logs = Some(Logs::prepare(&target, source.clone(), &measures)?);
        }
        let exporter = Exporter::new(target, source, Arc::clone(&measures), interval);
        server = server.with_exporter(Some(exporter));
    }
    let begun = session.begin(needs)?;
    let server = server.start().context(STARTING)?;
    let mut sink = Both {
        meter,
        logs: logs.map(|logs| logs.start(&measures)).transpose()?,
    };
    if let Some(address) = address {
        eprintln!("dns-trace: serving http://{address}/metrics");
    }
    let result = begun.run(&mut sink, &mut ticker);
    let logs = sink.logs.is_some();
    // Waits for what has not been sent.
    drop(sink);
    let served = server.stop().context("cannot serve");
    if logs {
        tell_of_logs(&measures);
    }
    result.and(served)
}

const STARTING: &str = "cannot start to serve";

fn tell_of_logs(measures: &Measures) {
    let count = |fate| measures.exports.log_records(fate);
    eprintln!(
        "dns-trace: log records: {} exported, {} dropped since the collector was slow or away, {} refused",
        count(Fate::Exported),
        count(Fate::Dropped),
        count(Fate::Refused)
    );
}

/// Log records, before the process gives up what it does not need.
struct Logs {
    sender: Sender,
    interfaces: Interfaces,
}

impl Logs {
    fn prepare(target: &Target, source: Source, measures: &Arc<Measures>) -> anyhow::Result<Self> {
        let sender = Sender::new(target, source, Arc::clone(measures)).context(STARTING)?;
        Ok(Self {
            sender,
            interfaces: Interfaces::new(),
        })
    }

    fn start(self, measures: &Arc<Measures>) -> anyhow::Result<JsonSink<Lines>> {
        // It never fails: what is not taken is counted.
        let spool = Spool::start(Box::new(self.sender), || {}).context(STARTING)?;
        let lines = Lines::new(spool, Arc::clone(measures));
        Ok(JsonSink::new(lines, self.interfaces))
    }
}

/// Measures, and log records if they are wanted.
struct Both {
    meter: Meter,
    logs: Option<JsonSink<Lines>>,
}

impl Sink for Both {
    fn lookup(&mut self, lookup: &Lookup<'_>, clock: WallClock) -> io::Result<()> {
        self.meter.lookup(lookup, clock)?;
        self.logs
            .as_mut()
            .map_or(Ok(()), |logs| logs.lookup(lookup, clock))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.meter.flush()?;
        self.logs.as_mut().map_or(Ok(()), Sink::flush)
    }
}
