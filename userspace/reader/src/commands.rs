//! The commands, one file each, and the session that they share: open, read, end, sum up.

use std::io::{self, IsTerminal as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use dns_trace_event::Stats;
use tokio::sync::oneshot;

use crate::cli::{CommonArgs, nanoseconds};
use crate::clock::boot_now;
use crate::counts::{KernelCounts, Summary};
use crate::pipeline::{Options, Pipeline};
use crate::ring::{Reader, Stop, Ticker};
use crate::sink::Sink;
use crate::tap::Tap;

pub mod record;
mod signals;
pub mod stats;
mod summary_file;
pub mod watch;

use signals::Signals;
use summary_file::SummaryFile;

/// How long a response may wait for its query if there are several rings, nanoseconds.
const HOLD_NS: u64 = 200_000_000;

/// An instance that has been opened.
pub(crate) struct Session {
    reader: Reader,
    stop: Stop,
    options: Options,
    started: Instant,
    pub(crate) kernel_start: Stats,
    signals: Signals,
    duration: Option<Duration>,
    summary_file: Option<SummaryFile>,
}

impl Session {
    /// Opens what the session needs, the rings last, and says so on standard error. Whoever reads
    /// that line may send a signal: handlers are in place by then.
    pub(crate) fn open(args: &CommonArgs, count: Option<u64>) -> anyhow::Result<Self> {
        let summary_file = args.summary_file.as_deref();
        let summary_file = summary_file.map(SummaryFile::open).transpose()?;
        let signals = Signals::catch()?;
        let rings = crate::bundle::open(&args.root, &args.instance)?;
        let number = rings.len();
        let stop = Stop::new().context("cannot create an eventfd")?;
        let reader = Reader::new(rings, &stop).context("cannot wait for the rings")?;
        let options = Options {
            filter: args.filter.plan(),
            timeout_ns: nanoseconds(args.timeout),
            max_pending: args.max_pending,
            count,
            start_ns: if args.backlog { 0 } else { boot_now() },
            hold_ns: if number > 1 { HOLD_NS } else { 0 },
        };
        let kernel_start = reader.stats()?;
        eprintln!(
            "dns-trace: reading {number} ring(s) of instance {}",
            args.instance
        );
        Ok(Self {
            reader,
            stop,
            options,
            started: Instant::now(),
            kernel_start,
            signals,
            duration: args.duration,
            summary_file,
        })
    }

    /// Reads until a signal, the end of the duration or of the count, or until nobody reads the
    /// output any more; then sums up.
    ///
    /// The rings are read on the thread that opened them; another one waits for signals.
    pub(crate) fn run(self, sink: &mut dyn Sink, ticker: &mut dyn Ticker) -> anyhow::Result<()> {
        self.run_tapped(sink, None, ticker)
    }

    /// Like [`Session::run`], with a tap on the way.
    pub(crate) fn run_tapped<'s>(
        self,
        sink: &'s mut dyn Sink,
        tap: Option<&'s mut dyn Tap>,
        ticker: &mut dyn Ticker,
    ) -> anyhow::Result<()> {
        let mut reader = self.reader;
        let mut pipeline = Pipeline::new(self.options, sink).with_tap(tap);
        let (ended, end) = oneshot::channel();
        let (signals, stop, duration) = (self.signals, &self.stop, self.duration);
        let result = thread::scope(|scope| -> anyhow::Result<_> {
            let waiter = thread::Builder::new().name("signals".to_owned());
            let waiter = waiter.spawn_scoped(scope, move || {
                signals.wait(duration, end);
                stop.give();
            });
            let waiter = waiter.context("cannot start a thread")?;
            let result = reader.run(&mut pipeline, ticker);
            // Fails if the end came from there.
            let _ = ended.send(());
            waiter
                .join()
                .map_err(|_| anyhow::anyhow!("the thread for signals panicked"))?;
            Ok(result)
        })?;
        let kernel = KernelCounts::since(&reader.stats()?, &self.kernel_start);
        let tapped = pipeline
            .finish_tap(&kernel)
            .context("cannot write the output");
        let summary = Summary {
            reader: pipeline.counts(),
            kernel,
            seconds: self.started.elapsed().as_secs_f64(),
        };
        // Whoever closed standard error does not want the summary.
        let _ = writeln!(io::stderr(), "{summary}");
        if let Some(file) = self.summary_file {
            file.write(&summary)?;
        }
        match result.and(tapped) {
            Err(error) if is_closed_pipe(&error) => Ok(()),
            result => result,
        }
    }
}

/// Whether whoever read the output has gone, which ends a command well.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Whether standard output is a terminal.
pub(crate) fn on_terminal() -> bool {
    io::stdout().is_terminal()
}
