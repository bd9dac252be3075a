//! The commands, one file each, and the session that they share: open, read, end, sum up.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use dns_trace_event::Stats;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::cli::{CommonArgs, nanoseconds};
use crate::clock::boot_now;
use crate::counts::{KernelCounts, Summary};
use crate::pipeline::{Options, Pipeline};
use crate::ring::{Reader, Stop, Ticker};
use crate::sink::Sink;

pub mod stats;
pub mod watch;

/// How long a response may wait for its query if there are several rings, nanoseconds.
const HOLD_NS: u64 = 200_000_000;

/// An instance that has been opened.
pub(crate) struct Session {
    reader: Reader,
    stop: Stop,
    options: Options,
    started: Instant,
    pub(crate) kernel_start: Stats,
    args: CommonArgs,
}

impl Session {
    /// Opens all rings and says so on standard error.
    pub(crate) fn open(args: &CommonArgs, count: Option<u64>) -> anyhow::Result<Self> {
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
        let args = args.clone();
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
            args,
        })
    }

    /// Reads until a signal, the end of the duration or of the count, or until nobody reads the
    /// output any more; then sums up.
    ///
    /// The rings are read on the thread that opened them; another one waits for signals.
    pub(crate) fn run(
        mut self,
        sink: &mut dyn Sink,
        ticker: &mut dyn Ticker,
    ) -> anyhow::Result<()> {
        let mut pipeline = Pipeline::new(self.options.clone(), sink);
        let (ended, end) = oneshot::channel();
        let (reader, stop, duration) = (&mut self.reader, &self.stop, self.args.duration);
        let result = thread::scope(|scope| -> anyhow::Result<_> {
            let waiter = thread::Builder::new().name("signals".to_owned());
            let waiter = waiter.spawn_scoped(scope, move || {
                let waited = wait_for_end(duration, end);
                stop.give();
                waited
            });
            let waiter = waiter.context("cannot start a thread")?;
            let result = reader.run(&mut pipeline, ticker);
            // Fails if the end came from there.
            let _ = ended.send(());
            waiter
                .join()
                .map_err(|_| anyhow::anyhow!("the thread for signals panicked"))??;
            Ok(result)
        })?;
        let kernel_now = self.reader.stats()?;
        let summary = Summary {
            reader: pipeline.counts(),
            kernel: KernelCounts::since(&kernel_now, &self.kernel_start),
            seconds: self.started.elapsed().as_secs_f64(),
        };
        let closed = result.as_ref().is_err_and(is_closed_pipe);
        self.sum_up(&summary)?;
        if closed { Ok(()) } else { result }
    }

    fn sum_up(&self, summary: &Summary) -> anyhow::Result<()> {
        // Whoever closed standard error does not want the summary.
        let _ = writeln!(io::stderr(), "{summary}");
        let Some(path) = &self.args.summary_file else {
            return Ok(());
        };
        let named = || format!("cannot write the summary to {}", path.display());
        let mut file = File::create(path).with_context(named)?;
        summary.write_json(&mut file).with_context(named)
    }
}

/// Waits for SIGINT, SIGTERM, the end of the duration, or the end of the reading thread.
fn wait_for_end(
    duration: Option<std::time::Duration>,
    end: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .context("cannot start the event loop")?
        .block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).context("cannot catch SIGINT")?;
            let mut terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
            let over = async {
                match duration {
                    Some(duration) => tokio::time::sleep(duration).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = over => {}
                _ = end => {}
            }
            Ok(())
        })
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

/// Says where an output error happened; a closed pipe stays recognisable.
pub(crate) fn name_output(error: anyhow::Error) -> anyhow::Error {
    if error.downcast_ref::<io::Error>().is_some() {
        error.context("cannot write to standard output")
    } else {
        error
    }
}
