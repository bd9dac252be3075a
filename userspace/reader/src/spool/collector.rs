//! A collector of dnstap, over a unix socket or TCP. One that goes away is looked for again, at longer
//! and longer intervals; meanwhile the queue fills.
//!
//! Frame Streams has no acknowledgement but for the end: what the kernel has taken for a collector that
//! then died counts as written.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use dns_trace_dnstap::frames;
use rustix::net::RecvFlags;

use super::{Chunk, Output, Queue, write_all};

/// How long a collector may take for anything: to accept, to answer, to make room.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two attempts, at first and at most.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Where a collector is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// TCP.
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

#[derive(Debug)]
enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    fn open(address: &Address) -> io::Result<Self> {
        let patience = Some(PATIENCE);
        Ok(match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(patience)?;
                stream.set_write_timeout(patience)?;
                Self::Unix(stream)
            }
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(patience)?;
                stream.set_write_timeout(patience)?;
                Self::Tcp(stream)
            }
        })
    }

    /// Whether the other side has closed. It sends nothing between ACCEPT and FINISH.
    fn has_gone(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        !matches!(
            rustix::net::recv(self, &mut [0_u8; 1][..], flags),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR)
        )
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends data frames to a collector.
#[derive(Debug)]
pub struct Collector {
    address: Address,
    connection: Option<Connection>,
    retry: Duration,
    /// It has been said that there is none.
    missed: bool,
    /// Nothing more comes and there is none.
    given_up: bool,
}

impl Collector {
    /// A collector that need not be there yet.
    #[must_use]
    pub const fn new(address: Address) -> Self {
        Self {
            address,
            connection: None,
            retry: RETRY_MIN,
            missed: false,
            given_up: false,
        }
    }

    /// A connection to a collector that takes what we have; waits for one. `None` if the end comes
    /// first.
    fn connection(&mut self, queue: &Queue) -> Option<&mut Connection> {
        if self.connection.as_ref().is_some_and(Connection::has_gone) {
            self.miss("it has closed the connection");
        }
        while self.connection.is_none() && !self.given_up {
            // At the end there is one more attempt.
            let last = queue.wait_closed(Duration::ZERO);
            match self.connect() {
                Ok(connection) => self.found(connection),
                Err(reason) => {
                    self.miss(&reason);
                    self.given_up = last;
                    let _ = queue.wait_closed(self.retry);
                    self.retry = RETRY_MAX.min(2 * self.retry);
                }
            }
        }
        self.connection.as_mut()
    }

    fn connect(&self) -> Result<Connection, String> {
        let mut connection = Connection::open(&self.address).map_err(|error| error.to_string())?;
        match frames::open(&mut connection) {
            Ok(()) => Ok(connection),
            Err(error) => Err(error.to_string()),
        }
    }

    fn found(&mut self, connection: Connection) {
        self.connection = Some(connection);
        self.retry = RETRY_MIN;
        if std::mem::take(&mut self.missed) {
            tell(&format!("the collector at {} is there", self.address));
        }
    }

    fn miss(&mut self, reason: &str) {
        self.connection = None;
        if !std::mem::replace(&mut self.missed, true) {
            let address = &self.address;
            tell(&format!(
                "no collector at {address}: {reason}; trying again"
            ));
        }
    }
}

impl Output for Collector {
    /// Finds out, and says, whether there is a collector before there is anything to send.
    fn begin(&mut self, queue: &Queue) {
        self.connection(queue);
    }

    fn write(&mut self, chunk: &Chunk, queue: &Queue) -> io::Result<()> {
        let mut rest = chunk.bytes.as_slice();
        while !rest.is_empty()
            && let Some(connection) = self.connection(queue)
        {
            let (written, result) = write_all(connection, rest);
            // A frame of which the old collector got a part, the next one gets whole.
            let (octets, messages) = frames::whole(&rest[..written]);
            queue.count_written(messages);
            rest = &rest[octets..];
            if let Err(error) = result {
                self.miss(&match error.kind() {
                    io::ErrorKind::WouldBlock => "it does not read".to_owned(),
                    _ => error.to_string(),
                });
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(connection) = &mut self.connection
            && let Err(error) = frames::close(connection)
        {
            tell(&format!(
                "the collector at {} did not confirm the end: {error}",
                self.address
            ));
        }
        Ok(())
    }
}

fn tell(text: &str) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "dns-trace: {text}");
}
