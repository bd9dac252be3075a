//! Programs with resolvers of every kind, side by side with a busy one: each lookup is its own
//! program's, or nobody's. And who must have no process: what is forwarded, and what a server answers.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::RangeInclusive;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use super::owners::{label_of, load};
use super::rate::Sender;
use crate::init::note;
use crate::lab::ctl::{ctl, load_at_server, nothing_left, status};
use crate::lab::names::{NameServers, dig};
use crate::lab::net::{self, SERVER};
use crate::lab::reader::{Seen, Watch};
use crate::lab::sh::{self, sh};

/// Queries a second of the busy client.
const RATE: &str = "2000";
/// Seconds that it sends for at most; it is stopped when the others are done.
const LONGEST: &str = "60";

/// A way to ask.
struct Kind {
    label: &'static str,
    /// Command line; a word with `NAME` in it comes once for each name, one with `SERVER` has the
    /// server's address there.
    words: &'static [&'static str],
    /// Code that it ends with.
    code: i32,
    /// How many processes, one after the other, and names for each.
    processes: usize,
    names: usize,
    /// Lookups that a name takes: one, or one each for A and AAAA.
    lookups: usize,
    /// How often each may be tried again, from a new socket, in the time that an answer takes here.
    again: usize,
}

const fn kind(
    label: &'static str,
    words: &'static [&'static str],
    (processes, names, lookups): (usize, usize, usize),
) -> Kind {
    Kind {
        label,
        words,
        code: 0,
        processes,
        names,
        lookups,
        again: 0,
    }
}

const KINDS: &[Kind] = &[
    // Resolves in a thread of its own. No route leads to the address that it finds: it ends with 7.
    Kind {
        code: 7,
        ..kind("curl", &["curl", "-s", "http://NAME:9/"], (3, 4, 2))
    },
    // glibc sends both queries by one sendmmsg().
    kind("getent", &["getent", "ahosts", "NAME"], (3, 4, 2)),
    kind(
        "dig",
        &["dig", "@SERVER", "+notcp", "+nocookie", "NAME"],
        (3, 4, 1),
    ),
    kind("tcp", &["dig", "@SERVER", "+tcp", "NAME"], (3, 4, 1)),
    kind(
        "busybox",
        &["busybox", "nslookup", "NAME", "SERVER"],
        (4, 1, 2),
    ),
    kind("go", &["go-lookup", "NAME"], (3, 16, 2)),
    kind("std", &["guest", "lookup", "std", "NAME"], (3, 8, 2)),
    // Does not wait for as long as the others.
    Kind {
        again: 2,
        ..kind(
            "hickory",
            &["guest", "lookup", "hickory", "NAME"],
            (3, 16, 2),
        )
    },
    kind("mapped", &["guest", "lookup", "mapped", "NAME"], (2, 8, 1)),
    kind(
        "connected",
        &["guest", "lookup", "mapped-connected", "NAME"],
        (2, 8, 1),
    ),
    kind("uring", &["guest", "lookup", "uring", "NAME"], (2, 8, 1)),
    kind(
        "worker",
        &["guest", "lookup", "uring-worker", "NAME"],
        (2, 8, 1),
    ),
    kind(
        "poller",
        &["guest", "lookup", "uring-poller", "NAME"],
        (2, 8, 1),
    ),
];

/// Who asked for a name, and how many lookups that makes.
struct Asker {
    kind: &'static str,
    pid: u64,
    comm: &'static str,
    lookups: RangeInclusive<usize>,
}

/// By the first label of the name.
type Askers = HashMap<String, Asker>;

