//! The commands, one file each, and the session that they share: open, read, end, sum up.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use dns_trace_event::Stats;
use tokio::sync::oneshot;

use crate::cgroups::Cgroups;
use crate::cli::{CommonArgs, nanoseconds};
use crate::clock::boot_now;
use crate::confine::{self, Mode, Needs};
use crate::counts::Summary;
use crate::pipeline::{Options, Pipeline};
use crate::ring::{Follow, Reader, Ticker};
use crate::sink::Sink;
use crate::stop::Stop;
use crate::tap::Tap;

pub mod record;
pub mod serve;
mod signals;
pub mod stats;
mod summary_file;
pub mod top;
pub mod version;
pub mod watch;

use signals::Signals;
use summary_file::SummaryFile;

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
    instance: String,
    root: PathBuf,
    confine: Mode,
}

impl Session {
    /// Opens what the session needs, the rings last.
    pub(crate) fn open(args: &CommonArgs, count: Option<u64>) -> anyhow::Result<Self> {
        let summary_file = args.summary_file.as_deref();
        let summary_file = summary_file.map(SummaryFile::open).transpose()?;
        let signals = Signals::catch()?;
        let follow = Follow::new(&args.root, &args.instance);
        let rings = crate::bundle::open(&args.root, &args.instance)?;
        let stop = Stop::new().context("cannot create an eventfd")?;
        let reader = Reader::new(rings, &stop).context("cannot wait for the rings")?;
        let reader = reader.following(follow);
        let options = Options {
            filter: args.filter.plan(),
            timeout_ns: nanoseconds(args.timeout),
            max_pending: args.max_pending,
            count,
            start_ns: if args.backlog { 0 } else { boot_now() },
            hold_ns: reader.hold_ns(),
        };
        let kernel_start = reader.stats()?;
        Ok(Self {
            reader,
            stop,
            options,
            started: Instant::now(),
            kernel_start,
            signals,
            duration: args.duration,
            summary_file,
            instance: args.instance.clone(),
            root: args.root.clone(),
            confine: args.confine,
        })
    }

    /// What every command needs once it has begun.
    pub(crate) fn needs(&self) -> Needs {
        Needs::reading(&self.root)
    }

    /// Gives up what is not needed, and says on standard error that the reading begins. Whoever reads that
    /// line may send a signal: handlers are in place by then.
    ///
    /// To be called when the outputs are open and before any thread is started, see [`confine`].
    pub(crate) fn begin(mut self, needs: Needs) -> anyhow::Result<Begun> {
        if let Some(file) = &mut self.summary_file {
            file.keep();
        }
        let confined = confine::apply(&needs, self.confine)?;
        if let Some(missing) = confined.and_then(|confined| confined.missing()) {
            eprintln!("dns-trace: {missing}");
        }
        // Its thread is bound by what was just given up.
        let cgroups = Cgroups::watch();
        let (number, instance) = (self.reader.rings(), &self.instance);
        let refused = self.kernel_start.ring_full;
        if refused > 0 {
            eprintln!(
                "dns-trace: since the programs were loaded, and before this reader, {refused} messages found \
                 no room in the ring"
            );
        }
        eprintln!("dns-trace: reading {number} ring(s) of instance {instance}");
        Ok(Begun {
            session: self,
            cgroups,
        })
    }
}

/// A session whose process has given up what it does not need.
pub(crate) struct Begun {
    session: Session,
    cgroups: Cgroups,
}

impl Begun {
    /// Ends the reading from elsewhere.
    pub(crate) const fn stop(&self) -> &Stop {
        &self.session.stop
    }

    /// Reads until a signal, the end of the duration or of the count, or until nobody reads the
    /// output any more; then sums up.
    ///
    /// The rings are read on the thread that opened them; another one waits for signals.
    pub(crate) fn run(self, sink: &mut dyn Sink, ticker: &mut dyn Ticker) -> anyhow::Result<()> {
        self.run_tapped(sink, None, ticker)
    }

    /// Like [`Begun::run`], with a tap on the way.
    pub(crate) fn run_tapped<'s>(
        self,
        sink: &'s mut dyn Sink,
        tap: Option<&'s mut dyn Tap>,
        ticker: &mut dyn Ticker,
    ) -> anyhow::Result<()> {
        let Self { session, cgroups } = self;
        let mut reader = session.reader;
        let mut pipeline = Pipeline::new(session.options, sink).with_tap(tap);
        pipeline.owners().look_for_programs();
        pipeline.owners().look_for_containers(cgroups);
        let (ended, end) = oneshot::channel();
        let (signals, stop, duration) = (session.signals, &session.stop, session.duration);
        let (result, kernel, seconds) = thread::scope(|scope| -> anyhow::Result<_> {
            let waiter = thread::Builder::new().name("signals".to_owned());
            let waiter = waiter.spawn_scoped(scope, move || {
                signals.wait(duration, end);
                stop.give();
            });
            let waiter = waiter.context("cannot start a thread")?;
            let result = reader.run(&mut pipeline, ticker);
            // Before the end, which waits for a slow output: what passes meanwhile nobody reads.
            let kernel = reader.stats();
            let seconds = session.started.elapsed().as_secs_f64();
            // Also after an error: what has been taken is to be written.
            let finished = pipeline.finish().context("cannot write the output");
            let result = result.and(finished);
            // Fails if the end came from there.
            let _ = ended.send(());
            waiter
                .join()
                .map_err(|_| anyhow::anyhow!("the thread for signals panicked"))?;
            Ok((result, kernel?, seconds))
        })?;
        let summary = Summary::since(pipeline.counts(), &kernel, &session.kernel_start, seconds);
        let tapped = pipeline
            .finish_tap(&summary.kernel)
            .context("cannot write the output");
        let summary = Summary {
            reader: pipeline.counts(),
            ..summary
        };
        ticker.end(&summary);
        // Whoever closed standard error does not want the summary.
        let _ = writeln!(io::stderr(), "{summary}");
        if let Some(file) = session.summary_file {
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

/// Whether colour is welcome on a terminal (no-color.org).
pub(crate) fn with_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard output is a terminal.
pub(crate) fn on_terminal() -> bool {
    io::stdout().is_terminal()
}
