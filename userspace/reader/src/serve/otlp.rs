//! OTLP over gRPC: measures at an interval, and a log record a lookup on request, to a collector that may be
//! slow, away, or another one the next time. Nothing here makes the reader wait; what does not arrive is
//! counted, and that there is trouble is said once, until it is over.

mod attributes;
pub mod logs;
mod measures;

use std::fmt;
use std::io::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::metrics::{Measures, Signal};
pub use attributes::Source;

/// The port of OTLP over gRPC.
const PORT: u16 = 4317;
/// How long a collector may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end waits for it.
const GRACE: Duration = Duration::from_secs(3);
/// Longest time between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(120);

/// A collector, as an URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    uri: Uri,
    host: String,
    port: u16,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| Self::wrong())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(
                    "TLS is not supported: give http:// and a collector on this host, which may pass it on by \
                     TLS"
                    .to_owned(),
                );
            }
            _ => return Err(Self::wrong()),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("gRPC has no path: give http://HOST:PORT".to_owned());
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(Self::wrong)?.trim_matches(['[', ']']);
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(PORT),
            uri,
        })
    }
}

impl Url {
    fn wrong() -> String {
        "not an URL like http://127.0.0.1:4317".to_owned()
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Looks its name up.
    ///
    /// # Errors
    /// If there is nothing of that name.
    pub fn find(self) -> anyhow::Result<Target> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let found = found.with_context(|| {
            format!(
                "cannot find the collector {} (look it up: getent hosts {}; or give an address: --otlp \
                 http://ADDRESS:PORT)",
                self.uri, self.host
            )
        })?;
        Ok(Target {
            addresses: found.collect(),
            url: self,
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

/// A collector that has been found, though it need not be there yet.
#[derive(Clone, Debug)]
pub struct Target {
    url: Url,
    addresses: Vec<SocketAddr>,
}

impl Target {
    /// A channel that connects when it is used, and again when it has to. To be called within an event loop.
    fn channel(&self) -> Channel {
        let target = Arc::new(self.clone());
        let connect = move |_: Uri| {
            let target = Arc::clone(&target);
            async move { target.connect().await.map(TokioIo::new) }
        };
        Endpoint::from(self.url.uri.clone())
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            .connect_with_connector_lazy(tower::service_fn(connect))
    }

    /// By its name as of now, or by what that was at the start.
    async fn connect(&self) -> io::Result<TcpStream> {
        let found = lookup_host((self.url.host.as_str(), self.url.port)).await;
        let found: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
        let addresses = if found.is_empty() {
            &self.addresses
        } else {
            &found
        };
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Whether a collector takes what it is sent, said when that changes.
#[derive(Debug)]
struct Health {
    url: Url,
    signal: Signal,
    measures: Arc<Measures>,
    missed: bool,
}

impl Health {
    const fn new(url: Url, signal: Signal, measures: Arc<Measures>) -> Self {
        Self {
            url,
            signal,
            measures,
            missed: false,
        }
    }

    /// It took it. Some of it may have been of no use to it, which it then says.
    fn took(&mut self, rejected: i64, why: &str) {
        self.measures.exports.count(self.signal, true);
        let Self { url, signal, .. } = self;
        if rejected > 0 {
            let text = format!("the collector {url} rejected {rejected} of the {signal}: {why}");
            self.miss(&text);
        } else if std::mem::take(&mut self.missed) {
            tell(&format!("the collector {url} takes {signal}"));
        }
    }

    /// It did not.
    fn failed(&mut self, status: &Status, then: &str) {
        self.measures.exports.count(self.signal, false);
        let Self { url, signal, .. } = self;
        let text = format!(
            "the collector {url} does not take {signal}: {}; {then}",
            cause(status)
        );
        self.miss(&text);
    }

    fn miss(&mut self, text: &str) {
        if !std::mem::replace(&mut self.missed, true) {
            tell(text);
        }
    }
}

fn tell(text: &str) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "dns-trace: {text}");
}

/// What is at the bottom of it: the library says "transport error" at the top.
fn cause(status: &Status) -> String {
    let mut error: &dyn std::error::Error = status;
    while let Some(source) = error.source() {
        error = source;
    }
    if std::ptr::addr_eq(error, status) {
        return format!("{:?}: {}", status.code(), status.message());
    }
    error.to_string()
}

fn unix_ns(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Sends measures, at an interval. They are sums since the start: one that did not arrive is made good by the
/// next.
#[derive(Debug)]
pub struct Exporter {
    target: Target,
    source: Source,
    measures: Arc<Measures>,
    interval: Duration,
    started: SystemTime,
    health: Health,
}

impl Exporter {
    /// Of these measures.
    #[must_use]
    pub fn new(
        target: Target,
        source: Source,
        measures: Arc<Measures>,
        interval: Duration,
    ) -> Self {
        let health = Health::new(target.url.clone(), Signal::Metrics, Arc::clone(&measures));
        Self {
            target,
            source,
            measures,
            interval,
            started: SystemTime::now(),
            health,
        }
    }

    /// Sends for ever.
    pub(super) async fn run(&mut self) {
        let mut client = self.client();
        let mut wait = self.interval;
        loop {
            sleep(wait).await;
            wait = if self.send(&mut client).await {
                self.interval
            } else {
                // Not less often than it would be sent anyway.
                (2 * wait).min(RETRY_MAX.max(self.interval))
            };
        }
    }

    /// Sends once more, at the end.
    pub(super) async fn finish(&mut self) {
        let mut client = self.client();
        let _ = timeout(GRACE, self.send(&mut client)).await;
    }

    fn client(&self) -> MetricsServiceClient<Channel> {
        MetricsServiceClient::new(self.target.channel())
    }

    async fn send(&mut self, client: &mut MetricsServiceClient<Channel>) -> bool {
        let now = unix_ns(SystemTime::now());
        let request = measures::request(&self.measures, &self.source, unix_ns(self.started), now);
        match client.export(request).await {
            Ok(response) => {
                let partial = response.into_inner().partial_success.unwrap_or_default();
                self.health
                    .took(partial.rejected_data_points, &partial.error_message);
                true
            }
            Err(status) => {
                self.health
                    .failed(&status, "trying again, less and less often");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, host, port) in [
            ("http://127.0.0.1:4318", "127.0.0.1", 4318),
            ("http://collector.example/", "collector.example", PORT),
            ("http://[::1]:9", "::1", 9),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port()), (host, port));
        }
        for (text, said) in [
            ("https://c:4317", "TLS"),
            ("http://c:4317/v1/metrics", "no path"),
            ("c:4317", "not an URL"),
            ("127.0.0.1", "not an URL"),
            ("http://", "not an URL"),
            ("", "not an URL"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
