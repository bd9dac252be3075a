//! Who asked: real clients, each told with its own process, and nobody with another's.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use dns_trace_event::{OWNER_PROGRAMS, PROG_TC_EGRESS, PROG_TC_INGRESS};
use serde_json::Value;

use super::rate::send_as;
use crate::init::note;
use crate::lab::ctl::{ctl, nothing_left, push};
use crate::lab::kernel;
use crate::lab::left::programs;
use crate::lab::names::NameServers;
use crate::lab::net::{self, CLIENT_DEVICE, MUTE, SERVER};
use crate::lab::reader::{Seen, Watch};
use crate::lab::registry;
use crate::lab::sh::{self, sh};

/// Loads at the client's device, where queries leave the sockets that they were written to.
pub(super) fn load(words: &[&str]) -> Result<sh::Outcome> {
    let mut line = vec!["load", "--iface", CLIENT_DEVICE, "--netns", "client"];
    line.extend(words);
    ctl(&line)
}

/// First label of a name to who asked for it: process id and name; `None` for nobody.
type Askers = HashMap<String, Option<(u32, String)>>;

/// Runs a client to its end; it asks for names that begin with `label`.
fn client(askers: &mut Askers, label: &str, words: &[&str]) -> Result<()> {
    let comm = words.first().copied().unwrap_or_default();
    let mut command = net::inside("client", words);
    sh::log(&format!("$ {}", sh::line(&command)));
    // `ip netns exec` becomes the program: the process id is the client's.
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let pid = child.id();
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{comm} failed: {}", output.status);
    askers.insert(label.to_owned(), Some((pid, comm.to_owned())));
    Ok(())
}

/// The first label of the name that was asked for.
pub(super) fn label_of(line: &Value) -> Result<&str> {
    let name = line.pointer("/dns/question/name").and_then(Value::as_str);
    let name = name.with_context(|| format!("a lookup without a name: {line}"))?;
    Ok(name.split('.').next().unwrap_or_default())
}

/// Insists that every lookup is its asker's, and that all of them are there.
fn compare(seen: &Seen, askers: &Askers) -> Result<()> {
    let mut missing: Vec<&String> = askers.keys().collect();
    for line in &seen.lookups {
        let label = label_of(line)?;
        let Some(asker) = askers.get(label) else {
            bail!("nobody asked for {label}: {line}");
        };
        missing.retain(|other| *other != label);
        let pid = line.pointer("/process/pid").and_then(Value::as_u64);
        let comm = line.pointer("/process/name").and_then(Value::as_str);
        let told = pid.zip(comm).map(|(pid, comm)| (pid, comm.to_owned()));
        let wanted = asker
            .as_ref()
            .map(|(pid, comm)| (u64::from(*pid), comm.clone()));
        ensure!(
            told == wanted,
            "{label} is {told:?}'s instead of {wanted:?}'s: {line}"
        );
        let user = line.pointer("/user/id").and_then(Value::as_str);
        ensure!(
            user == wanted.map(|_| "0"),
            "{label} is of user {user:?}: {line}"
        );
    }
    ensure!(missing.is_empty(), "no lookups of {missing:?}");
    Ok(())
}

