//! Offers what [`crate::metrics`] has measured, on a thread of its own.

pub mod http;
pub mod otlp;
pub mod prometheus;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::metrics::Measures;
use otlp::Exporter;

/// What is to be served, before the process gives up what it does not need.
#[derive(Debug)]
pub struct Plan {
    runtime: Runtime,
    listener: Option<TcpListener>,
    measures: Arc<Measures>,
    exporter: Option<Exporter>,
}

impl Plan {
    /// Scrapes of these measures, at a socket that listens.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(listener: Option<TcpListener>, measures: Arc<Measures>) -> io::Result<Self> {
        Ok(Self {
            // It has no thread of its own, but makes sockets for itself.
            runtime: Builder::new_current_thread().enable_all().build()?,
            listener,
            measures,
            exporter: None,
        })
    }

    /// Sends them to a collector, too.
    #[must_use]
    pub fn with_exporter(mut self, exporter: Option<Exporter>) -> Self {
        self.exporter = exporter;
        self
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start(self) -> io::Result<Server> {
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("serve".to_owned());
        let thread = thread.spawn(move || self.serve(ended))?;
        Ok(Server { end, thread })
    }

    fn serve(self, ended: oneshot::Receiver<()>) -> io::Result<()> {
        let Self {
            runtime,
            listener,
            measures,
            mut exporter,
        } = self;
        runtime.block_on(async {
            let scrapes = async {
                match listener {
                    Some(listener) => http::serve(listener, measures).await,
                    None => std::future::pending().await,
                }
            };
            let exports = async {
                match &mut exporter {
                    Some(exporter) => exporter.run().await,
                    None => std::future::pending().await,
                }
            };
            let result = tokio::select! {
                result = scrapes => result,
                () = exports => Ok(()),
                // Also if whoever started it has gone.
                _ = ended => Ok(()),
            };
            if let Some(exporter) = &mut exporter {
                exporter.finish().await;
            }
            result
        })
    }
}

/// The thread that serves.
#[derive(Debug)]
pub struct Server {
    end: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Ends it.
    ///
    /// # Errors
    /// What ended it before.
    pub fn stop(self) -> io::Result<()> {
        // Fails if it has ended.
        let _ = self.end.send(());
        let joined = self.thread.join();
        joined.map_err(|_| io::Error::other("the thread that serves panicked"))?
    }
}
