//! Tracers: ours in two forms, and what Debian has. Ours must account for every message.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dns_trace_tests::lab::net::{self, SERVER_DEVICE};
use dns_trace_tests::lab::reader::{GROUP, unprivileged};
use dns_trace_tests::lab::sh;
use rustix::process::Signal;
use serde_json::Value;

use super::Rate;
use super::dnsperf::Load;
use super::process::{Process, Use};

const SUMMARY: &str = "/run/lab/summary.json";

/// Who traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nobody, and no program is attached.
    None,
    /// `dns-trace watch --output json` to a file.
    Watch,
    /// `dns-trace stats`.
    Stats,
    /// `dns-trace serve`, scraped by nobody.
    Serve,
    /// `tcpdump -w /dev/null`, which decodes nothing.
    Tcpdump,
    /// `tshark` with one field.
    Tshark,
}

impl Kind {
    /// Its name in the table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Watch => "watch",
            Self::Stats => "stats",
            Self::Serve => "serve",
            Self::Tcpdump => "tcpdump",
            Self::Tshark => "tshark",
        }
    }

    /// The command line of dns-trace. `serve` prints nothing, so it has no form of output to choose.
    pub(super) fn command(self) -> Vec<&'static str> {
        let mut words = vec!["dns-trace", self.name()];
        if self != Self::Serve {
            words.extend(["--output", "json"]);
        }
        words
    }

    /// Whether it is dns-trace.
    pub(super) const fn is_ours(self) -> bool {
        matches!(self, Self::Watch | Self::Stats | Self::Serve)
    }

    /// tshark falls behind by half a minute at the highest rate, so it has one rate only.
    pub(super) fn runs_at(self, rate: Rate) -> bool {
        self != Self::Tshark || rate == Some(10_000)
    }
}

/// What a tracer says that it saw and lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Messages lost, where the tracer tells; with lines that were not written.
    pub(super) lost: f64,
    /// Longest time from the kernel's stamp to the reading, milliseconds; ours only.
    pub(super) lag_ms: f64,
}

/// A tracer at work.
pub(super) struct Tracer {
    kind: Kind,
    process: Option<Process>,
    out: PathBuf,
}

/// Loads our programs onto the server's device.
pub(super) fn load() -> Result<()> {
    let words = ["dns-tracectl", "load", "--local", "--iface", SERVER_DEVICE];
    let mut command = sh::command(&words);
    sh::run(command.args(["--netns", "server"]))?.ok()?;
    Ok(())
}

/// Takes them away.
pub(super) fn unload(kind: Kind) -> Result<()> {
    if kind.is_ours() {
        sh::run(&mut sh::command(&["dns-tracectl", "unload"]))?.ok()?;
    }
    Ok(())
}

impl Tracer {
    /// Starts it and waits until it traces.
    pub(super) fn start(kind: Kind, data: &Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions("/run/lab", fs::Permissions::from_mode(0o1777))?;
        let out = if kind == Kind::Watch {
            data.join("watch.jsonl")
        } else {
            "/dev/null".into()
        };
        let (mut command, ready) = match kind {
            Kind::None => {
                return Ok(Self {
                    kind,
                    process: None,
                    out,
                });
            }
            Kind::Watch | Kind::Stats | Kind::Serve => {
                load()?;
                let _ = fs::remove_file(SUMMARY);
                let mut words = kind.command();
                words.extend(["--summary-file", SUMMARY]);
                (unprivileged(Some(GROUP), &words), "dns-trace: reading")
            }
            Kind::Tcpdump => {
                let words = ["-n", "-i", SERVER_DEVICE, "-w", "/dev/null", "port", "53"];
                let mut command = net::inside("server", &["tcpdump", "-Z", "root"]);
                command.args(words);
                (command, "listening on")
            }
            Kind::Tshark => {
                let words = [
                    "tshark",
                    "-n",
                    "-i",
                    SERVER_DEVICE,
                    "-f",
                    "port 53",
                    "-T",
                    "fields",
                    "-e",
                    "dns.qry.name",
                ];
                (net::inside("server", &words), "Capturing on")
            }
        };
        let process = Process::start(kind.name(), &mut command, &out, ready)?;
        // tshark says so before its capturing child has begun.
        let pause = if kind == Kind::Tshark { 500 } else { 50 };
        std::thread::sleep(Duration::from_millis(pause));
        Ok(Self {
            kind,
            process: Some(process),
            out,
        })
    }

