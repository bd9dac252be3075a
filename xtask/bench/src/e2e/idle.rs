//! A reader without traffic: its CPU time, and how soon the first message is on its standard
//! output.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dns_trace_tests::lab::net::{self, SERVER};
use dns_trace_tests::lab::reader::{GROUP, unprivileged};
use rustix::process::Signal;

use super::process::Process;
use super::tracer::{self, Kind};
use crate::args::Args;
use crate::dns;
use crate::table::{Budget, Samples, Table};

/// Long enough for a reader to nap and then to sleep.
const QUIET: Duration = Duration::from_millis(300);

/// Measures, and adds the rows.
pub(super) fn run(args: &Args, table: &mut Table) -> Result<()> {
    tracer::load()?;
    table.group("idle: a reader, and no traffic");
    let window = args.choose(Duration::from_secs(10), Duration::from_secs(2));
    let mut percent = Vec::new();
    for kind in [Kind::Watch, Kind::Stats, Kind::Serve] {
        percent.push((kind, cpu(args, kind, window)?));
    }
    for (kind, percent) in percent {
        let budget = (kind == Kind::Watch).then_some(Budget::Below(0.05));
        let beside = format!("over {} s", window.as_secs());
        table.row(
            format!("{}: its CPU", kind.name()),
            percent,
            "%",
            beside,
            budget,
        );
    }
    let (message, lookup) = first(args)?;
    let budget = Some(Budget::Below(2.0));
    let beside = "packet to line, in a pipe";
    table.row(
        "watch: first message after idle",
        message,
        "ms",
        beside,
        budget,
    );
    table.row(
        "watch: first whole lookup after idle",
        lookup,
        "ms",
        beside,
        budget,
    );
    tracer::unload(Kind::Watch)
}

/// Per cent of a core.
fn cpu(args: &Args, kind: Kind, window: Duration) -> Result<Samples> {
    let mut command = unprivileged(Some(GROUP), &kind.command());
    let null = PathBuf::from("/dev/null");
    let process = Process::start("idle", &mut command, &null, "dns-trace: reading")?;
    std::thread::sleep(QUIET);
    let mut percent = Vec::new();
    for round in 1..=args.rounds {
        eprintln!("idle: {}, round {round} of {}", kind.name(), args.rounds);
        let (begin, before) = (Instant::now(), process.cpu()?);
        std::thread::sleep(window);
        let used = process.cpu()? - before;
        percent.push(100.0 * used / begin.elapsed().as_secs_f64());
    }
    process.stop(Signal::TERM, Duration::from_secs(10))?;
    Ok(Samples::new(percent))
}

/// Milliseconds from sending to the line: of a lone response, and of a query that is answered.
fn first(args: &Args) -> Result<(Samples, Samples)> {
    let (reader, writer) = std::io::pipe().context("cannot create a pipe")?;
    let mut command = unprivileged(Some(GROUP), &Kind::Watch.command());
    let child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start dns-trace")?;
    // The command holds the other end of the pipe, which would never close.
    drop(command);
    let watch = Killed(child);
    std::thread::sleep(QUIET * 2);
    let samples = args.choose(5, 3) * args.rounds;
    let result = net::enter("client", || measure(reader, samples))?;
    drop(watch);
    result
}

fn measure(reader: PipeReader, samples: u32) -> Result<(Samples, Samples)> {
    let mut lines = BufReader::new(reader);
    let asker = UdpSocket::bind("0.0.0.0:0").context("cannot bind")?;
    let responder = UdpSocket::bind("0.0.0.0:53").context("cannot bind port 53")?;
    let name = "host1.wild.example.test";
    let (mut message, mut lookup) = (Vec::new(), Vec::new());
    for id in 0..u16::try_from(samples)? {
        let response = dns::response(id, name);
        message.push(once(&responder, &response, 5000, &mut lines)?);
        lookup.push(once(&asker, &dns::query(id, name), 53, &mut lines)?);
    }
    Ok((Samples::new(message), Samples::new(lookup)))
}

/// The sockets are not connected: nobody listens where the lone responses go, and a connected one
/// would be told.
fn once(
    socket: &UdpSocket,
    packet: &[u8],
    port: u16,
    lines: &mut BufReader<PipeReader>,
) -> Result<f64> {
    std::thread::sleep(QUIET);
    let mut line = String::new();
    let begin = Instant::now();
    socket
        .send_to(packet, (SERVER.0, port))
        .context("cannot send")?;
    lines.read_line(&mut line).context("cannot read a line")?;
    let time = begin.elapsed().as_secs_f64() * 1e3;
    ensure!(
        line.contains("wild.example.test"),
        "not the line that was expected: {line:?}"
    );
    Ok(time)
}

/// A process that ends with this value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