/// dig over UDP, TCP and IPv6, glibc, busybox; `load` twice, `status`, and without owners.
pub(crate) fn clients() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    fs::create_dir_all("/etc/netns/client")?;
    let server = format!("nameserver {}\n", SERVER.0);
    fs::write("/etc/netns/client/resolv.conf", server)?;
    load(&["--local"])?.ok()?;
    let again = load(&["--local"])?.ok()?.stdout;
    ensure!(again.contains("nothing to do"), "loaded twice: {again}");
    let status = ctl(&["status"])?.ok()?.stdout;
    for (program, function) in OWNER_PROGRAMS {
        for word in [program, function] {
            ensure!(status.contains(word), "status lacks {word}: {status}");
        }
    }
    let watch = Watch::start(&["--timeout", "3s"])?;
    let mut askers = Askers::new();
    let (at4, at6) = (format!("@{}", SERVER.0), format!("@{}", SERVER.1));
    let mute = format!("@{MUTE}");
    let options = ["+tries=1", "+time=2", "+nocookie"];
    let dig = |at: &str, name: &str| {
        let words = ["dig", at, name, "A"].map(str::to_owned);
        words
            .into_iter()
            .chain(options.map(str::to_owned))
            .collect::<Vec<_>>()
    };
    for (label, at, tcp) in [
        ("udp4", &at4, "+notcp"),
        ("udp6", &at6, "+notcp"),
        ("tcp4", &at4, "+tcp"),
        ("tcp6", &at6, "+tcp"),
    ] {
        let mut words = dig(at, &format!("{label}.wild.example.test"));
        words.push(tcp.to_owned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        client(&mut askers, label, &words)?;
    }
    client(
        &mut askers,
        "glibc",
        &["getent", "ahosts", "glibc.wild.example.test"],
    )?;
    let words = ["busybox", "nslookup", "musl.wild.example.test", SERVER.0];
    client(&mut askers, "musl", &words)?;
    // Nobody answers: dig ends with 9, and the time-out is dig's.
    let words = dig(&mute, "never.wild.example.test");
    let mut never = net::inside(
        "client",
        &words.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let mut never = never.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    askers.insert("never".to_owned(), Some((never.id(), "dig".to_owned())));
    never.wait()?;
    std::thread::sleep(std::time::Duration::from_secs(4));
    let seen = watch.stop()?;
    compare(&seen, &askers)?;
    let lookups = seen.number("reader/lookups")?;
    seen.counts(&[
        ("reader/owners/known", lookups),
        ("reader/owners/unknown", 0),
        ("reader/owners/contended", 0),
        ("reader/timeouts", 1),
        ("kernel/owners_lost", 0),
    ])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()?;
    by_choice_without(&at4)
}

/// `--no-owners`: nobody is told, and that is counted.
fn by_choice_without(at: &str) -> Result<()> {
    load(&["--local", "--no-owners"])?.ok()?;
    let loaded = programs()?;
    ensure!(
        OWNER_PROGRAMS
            .iter()
            .all(|(name, _)| !loaded.iter().any(|p| p == name)),
        "loaded all the same: {loaded:?}"
    );
    let watch = Watch::start(&["--count", "1"])?;
    net::run("client", &["dig", at, "none.wild.example.test", "+notcp"])?.ok()?;
    let seen = watch.ends(20)?;
    compare(&seen, &Askers::from([("none".to_owned(), None)]))?;
    seen.counts(&[("reader/owners/known", 0), ("reader/owners/unknown", 1)])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// One socket of two processes: each lookup is the right one's or nobody's.
pub(crate) fn shared() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load(&["--local"])?.ok()?;
    let server = format!("{}:53", SERVER.0);
    for (kind, wanted, contended) in [
        (
            "shared",
            [
                ("first", Some("first-process")),
                ("second", None),
                ("third", None),
                ("fourth", None),
            ]
            .as_slice(),
            1,
        ),
        (
            "handed-over",
            &[
                ("before", Some("first-process")),
                ("early", None),
                ("late", Some("second-process")),
            ],
            0,
        ),
    ] {
        let watch = Watch::start(&[])?;
        let said = net::run("client", &["guest", "share", kind, &server])?
            .ok()?
            .stdout;
        let pid = |who: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(who));
            line.and_then(|pid| pid.trim().parse::<u32>().ok())
        };
        let mut askers = Askers::new();
        let mut unknown = 0;
        for (label, who) in wanted {
            let asker = who.map(|who| pid(who).with_context(|| format!("no {who} in {said}")));
            let asker = asker.transpose()?;
            unknown += u64::from(asker.is_none());
            // The second process is started as `/proc/self/exe`.
            let comm = |pid| {
                (
                    pid,
                    if *who == Some("second-process") {
                        "exe"
                    } else {
                        "guest"
                    }
                    .to_owned(),
                )
            };
            askers.insert((*label).to_owned(), asker.map(comm));
        }
        let seen = watch.stop()?;
        compare(&seen, &askers)?;
        let all = wanted.len() as u64;
        seen.counts(&[
            ("reader/lookups", all),
            ("reader/owners/known", all - unknown),
            ("reader/owners/unknown", unknown),
            ("reader/owners/contended", contended),
        ])?;
    }
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Container that the client is put in.
const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A client in a cgroup, pid and network namespace of its own, which is gone when its lookup is told.
pub(crate) fn container() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load(&["--local"])?.ok()?;
    let watch = Watch::start(&["--count", "1", "--timeout", "4s"])?;
    let cgroup = format!("/sys/fs/cgroup/system.slice/docker-{CONTAINER}.scope");
    fs::create_dir_all(&cgroup)?;
    let script = format!(
        "echo $$ > {cgroup}/cgroup.procs && exec busybox unshare -p -f /usr/bin/ip netns exec client \
         dig @{MUTE} never.example.test +notcp +tries=1 +time=2"
    );
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::null())
        .spawn()?;
    let file = format!("/proc/{0}/task/{0}/children", shell.id());
    let mut dig = None;
    sh::wait_for("dig", 10, || {
        dig = fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok());
        Ok(dig.is_some())
    })?;
    shell.wait()?;
    fs::remove_dir(&cgroup)?;
    let seen = watch.ends(20)?;
    let line = seen.lookups.first().context("no lookup")?;
    for (path, wanted) in [
        ("/process/pid", dig.into()),
        ("/process/name", "dig".into()),
        ("/container/id", CONTAINER.into()),
        ("/container/runtime", "docker".into()),
        ("/error/type", "timeout".into()),
    ] {
        let found = line.pointer(path);
        ensure!(
            found == Some(&wanted),
            "{path} is {found:?} instead of {wanted}: {line}"
        );
    }
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Queries a second of the busy client; what an emulated machine makes of it is less.
const RATE: &str = "2000";
/// Lookups by others.
const OTHERS: u64 = 5;