    /// Ends it and compares what it saw with what was sent.
    pub(super) fn stop(self, load: &Load) -> Result<(Use, Seen)> {
        let Some(process) = self.process else {
            return Ok((Use::default(), Seen::default()));
        };
        let signal = if self.kind.is_ours() {
            Signal::TERM
        } else {
            Signal::INT
        };
        let (used, said) = process.stop(signal, Duration::from_secs(60))?;
        let seen = match self.kind {
            Kind::Watch | Kind::Stats | Kind::Serve => account(self.kind, &self.out, load)?,
            Kind::Tcpdump => Seen {
                lost: number_before(&said, "packets dropped by kernel")
                    .with_context(|| format!("tcpdump does not tell what it lost: {said}"))?,
                lag_ms: 0.0,
            },
            Kind::None | Kind::Tshark => Seen {
                lost: number_before(&said, "packets dropped").unwrap_or(0.0),
                lag_ms: 0.0,
            },
        };
        if self.kind == Kind::Watch {
            // Nothing more is written, so that the next run does not share the disk with it.
            fs::remove_file(&self.out)
                .with_context(|| format!("cannot remove {}", self.out.display()))?;
        }
        Ok((used, seen))
    }
}

/// The number that stands in front of some words.
fn number_before(text: &str, words: &str) -> Option<f64> {
    let at = text.find(words)?;
    text[..at].split_whitespace().next_back()?.parse().ok()
}

/// Everything that dnsperf sent and got must be reported, or counted as lost.
fn account(kind: Kind, out: &Path, load: &Load) -> Result<Seen> {
    let text = fs::read_to_string(SUMMARY).context("the reader left no summary")?;
    let summary: Value = serde_json::from_str(&text).context("the summary is no JSON")?;
    let number = |path: &str| {
        let value = summary.pointer(path).and_then(Value::as_u64);
        value.with_context(|| format!("the summary has no {path}: {text}"))
    };
    let submitted = number("/kernel/submitted")?;
    let ring_full = number("/kernel/ring_full")?;
    let lost = ring_full + number("/kernel/malformed")? + number("/kernel/unreadable")?;
    let unwritten = number("/reader/unwritten")?;
    let on_wire = submitted + lost;
    // A response that never reached dnsperf was on the server's device all the same.
    let (least, most) = (load.sent + load.completed, 2 * load.sent);
    ensure!(
        (least..=most).contains(&on_wire),
        "{on_wire} messages on the wire, but dnsperf sent {} and got {}: {text}",
        load.sent,
        load.completed
    );
    let records = number("/reader/records")?;
    ensure!(
        records == submitted,
        "{submitted} records submitted, {records} read: {text}"
    );
    if lost == 0 {
        let (queries, answered) = (number("/reader/queries")?, number("/reader/answered")?);
        ensure!(
            queries == load.sent && answered >= load.completed && answered <= load.sent,
            "{} queries and {} responses, but {queries} and {answered} reported: {text}",
            load.sent,
            load.completed
        );
    }
    if kind == Kind::Watch {
        let (shown, lines) = (number("/reader/shown")?, lines(out)?);
        ensure!(
            shown == lines + unwritten,
            "{shown} lookups shown in {lines} lines, and {unwritten} unwritten"
        );
    }
    Ok(Seen {
        lost: (lost + unwritten) as f64,
        lag_ms: number("/reader/max_lag_ns")? as f64 / 1e6,
    })
}

fn lines(path: &Path) -> Result<u64> {
    let named = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(named)?;
    let mut buffer = vec![0; 1 << 20];
    let mut lines = 0;
    loop {
        let len = file.read(&mut buffer).with_context(named)?;
        if len == 0 {
            return Ok(lines);
        }
        let ends = buffer.iter().take(len).filter(|byte| **byte == b'\n');
        lines += ends.count() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_tcpdump_says() {
        let text =
            "12 packets captured\n12 packets received by filter\n3 packets dropped by kernel\n";
        assert_eq!(number_before(text, "packets dropped by kernel"), Some(3.0));
        assert_eq!(number_before(text, "packets eaten"), None);
    }
}
