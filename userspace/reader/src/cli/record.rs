//! `dns-trace record` on the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgGroup, Args, CommandFactory as _, ValueEnum};

use super::{Cli, CommonArgs, FilterArgs};
use crate::spool::collector::Address;
use crate::tap::MessageFilter;

/// Arguments of `record`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("output").required(true).args(["file", "unix", "tcp"]))]
pub struct RecordArgs {
    /// File to write, replaced if it is there; `-` for standard output.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What to write.
    #[arg(long, value_enum)]
    pub format: RecordFormat,
    /// Send dnstap to the collector at this unix socket.
    #[arg(long, value_name = "PATH")]
    pub unix: Option<PathBuf>,
    /// Send dnstap to the collector at this address and port, over TCP.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub tcp: Option<SocketAddr>,
    /// Begin another file when one has this size: 500K, 100M, 2G.
    ///
    /// The full one becomes FILE.1, FILE.1 becomes FILE.2 and so on. A FILE from before the start is
    /// kept in the same way.
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "file")]
    pub rotate_size: Option<u64>,
    /// Keep so many full files, and remove older ones.
    #[arg(long, value_name = "N", default_value_t = 10, requires = "rotate_size",
          value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub rotate_files: u32,
    /// Everything that `watch` has, too.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What `record` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// Packets, for Wireshark and its kind: datagrams and TCP segments.
    Pcapng,
    /// DNS messages, for collectors: verbatim, and whole ones only.
    Dnstap,
}

/// What `record` is to do.
#[derive(Clone, Debug)]
pub struct RecordPlan {
    /// What to write.
    pub format: RecordFormat,
    /// Where to.
    pub to: RecordTo,
    /// Which packets or messages.
    pub filter: MessageFilter,
}

/// Where `record` writes.
#[derive(Clone, Debug)]
pub enum RecordTo {
    /// Standard output.
    Stdout,
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// Size at which another begins, bytes, and number of full ones that are kept.
        rotate: Option<(u64, u32)>,
    },
    /// A collector of dnstap.
    Collector(Address),
}

impl RecordArgs {
    /// What to do.
    ///
    /// # Errors
    /// Wrong usage that single arguments do not show.
    pub fn plan(&self) -> Result<RecordPlan, clap::Error> {
        let wrong = |text: &str| Cli::command().error(ErrorKind::ArgumentConflict, text);
        let to = match (&self.file, &self.unix, &self.tcp) {
            (None, Some(path), _) => RecordTo::Collector(Address::Unix(path.clone())),
            (None, None, Some(address)) => RecordTo::Collector(Address::Tcp(*address)),
            (file, ..) => {
                let path = file.as_deref().unwrap_or(Path::new("-"));
                let rotate = self.rotate_size.map(|size| (size, self.rotate_files));
                match (path == Path::new("-"), rotate) {
                    (true, Some(_)) => {
                        return Err(wrong("standard output cannot be rotated: give a file"));
                    }
                    (true, None) => RecordTo::Stdout,
                    (false, rotate) => RecordTo::File {
                        path: path.to_owned(),
                        rotate,
                    },
                }
            }
        };
        if self.format == RecordFormat::Pcapng && matches!(to, RecordTo::Collector(_)) {
            return Err(wrong("collectors take dnstap only: --format dnstap"));
        }
        let filter = self
            .common
            .filter
            .plan_of_messages()
            .map_err(|text| wrong(&text))?;
        Ok(RecordPlan {
            format: self.format,
            to,
            filter,
        })
    }
}

impl FilterArgs {
    /// The conditions, as far as they can be judged of a single message.
    fn plan_of_messages(&self) -> Result<MessageFilter, String> {
        let Self {
            name,
            types,
            rcode,
            min_latency,
            client,
            server,
            process,
            failures,
        } = self;
        for (given, argument) in [
            (min_latency.is_some(), "--min-latency"),
            (*failures, "--failures"),
            (!process.is_empty(), "--process"),
        ] {
            if given {
                return Err(format!(
                    "{argument} is known when a lookup ends, and a message is recorded before"
                ));
            }
        }
        Ok(MessageFilter {
            names: name.clone(),
            types: types.clone(),
            rcodes: rcode.clone(),
            clients: client.clone(),
            servers: server.clone(),
        })
    }
}

/// Bytes, with a suffix for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 0,
        "K" | "KIB" => 10,
        "M" | "MIB" => 20,
        "G" | "GIB" => 30,
        _ => return Err("not a size like 500K, 100M or 2G".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a size like 500K, 100M or 2G".to_owned())?;
    match number.checked_mul(1 << shift) {
        Some(size @ 65_536..) => Ok(size),
        Some(_) => Err("must be at least 64K".to_owned()),
        None => Err("too much".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, wanted) in [
            ("64K", Ok(65_536)),
            ("65536", Ok(65_536)),
            ("100M", Ok(104_857_600)),
            ("2gib", Ok(2 << 30)),
            ("63K", Err("must be at least 64K")),
            ("1T", Err("not a size like 500K, 100M or 2G")),
            ("M", Err("not a size like 500K, 100M or 2G")),
            ("-5M", Err("not a size like 500K, 100M or 2G")),
            ("99999999999G", Err("too much")),
        ] {
            assert_eq!(size(text), wanted.map_err(str::to_owned), "{text}");
        }
    }
}
