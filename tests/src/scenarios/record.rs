//! `dns-trace record`: what real clients sent is in the recording, with who sent it, as tools of others read it.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::init::note;
use crate::lab::ctl::{ctl, nothing_left};
use crate::lab::daemon::Daemon;
use crate::lab::names::{NameServers, ask, dig_with};
use crate::lab::net::{self, CLIENT_DEVICE, SERVER};
use crate::lab::reader::{Watch, writable_lab};
use crate::lab::sh::{self, sh};

const PACKETS: &str = "/run/lab/dns.pcapng";
const SOCKET: &str = "/run/lab/dnstap.sock";
const MESSAGES: &str = "/run/lab/dns.dnstap";
/// Lookups over UDP, and over TCP.
const DATAGRAMS: u64 = 5;
const STREAMS: u64 = 2;

/// Into a file for Wireshark, then to a collector of dnstap.
pub(crate) fn real() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    writable_lab()?;
    let words = [
        "load",
        "--local",
        "--iface",
        CLIENT_DEVICE,
        "--netns",
        "client",
    ];
    ctl(&words)?.ok()?;
    packets()?;
    messages()?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

fn packets() -> Result<()> {
    let watch = Watch::start_command(&["record", "--format", "pcapng", PACKETS])?;
    lookups()?;
    let seen = watch.stop()?;
    seen.counts(&[("reader/tap/dropped", 0), ("reader/tap/filtered", 0)])?;
    let written = seen.number("reader/tap/written")?;
    // tcpdump makes of each packet a line, and of each message of a datagram a question.
    let text = sh(&["tcpdump", "-Zroot", "-nr", PACKETS])?;
    let lines = text.lines().count() as u64;
    ensure!(lines == written, "{written} written, {lines} read: {text}");
    let is_question =
        |line: &&str| !line.contains("Flags") && line.contains(" A? www.example.test.");
    let asked = text.lines().filter(is_question).count() as u64;
    ensure!(asked == DATAGRAMS, "{asked} questions in datagrams: {text}");
    note(&format!("{written} packets, read back by tcpdump"))?;
    // What a comment is tcpdump does not know.
    let bytes = fs::read(PACKETS)?;
    let comments = count(&bytes, b"process dig (pid ");
    // Query and response of a datagram; of a stream the client's segments.
    ensure!(
        comments >= 2 * DATAGRAMS + STREAMS && comments < written,
        "{comments} comments in {written} packets"
    );
    Ok(())
}

fn messages() -> Result<()> {
    let words = ["fstrm_capture", "-t", "protobuf:dnstap.Dnstap"];
    let words = [&words[..], &["-u", SOCKET, "-w", MESSAGES]].concat();
    let mut collector = Daemon::start("fstrm_capture", &mut sh::command(&words))?
        .ready(10, |_| Ok(fs::metadata(SOCKET).is_ok()))?;
    fs::set_permissions(SOCKET, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    let watch = Watch::start_command(&["record", "--format", "dnstap", "--unix", SOCKET])?;
    lookups()?;
    let seen = watch.stop()?;
    let sent = 2 * (DATAGRAMS + STREAMS);
    seen.counts(&[
        ("reader/tap/written", sent),
        ("reader/tap/dropped", 0),
        ("reader/tap/cut", 0),
        ("reader/tap/filtered", 0),
    ])?;
    collector.signal(Signal::TERM)?;
    collector.wait(10)?.context("the collector did not end")?;
    let text = sh(&["dnstap-ldns", "-q", "-r", MESSAGES])?;
    let of = |kind: &str| text.lines().filter(|line| line.contains(kind)).count() as u64;
    // The client's side of the wire.
    let (queries, responses) = (of(" SQ "), of(" SR "));
    ensure!(
        queries == sent / 2 && responses == sent / 2,
        "{queries} queries, {responses} responses: {text}"
    );
    let bytes = fs::read(MESSAGES)?;
    let known = count(&bytes, br#""name":"dig"},"user":{"id":"0"}"#);
    ensure!(
        known == sent,
        "{known} of {sent} messages with their process"
    );
    note(&format!(
        "{sent} messages, collected by fstrm_capture, all with their process"
    ))
}

fn lookups() -> Result<()> {
    for _ in 0..DATAGRAMS {
        ask("www.example.test", "A", "NOERROR")?;
    }
    for _ in 0..STREAMS {
        dig_with(SERVER.0, &["www.example.test", "A", "+tcp", "+nocookie"])?.ok()?;
    }
    Ok(())
}

fn count(bytes: &[u8], wanted: &[u8]) -> u64 {
    bytes.windows(wanted.len()).filter(|w| w == &wanted).count() as u64
}