/// Many queries by one client and some by others meanwhile: none is told with the wrong process.
pub(crate) fn busy() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load(&["--local"])?.ok()?;
    let watch = Watch::start(&[])?;
    let mut askers = Askers::new();
    let at = format!("@{}", SERVER.0);
    let busy = std::thread::spawn(|| send_as("many.wild.example.test A\n", RATE, "2"));
    for turn in 0..OTHERS {
        let label = format!("turn{turn}");
        let name = format!("{label}.wild.example.test");
        client(
            &mut askers,
            &label,
            &["dig", &at, &name, "+notcp", "+nocookie", "+tries=1"],
        )?;
    }
    let (pid, sent) = busy
        .join()
        .map_err(|_| anyhow::anyhow!("dnsperf's thread panicked"))??;
    askers.insert("many".to_owned(), Some((pid, "dnsperf".to_owned())));
    let seen = watch.stop()?;
    compare(&seen, &askers)?;
    seen.counts(&[
        ("reader/lookups", sent.queries + OTHERS),
        ("reader/owners/known", sent.queries + OTHERS),
        ("reader/owners/unknown", 0),
        ("kernel/ring_full", 0),
        ("kernel/owners_lost", 0),
    ])?;
    note(&format!(
        "{} lookups of dnsperf and {OTHERS} of dig, each its own",
        sent.queries
    ))?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Through bpfman: by the operator's tool, and by hand.
pub(crate) fn bpfman() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let _registry = registry::start()?;
    let _bpfman = registry::bpfman()?;
    let image = push("owners")?;
    let loaded = load(&["--image", &image])?.ok()?.stdout;
    ensure!(!loaded.contains("note:"), "{loaded}");
    ask_and_compare("tool")?;
    let again = load(&["--image", &image])?.ok()?.stdout;
    ensure!(again.contains("nothing to do"), "loaded twice: {again}");
    ctl(&["unload"])?.ok()?;
    nothing_left()?;

    let mut line = vec![
        "tc".to_owned() + ":" + PROG_TC_INGRESS,
        format!("tc:{PROG_TC_EGRESS}"),
    ];
    line.extend(OWNER_PROGRAMS.map(|(name, function)| format!("fentry:{name}:{function}")));
    let mut by_hand = sh::command(&[
        "bpfman",
        "load",
        "image",
        "--image-url",
        &image,
        "--programs",
    ]);
    by_hand.args(line).args(["--application", "dns-trace"]);
    sh::run(by_hand.env("SSL_CERT_FILE", registry::CA))?.ok()?;
    for (program, direction) in [(PROG_TC_INGRESS, "ingress"), (PROG_TC_EGRESS, "egress")] {
        let id = super::by_hand::id_of(program)?;
        let netns = net::path("client");
        sh(&[
            "bpfman",
            "attach",
            &id,
            "tc",
            "--direction",
            direction,
            "--iface",
            CLIENT_DEVICE,
            "--priority",
            "50",
            "--netns",
            &netns,
        ])?;
    }
    for (program, _) in OWNER_PROGRAMS {
        sh(&[
            "bpfman",
            "attach",
            &super::by_hand::id_of(program)?,
            "fentry",
        ])?;
    }
    ctl(&["grant"])?.ok()?;
    ask_and_compare("hand")?;
    ctl(&["unload"])?.ok()?;
    let names = [PROG_TC_INGRESS, PROG_TC_EGRESS].into_iter();
    for program in names.chain(OWNER_PROGRAMS.map(|(name, _)| name)) {
        sh(&["bpfman", "unload", &super::by_hand::id_of(program)?])?;
    }
    nothing_left()
}

fn ask_and_compare(label: &str) -> Result<()> {
    let watch = Watch::start(&["--count", "1"])?;
    let mut askers = Askers::new();
    let (at, name) = (
        format!("@{}", SERVER.0),
        format!("{label}.wild.example.test"),
    );
    client(
        &mut askers,
        label,
        &["dig", &at, &name, "+notcp", "+nocookie"],
    )?;
    let seen = watch.ends(20)?;
    compare(&seen, &askers)?;
    seen.counts(&[("reader/owners/known", 1), ("reader/owners/unknown", 0)])
}

/// Before 5.12 these programs may not ask for a socket's cookie: `load` says so and goes on without.
pub(crate) fn are_left_out() -> Result<()> {
    ensure!(
        kernel::version()? < (5, 12),
        "this kernel should take the owners"
    );
    net::create()?;
    let loaded = load(&["--local", "--hook", "tc"])?.ok()?.stdout;
    ensure!(
        loaded.contains("not every lookup will have its process"),
        "{loaded}"
    );
    let left = programs()?;
    let owners = OWNER_PROGRAMS.map(|(name, _)| name);
    ensure!(
        !left.iter().any(|name| owners.contains(&name.as_str())),
        "loaded: {left:?}"
    );
    ctl(&["unload"])?.ok()?;
    nothing_left()
}
