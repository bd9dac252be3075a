//! SIGINT and SIGTERM, caught before anybody is told that the reader reads.

use std::future;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Handlers that are in place; a signal is kept until somebody waits for it.
#[derive(Debug)]
pub(super) struct Signals {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Puts the handlers in place.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the event loop")?;
        let entered = runtime.enter();
        let interrupt = signal(SignalKind::interrupt()).context("cannot catch SIGINT")?;
        let terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
        drop(entered);
        Ok(Self {
            runtime,
            interrupt,
            terminate,
        })
    }

    /// Waits for SIGINT, SIGTERM, the end of the duration, or `end`.
    pub(super) fn wait(mut self, duration: Option<Duration>, end: oneshot::Receiver<()>) {
        let (interrupt, terminate) = (&mut self.interrupt, &mut self.terminate);
        self.runtime.block_on(async {
            let over = async {
                match duration {
                    Some(duration) => tokio::time::sleep(duration).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = over => {}
                _ = end => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[test]
    fn a_signal_before_the_waiting_counts() {
        let signals = Signals::catch().unwrap();
        // Were there no handler, this would end the test's process.
        kill_process(getpid(), Signal::TERM).unwrap();
        let (_ended, end) = oneshot::channel();
        let started = Instant::now();
        signals.wait(Some(Duration::from_secs(20)), end);
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
