//! Generated traffic, sent over a wire: what the reader prints is what tshark sees in the same packets.

use std::fs;

use anyhow::{Result, ensure};
use dns_trace_corpus::compare::{Times, compare};
use dns_trace_corpus::{corpus, tshark};

use crate::lab::ctl::{ctl, load_at_server, nothing_left};
use crate::lab::net::{self, CLIENT_DEVICE, SERVER_DEVICE};
use crate::lab::reader::Watch;
use crate::lab::replay::{CAPTURE, PDML};
use crate::lab::sh;

/// Largest packet of the corpus with room to spare.
const MTU: &str = "65535";
/// Differences that a message quotes.
const QUOTED: usize = 8;

/// Replays the corpus at its own pace and compares all lookups.
pub(crate) fn equals_tshark() -> Result<()> {
    net::create()?;
    for (namespace, device) in [("client", CLIENT_DEVICE), ("server", SERVER_DEVICE)] {
        sh::sh(&["ip", "-n", namespace, "link", "set", device, "mtu", MTU])?;
        net::mute(namespace, device)?;
    }
    load_at_server(&["--local"])?.ok()?;
    let mut watch = Watch::start(&[])?;
    net::run("client", &["tcpreplay", "--intf1", CLIENT_DEVICE, CAPTURE])?.ok()?;
    sh::wait_for("the last query to time out", 60, || {
        Ok(watch.daemon().stdout().contains(corpus::LAST))
    })?;
    let seen = watch.stop()?;
    let packets = corpus::packets(corpus::SEED);
    seen.counts(&[
        ("kernel/packets", packets.len() as u64),
        ("kernel/ring_full", 0),
        ("kernel/malformed", 0),
        ("kernel/unreadable", 0),
        ("kernel/later_fragments", 0),
        ("kernel/unparsable", 0),
        ("reader/undecodable", 0),
        ("reader/stale", 0),
        ("reader/pending", 0),
    ])?;
    let messages = tshark::parse(&fs::read(PDML)?)?;
    let report = compare(&packets, messages, &seen.lookups, Times::Replayed)?;
    let quoted: Vec<String> = report
        .unexplained
        .iter()
        .take(QUOTED)
        .map(ToString::to_string)
        .collect();
    ensure!(
        report.unexplained.is_empty(),
        "{} differences that nothing explains: {}",
        report.unexplained.len(),
        quoted.join("; ")
    );
    let lookups = report.lookups;
    ensure!(lookups > 1000, "only {lookups} lookups compared");
    println!("{lookups} lookups, {} fields equal", report.equal);
    ctl(&["unload"])?.ok()?;
    nothing_left()
}