/// All kinds of clients at a time, over IPv4 and then over IPv6, beside a busy one.
pub(crate) fn side_by_side() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load(&["--local"])?.ok()?;
    let mut watch = Watch::start(&[])?;
    let busy = Sender::start("many.wild.example.test A\n", RATE, LONGEST)?;
    let begin = Instant::now();
    let mut askers = Askers::new();
    for (round, server) in [("v4", SERVER.0), ("v6", SERVER.1)] {
        resolve_by(server)?;
        askers.extend(ask(round, server)?);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let pid = busy.pid();
    let queries = usize::try_from(busy.stop()?.queries)?;
    // Of dnsperf's last ones the answers are on their way; all others have theirs.
    sh::wait_for("the last lookups of dnsperf", 20, || {
        let lines = watch.daemon().stdout();
        let its = lines.lines().filter(|line| line.contains("\"many."));
        Ok(its.count() >= queries)
    })?;
    askers.insert(
        "many".to_owned(),
        Asker {
            kind: "dnsperf",
            pid: pid.into(),
            comm: "dnsperf",
            // It is stopped in the midst, and each of its four clients may miss its last one.
            lookups: queries..=queries + 4,
        },
    );
    let seen = watch.stop()?;
    let (right, unknown) = all_right(&seen, &askers)?;
    let known = right.values().sum::<usize>() as u64;
    let skipped = skipped()?;
    let of_kinds = unknown;
    let unknown: u64 = of_kinds.values().sum();
    ensure!(
        unknown <= skipped,
        "unknown: {of_kinds:?}, and the kernel did not run the programs {skipped} times; right: {right:?}"
    );
    seen.counts(&[
        ("reader/lookups", known + unknown),
        ("reader/owners/known", known),
        ("reader/owners/unknown", unknown),
        ("reader/owners/contended", 0),
        ("kernel/ring_full", 0),
        ("kernel/owners_lost", 0),
    ])?;
    note(&format!(
        "{:.0} queries a second of dnsperf, for {seconds:.1} s; all right, {unknown} unknown: {right:?}",
        queries as f64 / seconds
    ))?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Names the server to all who ask in the client's namespace from now on.
fn resolve_by(server: &str) -> Result<()> {
    fs::create_dir_all("/etc/netns/client")?;
    let text = format!("nameserver {server}\n");
    fs::write("/etc/netns/client/resolv.conf", text)?;
    Ok(())
}

fn ask(round: &str, server: &str) -> Result<Askers> {
    thread::scope(|scope| {
        let all: Vec<_> = KINDS
            .iter()
            .map(|kind| scope.spawn(move || kind.ask(round, server)))
            .collect();
        let mut askers = Askers::new();
        for one in all {
            askers.extend(
                one.join()
                    .map_err(|_| anyhow!("a client's thread panicked"))??,
            );
        }
        Ok(askers)
    })
}

impl Kind {
    /// Runs its processes one after the other.
    fn ask(&self, round: &str, server: &str) -> Result<Askers> {
        let mut askers = Askers::new();
        for process in 0..self.processes {
            let labels: Vec<String> = (0..self.names)
                .map(|name| format!("{}-{round}-{process}-{name}", self.label))
                .collect();
            let pid = self.run(&self.line(&labels, server))?;
            askers.extend(labels.into_iter().map(|label| (label, self.asker(pid))));
        }
        Ok(askers)
    }

    fn line(&self, labels: &[String], server: &str) -> Vec<String> {
        let mut line = Vec::new();
        for word in self.words {
            if word.contains("NAME") {
                // Ends with a dot: no search list applies.
                let full = |label| word.replace("NAME", &format!("{label}.wild.example.test."));
                line.extend(labels.iter().map(full));
            } else {
                line.push(word.replace("SERVER", server));
            }
        }
        line
    }

    /// The process id of a client that has ended well.
    fn run(&self, line: &[String]) -> Result<u32> {
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        let mut command = net::inside("client", &words);
        // `ip netns exec` becomes the program: the process id is the client's.
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pid = child.id();
        let output = child.wait_with_output()?;
        ensure!(
            output.status.code() == Some(self.code),
            "`{}` ended with {}: {}{}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(pid)
    }

    fn asker(&self, pid: u32) -> Asker {
        Asker {
            kind: self.label,
            pid: pid.into(),
            comm: self.words.first().copied().unwrap_or_default(),
            lookups: self.lookups..=self.lookups * (1 + self.again),
        }
    }
}

/// How many lookups had the right process, by kind.
type Right = BTreeMap<&'static str, usize>;
/// How many had none.
type Unknown = BTreeMap<&'static str, u64>;

/// Insists that every lookup is its asker's or nobody's, and that all of them are there.
fn all_right(seen: &Seen, askers: &Askers) -> Result<(Right, Unknown)> {
    let mut found: HashMap<&str, usize> = HashMap::new();
    let (mut right, mut unknown) = (Right::new(), Unknown::new());
    for line in &seen.lookups {
        let label = label_of(line)?;
        let Some(asker) = askers.get(label) else {
            bail!("nobody asked for {label}: {line}");
        };
        *found.entry(label).or_default() += 1;
        let pid = line.pointer("/process/pid").and_then(Value::as_u64);
        let comm = line.pointer("/process/name").and_then(Value::as_str);
        match pid.zip(comm) {
            Some(told) if told == (asker.pid, asker.comm) => {
                *right.entry(asker.kind).or_default() += 1;
            }
            None => *unknown.entry(asker.kind).or_default() += 1,
            Some(told) => bail!(
                "WRONG: {label} is told as {told:?}'s and is {:?}'s: {line}",
                (asker.pid, asker.comm)
            ),
        }
    }
    for (label, asker) in askers {
        let found = found.get(label.as_str()).copied().unwrap_or(0);
        let wanted = &asker.lookups;
        ensure!(
            wanted.contains(&found),
            "{found} lookups of {label}, not {wanted:?}"
        );
    }
    Ok((right, unknown))
}

/// How often the kernel did not run the programs that tell owners: where it may take the processor from a task
/// in the kernel, the programs of other tasks are not run there until that one is through.
fn skipped() -> Result<u64> {
    let status = status()?;
    let programs = status.get("programs").and_then(Value::as_array);
    let skipped = |program: &Value| {
        let name = program.get("name")?.as_str()?;
        let skipped = program.get("skipped")?.as_u64()?;
        Some((name.starts_with("own_"), skipped))
    };
    let all: Option<Vec<_>> = programs.and_then(|programs| programs.iter().map(skipped).collect());
    let all = all.with_context(|| format!("no `skipped` in {status}"))?;
    Ok(all
        .iter()
        .filter(|(owner, _)| *owner)
        .map(|(_, skipped)| skipped)
        .sum())
}

/// A network behind the server's, and an address there that nobody has.
const BEYOND: (&str, &str) = ("198.51.100.1/24", "198.51.100.53");

/// Queries that are forwarded and queries that arrive have no process here, though their socket's owner is
/// known on this host; and a server's responses are no lookups of the server.
pub(crate) fn others() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    for line in [
        "link add out0 netns server type veth peer name out1 netns server",
        &format!("-n server addr add {} dev out0", BEYOND.0),
        "-n server link set out0 up",
        "-n server link set out1 up",
        &format!(
            "-n server neigh add {} lladdr 02:00:00:00:00:01 dev out0",
            BEYOND.1
        ),
        &format!("-n client route add default via {}", SERVER.0),
    ] {
        let words: Vec<&str> = std::iter::once("ip").chain(line.split(' ')).collect();
        sh(&words)?;
    }
    net::run("server", &["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])?.ok()?;
    load_at_server(&["--iface", "out0", "--local"])?.ok()?;
    let watch = Watch::start(&["--timeout", "1s"])?;
    dig(SERVER.0, "served.wild.example.test", "A")?.ok()?;
    // Seen at both devices. Nobody answers: dig waits for longer than our time-out, and ends with 9.
    dig(BEYOND.1, "forwarded.wild.example.test", "A")?.exits(9)?;
    let seen = watch.stop()?;
    for line in &seen.lookups {
        ensure!(line.pointer("/process").is_none(), "has a process: {line}");
    }
    seen.counts(&[
        ("reader/lookups", 3),
        ("reader/answered", 1),
        ("reader/timeouts", 2),
        ("reader/owners/known", 0),
        ("reader/owners/unknown", 0),
    ])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}
