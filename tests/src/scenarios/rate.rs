//! Many lookups: as many are reported as were asked, and the reader stays small, and idle when idle.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};

use super::owners::load;
use crate::init::note;
use crate::lab::ctl::{ctl, load_at_server, nothing_left};
use crate::lab::names::NameServers;
use crate::lab::net::{self, SERVER};
use crate::lab::reader::Watch;
use crate::lab::sh;

/// Queries a second; an emulated machine does no more without strain.
const RATE: &str = "400";
const SECONDS: &str = "5";
/// Anonymous memory that the reader may use, KiB; the pages of the ring are the kernel's.
const MEMORY: u64 = 20 << 10;
/// Time that is looked at for idleness, once a burst is over.
const IDLE: Duration = Duration::from_secs(6);
const BURST_OVER: Duration = Duration::from_secs(1);
/// How often an idle reader may wake in [`IDLE`]: every other second to look at its instance.
const IDLE_WAKES: u64 = 6;
/// One that serves numbers also writes them down every second. No timer is faster than that.
const IDLE_WAKES_SERVED: u64 = 13;
/// CPU time that it may use meanwhile, in ticks of 10 ms: one that turns in a circle never wakes. How long
/// a look at the heartbeat takes on an emulated processor is the host's affair; the bench measures it.
const IDLE_TICKS: u64 = 60;

/// Sent = reported + counted lost, exactly.
pub(crate) fn exact() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load_at_server(&["--local"])?.ok()?;
    let mut watch = Watch::start(&[])?;
    let Sent {
        queries: sent,
        completed,
        ..
    } = send(
        "www.example.test A\nwww.example.test AAAA\nnowhere.example.test A\n",
        RATE,
        SECONDS,
    )?;
    let pid = watch.daemon().pid();
    let idle = Idle::measure(pid)?;
    let memory = kilobytes(pid, "RssAnon:")?;
    let seen = watch.stop()?;
    seen.counts(&[
        ("reader/queries", sent),
        ("reader/responses", completed),
        ("reader/answered", completed),
        ("reader/orphans", 0),
        ("reader/malformed", 0),
        ("kernel/submitted", sent + completed),
        ("kernel/ring_full", 0),
        ("kernel/malformed", 0),
        ("kernel/unreadable", 0),
    ])?;
    ensure!(
        seen.lookups.len() as u64 == sent,
        "{sent} queries, {} lookups",
        seen.lookups.len()
    );
    note(&format!(
        "{sent} queries, {completed} answered, all reported; reader: {memory} KiB anonymous, {idle}"
    ))?;
    ensure!(memory <= MEMORY, "the reader uses {memory} KiB");
    idle.is_idle(IDLE_WAKES)?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// What a process did while there was nothing to do.
struct Idle {
    wakes: u64,
    ticks: u64,
}

impl Idle {
    /// Looks at a process for [`IDLE`].
    fn measure(pid: u32) -> Result<Self> {
        std::thread::sleep(BURST_OVER);
        let before = (wakes(pid)?, ticks(pid)?);
        std::thread::sleep(IDLE);
        Ok(Self {
            wakes: wakes(pid)? - before.0,
            ticks: ticks(pid)? - before.1,
        })
    }

    fn is_idle(&self, wakes: u64) -> Result<()> {
        ensure!(
            self.wakes <= wakes && self.ticks <= IDLE_TICKS,
            "not idle: {self}"
        );
        Ok(())
    }
}

impl Display for Idle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (wakes, ticks) = (self.wakes, self.ticks);
        write!(f, "{wakes} wake-ups and {ticks} ticks of 10 ms in 6 s idle")
    }
}

/// Queries a second with owners and metrics, more than an emulated machine does, and for how many seconds. For
/// other machines there is `cargo xtask bench --only e2e --rate 30000`.
const SERVED: (&str, &str) = ("10000", "15");
/// Memory of all kinds, KiB.
const SERVED_MEMORY: u64 = 40 << 10;

/// `serve` with owners: nothing is lost, everybody is known, and the reader stays small, with half a core to
/// spare.
pub(crate) fn served() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load(&["--local"])?.ok()?;
    let mut serve = Watch::start_command(&["serve"])?;
    let pid = serve.daemon().pid();
    let before = ticks(pid)?;
    let begin = Instant::now();
    let sent = send(
        "www.example.test A\nwww.example.test AAAA\nnowhere.example.test A\n",
        SERVED.0,
        SERVED.1,
    )?;
    let seconds = begin.elapsed().as_secs_f64();
    let busy = (ticks(pid)? - before) as f64 / seconds;
    let idle = Idle::measure(pid)?;
    let memory = kilobytes(pid, "VmHWM:")?;
    let seen = serve.stop()?;
    seen.counts(&[
        ("reader/queries", sent.queries),
        ("reader/responses", sent.completed),
        ("reader/lookups", sent.queries),
        ("reader/owners/known", sent.queries),
        ("reader/owners/unknown", 0),
        ("kernel/submitted", sent.queries + sent.completed),
        ("kernel/ring_full", 0),
        ("kernel/owners_lost", 0),
    ])?;
    note(&format!(
        "{:.0} queries a second, none lost, all with their process; serve: {busy:.0} % of a core, {memory} KiB at most, {idle}",
        sent.queries as f64 / seconds
    ))?;
    ensure!(memory <= SERVED_MEMORY, "the reader used {memory} KiB");
    ensure!(busy <= 50.0, "the reader used {busy:.0} % of a core");
    idle.is_idle(IDLE_WAKES_SERVED)?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// What dnsperf says of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Queries sent.
    pub(crate) queries: u64,
    /// Those that were answered.
    pub(crate) completed: u64,
    /// Those that were answered with REFUSED.
    pub(crate) refused: u64,
}

