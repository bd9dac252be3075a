//! What happens to a bundle while somebody reads it: others detach its programs, its interface goes, it is
//! unloaded and loaded anew.

use std::fs;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dns_trace_event::{BUNDLE_ROOT, DEFAULT_INSTANCE, LINKS_DIR, LOCAL_DIR, RINGS_DIR};

use super::serve::get;
use crate::init::note;
use crate::lab::ctl::{ctl, load_at_server, nothing_left};
use crate::lab::left::names;
use crate::lab::names::{NameServers, ask};
use crate::lab::net;
use crate::lab::reader::Watch;
use crate::lab::sh::{self, sh};

/// The device that is traced, in the namespace of the reader, and the address at its other end.
pub(super) const DEVICE: &str = "up0";
const OTHER_END: &str = "10.60.0.2";
const ADDRESS: &str = "127.0.0.1:19153";
/// Within which a heartbeat that stops has to be told.
const SECONDS: u64 = 10;
/// Without a word for longer than that is quiet.
const QUIET: Duration = Duration::from_secs(9);
/// What a reader says.
const STOPPED: &str = "no heartbeat";

/// Traffic goes on while the programs are detached, and then while the device is deleted.
pub(crate) fn heartbeat() -> Result<()> {
    uplink()?;
    let load = ["load", "--local", "--iface", DEVICE, "--no-owners"];
    ctl(&load)?.ok()?;
    let mut reader = Watch::start_command(&["serve", "--listen", ADDRESS])?;
    let (sends, ends) = (AtomicBool::new(true), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| traffic(&sends, &ends));
        let result = stops_and_mends(&mut reader, &load, &sends);
        ends.store(true, Ordering::Relaxed);
        result
    })?;
    let seen = reader.stop()?;
    seen.counts(&[("reader/heartbeat_stops", 2), ("reader/reloads", 0)])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

fn stops_and_mends(reader: &mut Watch, load: &[&str], sends: &AtomicBool) -> Result<()> {
    thread::sleep(QUIET);
    silent(reader, "with traffic")?;
    sends.store(false, Ordering::Relaxed);
    thread::sleep(QUIET);
    silent(reader, "without traffic")?;
    is_up(1)?;
    sends.store(true, Ordering::Relaxed);
    detach()?;
    says(reader, "interfaces count packets, the programs none")?;
    is_up(0)?;
    is_broken("sudo dns-tracectl load")?;
    ctl(load)?.ok()?;
    says(reader, "the heartbeat is back")?;
    is_up(1)?;
    ctl(&["status"])?.ok()?;
    sh(&["ip", "link", "del", DEVICE])?;
    says(reader, "is gone")?;
    is_up(0)?;
    is_broken("sudo dns-tracectl unload")
}

/// A pair of devices from here to the server's namespace.
pub(super) fn uplink() -> Result<()> {
    for line in [
        "link set lo up".to_owned(),
        "netns add server".to_owned(),
        format!("link add {DEVICE} type veth peer name down0 netns server"),
        format!("addr add 10.60.0.1/24 dev {DEVICE}"),
        format!("-n server addr add {OTHER_END}/24 dev down0"),
        "-n server link set down0 up".into(),
        format!("link set {DEVICE} up"),
    ] {
        let words: Vec<&str> = std::iter::once("ip").chain(line.split(' ')).collect();
        sh(&words)?;
    }
    Ok(())
}

/// Datagrams that nobody wants, ten a second while `sends` says so, until `ends` does.
pub(super) fn traffic(sends: &AtomicBool, ends: &AtomicBool) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    while !ends.load(Ordering::Relaxed) {
        if sends.load(Ordering::Relaxed) {
            // Refused now and then, since the other end says that nobody listens.
            let _ = socket.send_to(b"nothing", (OTHER_END, 9));
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Takes the programs away as others would: the qdisc of tc filters, the links of TCX.
fn detach() -> Result<()> {
    if sh(&["tc", "qdisc", "show", "dev", DEVICE])?.contains("clsact") {
        sh(&["tc", "qdisc", "del", "dev", DEVICE, "clsact"])?;
        return Ok(());
    }
    let folder = format!("{BUNDLE_ROOT}/{DEFAULT_INSTANCE}/{LOCAL_DIR}/{LINKS_DIR}");
    let links = names(&folder)?;
    ensure!(links.len() == 2, "links of another kind: {links:?}");
    for link in links {
        sh(&[
            "bpftool",
            "link",
            "detach",
            "pinned",
            &format!("{folder}/{link}"),
        ])?;
    }
    Ok(())
}

pub(super) fn silent(reader: &mut Watch, when: &str) -> Result<()> {
    let said = reader.daemon().stderr();
    ensure!(!said.contains(STOPPED), "a false alarm {when}: {said}");
    Ok(())
}

/// Waits for words on standard error, and notes how long it took.
pub(super) fn says(reader: &mut Watch, words: &str) -> Result<()> {
    let started = Instant::now();
    let daemon = reader.daemon();
    sh::wait_for(words, SECONDS, || Ok(daemon.stderr().contains(words)))
        .with_context(|| daemon.stderr())?;
    note(&format!(
        "{words:?} after {:.1} s",
        started.elapsed().as_secs_f64()
    ))?;
    Ok(())
}

/// What root is told.
pub(super) fn is_broken(mends: &str) -> Result<()> {
    let said = ctl(&["status"])?.exits(3)?.stdout;
    ensure!(said.contains(mends), "status lacks {mends:?}: {said}");
    Ok(())
}

/// The gauge is written down once a second.
fn is_up(value: u8) -> Result<()> {
    let line = format!("dns_trace_hook_up {value}.0\n");
    sh::wait_for(&line, 5, || Ok(get(ADDRESS, "/metrics")?.contains(&line)))
}

/// Asked before, and at once after each load: all of it is reported once, and nothing else.
pub(crate) fn loaded_anew() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    let load = ["--local", "--no-owners"];
    load_at_server(&load)?.ok()?;
    let mut reader = Watch::start(&[])?;
    asks(3)?;
    ctl(&["unload"])?.ok()?;
    says(&mut reader, "waiting until it is loaded again")?;
    asks(2)?;
    load_at_server(&load)?.ok()?;
    asks(4)?;
    says(&mut reader, "loaded anew: reading 1 ring(s)")?;
    asks(1)?;
    // The pins are gone, and the programs still there.
    fs::remove_dir_all(format!("{BUNDLE_ROOT}/{DEFAULT_INSTANCE}/{RINGS_DIR}"))?;
    asks(2)?;
    load_at_server(&load)?.ok()?;
    asks(5)?;
    sh::wait_for("the second time", SECONDS, || {
        let said = reader.daemon().stderr();
        Ok(said.matches("loaded anew: reading 1 ring(s)").count() == 2)
    })?;
    let asked = 3 + 4 + 1 + 2 + 5;
    let seen = reader.stop()?;
    ensure!(
        seen.lookups.len() == asked,
        "{} lines, {asked} asked",
        seen.lookups.len()
    );
    let asked = asked as u64;
    seen.counts(&[
        ("reader/reloads", 2),
        ("reader/heartbeat_stops", 0),
        ("reader/queries", asked),
        ("reader/responses", asked),
        ("reader/answered", asked),
        ("reader/lookups", asked),
        ("kernel/submitted", 2 * asked),
        ("kernel/ring_full", 0),
    ])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

pub(super) fn asks(times: usize) -> Result<()> {
    for _ in 0..times {
        ask("www.example.test", "A", "NOERROR")?;
    }
    Ok(())
}