/// Sends questions, one a line, again and again to the name server: so many a second, for so many
/// seconds.
pub(crate) fn send(questions: &str, rate: &str, seconds: &str) -> Result<Sent> {
    send_as(questions, rate, seconds).map(|(_, sent)| sent)
}

/// Likewise, and tells the client's process id.
pub(crate) fn send_as(questions: &str, rate: &str, seconds: &str) -> Result<(u32, Sent)> {
    let sender = Sender::start(questions, rate, seconds)?;
    let pid = sender.pid();
    Ok((pid, sender.sent()?))
}

/// A dnsperf that sends.
pub(crate) struct Sender {
    dnsperf: Child,
    /// Datagrams that its namespace had sent before.
    before: u64,
}

impl Sender {
    /// Starts it.
    pub(crate) fn start(questions: &str, rate: &str, seconds: &str) -> Result<Self> {
        fs::write("/run/lab/questions", questions)?;
        let line = [
            "dnsperf",
            "-s",
            SERVER.0,
            "-d",
            "/run/lab/questions",
            "-Q",
            rate,
            "-l",
            seconds,
            "-c",
            "4",
        ];
        let mut dnsperf = net::inside("client", &line);
        let dnsperf = dnsperf.stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(Self {
            before: datagrams()?,
            dnsperf: dnsperf.spawn()?,
        })
    }

    /// Its process id: `ip netns exec` becomes dnsperf.
    pub(crate) fn pid(&self) -> u32 {
        self.dnsperf.id()
    }

    /// Lets it send no more, before its time.
    pub(crate) fn stop(mut self) -> Result<Sent> {
        ensure!(
            self.dnsperf.try_wait()?.is_none(),
            "dnsperf has ended before the others"
        );
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        rustix::process::kill_process(pid.context("no process id")?, Signal::INT)?;
        self.sent()
    }

    /// Likewise, and waits for what is on its way; gives the number of queries. The name server gives an answer
    /// to each. It is the client's kernel that counts: a dnsperf that is stopped misses the last ones.
    pub(crate) fn stop_answered(self) -> Result<u64> {
        let before = self.before;
        self.stop()?;
        std::thread::sleep(Duration::from_secs(1));
        Ok(datagrams()? - before)
    }

    /// Waits for its end.
    pub(crate) fn sent(self) -> Result<Sent> {
        let output = self.dnsperf.wait_with_output()?;
        ensure!(output.status.success(), "dnsperf: {}", output.status);
        let report = String::from_utf8_lossy(&output.stdout);
        sh::log(&report);
        Ok(Sent {
            queries: number(&report, "Queries sent:")?,
            completed: number(&report, "Queries completed:")?,
            refused: refused(&report),
        })
    }
}

/// UDP datagrams over IPv4 that the client's namespace has sent: `OutDatagrams` of snmp(7).
fn datagrams() -> Result<u64> {
    let table = net::run("client", &["cat", "/proc/net/snmp"])?.ok()?.stdout;
    let mut rows = table.lines().filter(|line| line.starts_with("Udp: "));
    let mut row = || rows.next().unwrap_or_default().split(' ');
    let (names, values) = (row(), row());
    let value = names.zip(values).find(|(name, _)| *name == "OutDatagrams");
    let value = value.and_then(|(_, value)| value.parse().ok());
    value.with_context(|| format!("no OutDatagrams in {table}"))
}

/// `Response codes:       NOERROR 2 (33.33%), REFUSED 1 (16.67%)`; a code that never came is not
/// named.
fn refused(report: &str) -> u64 {
    let behind = report.split("REFUSED ").nth(1);
    let number = behind.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The number behind a word of dnsperf's report.
fn number(report: &str, word: &str) -> Result<u64> {
    let line = report
        .lines()
        .find_map(|line| line.trim().strip_prefix(word));
    let text = line.and_then(|rest| rest.split_whitespace().next());
    text.and_then(|text| text.parse().ok())
        .with_context(|| format!("no `{word}` in {report}"))
}

/// How often all threads of a process have gone to sleep of their own will (proc(5)).
fn wakes(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        sum += status_number(&status, "voluntary_ctxt_switches:")?;
    }
    Ok(sum)
}

/// User and system time of a process, in ticks (proc(5), fields 14 and 15 of `stat`).
fn ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<u64> = behind_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    ensure!(fields.len() == 2, "cannot read the times in {stat}");
    Ok(fields.iter().sum())
}

/// A line of a process's `status` that is in KiB (proc(5)).
pub(super) fn kilobytes(pid: u32, field: &str) -> Result<u64> {
    status_number(&fs::read_to_string(format!("/proc/{pid}/status"))?, field)
}

fn status_number(status: &str, field: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {field} in {status}"))
}
