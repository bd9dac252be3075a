//! The reader's JSON lines against tshark's view of the same packets, field by field.

mod fields;
mod scene;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::corpus::{Packet, Transport};
use crate::differences::EXPLAINED;
use crate::lookups::{self, Lookup};
use crate::pcap;
use crate::tshark::Message;
pub use scene::Difference;
use scene::{Scene, fault, has_bad_option};

/// Whether the reader saw the packets at the times of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// To the nanosecond: a line belongs to the packet of its time.
    Kept,
    /// In the same order only, since they were sent again: a line belongs to the next lookup of its
    /// client and id.
    Replayed,
}

/// What came of the comparison.
#[derive(Debug)]
pub struct Report {
    /// Fields that were equal.
    pub equal: usize,
    /// Lookups on both sides.
    pub lookups: usize,
    /// Differences that no entry of the list explains.
    pub unexplained: Vec<Difference>,
    /// How often each entry of the list did, by its reason.
    pub explained: BTreeMap<&'static str, usize>,
}

/// Compares.
///
/// # Errors
/// If a line belongs to no packet.
pub fn compare(
    packets: &[Packet],
    messages: Vec<Message>,
    lines: &[Value],
    times: Times,
) -> Result<Report> {
    let mut comparison = Comparison {
        packets,
        ambiguous: ambiguous(packets, &messages),
        times,
        equal: 0,
        differences: Vec::new(),
    };
    let lookups = lookups::of(packets, messages);
    let frames = match times {
        Times::Kept => frames_by_time(packets, lines)?,
        Times::Replayed => frames_by_order(packets, &lookups, lines)?,
    };
    let mut ours: HashMap<(usize, Option<u16>), Vec<&Value>> = HashMap::new();
    for (line, frame) in lines.iter().zip(&frames) {
        ours.entry((*frame, id(line))).or_default().push(line);
    }
    let mut both = 0;
    for lookup in lookups {
        let Some(first) = lookup.first() else {
            continue;
        };
        let lines = ours.get_mut(&(first.frame, Some(first.id)));
        match lines
            .filter(|lines| !lines.is_empty())
            .map(|lines| lines.remove(0))
        {
            Some(line) => {
                both += 1;
                comparison.lookup(&lookup, line);
            }
            None => comparison.missing(&lookup),
        }
    }
    for ((frame, _), lines) in &ours {
        for line in lines {
            comparison.surplus(*frame, line);
        }
    }
    Ok(comparison.report(both))
}

/// The first packets of lines, by their times.
fn frames_by_time(packets: &[Packet], lines: &[Value]) -> Result<Vec<usize>> {
    let times = packets.iter().map(|packet| packet.time_ns).zip(1..);
    let frames: HashMap<u64, usize> = times.collect();
    ensure!(
        frames.len() == packets.len(),
        "two packets at the same time"
    );
    let frame = |line: &Value| {
        let frame = frames.get(&time_ns(line)?);
        frame
            .copied()
            .with_context(|| format!("no packet at the time of {line}"))
    };
    lines.iter().map(frame).collect()
}

/// Client, whether by TCP, and id.
type Key = (SocketAddr, bool, Option<u16>);

/// The first packets of lines, by client, transport and id, in order of time; a line too many belongs to
/// the first packet of its client.
fn frames_by_order(packets: &[Packet], lookups: &[Lookup], lines: &[Value]) -> Result<Vec<usize>> {
    let mut waiting: HashMap<Key, Vec<usize>> = HashMap::new();
    for first in lookups.iter().filter_map(Lookup::first) {
        let packet = &packets[first.frame - 1];
        let key = (
            packet.client(),
            packet.transport != Transport::Udp,
            Some(first.id),
        );
        waiting.entry(key).or_default().push(first.frame);
    }
    for frames in waiting.values_mut() {
        frames.sort_unstable();
    }
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|&i| text(&lines[i], "/@timestamp"));
    let mut frames = vec![0; lines.len()];
    for i in order {
        let line = &lines[i];
        let address = text(line, "/client/address").context("a line without client")?;
        let port = line
            .pointer("/client/port")
            .and_then(Value::as_u64)
            .unwrap_or(0) as u16;
        let client = SocketAddr::new(address.parse()?, port);
        let key = (
            client,
            text(line, "/network/transport") == Some("tcp"),
            id(line),
        );
        let next = waiting.get_mut(&key).filter(|frames| !frames.is_empty());
        frames[i] = match next {
            Some(next) => next.remove(0),
            None => {
                let at = packets.iter().position(|packet| packet.client() == client);
                at.with_context(|| format!("no packet of the client of {line}"))? + 1
            }
        };
    }
    Ok(frames)
}

/// Clients that asked several questions under one id.
fn ambiguous(packets: &[Packet], messages: &[Message]) -> HashSet<(SocketAddr, u16)> {
    let mut first = HashMap::new();
    let mut several = HashSet::new();
    for message in messages {
        let client = packets[message.frame - 1].client();
        let Some(question) = message.questions.first() else {
            continue;
        };
        let question = (question.name.to_ascii_lowercase(), question.rtype);
        let known = first
            .entry((client, message.id))
            .or_insert_with(|| question.clone());
        if *known != question {
            several.insert((client, message.id));
        }
    }
    several
}

/// Nanoseconds of a line's time from the start of the corpus.
fn time_ns(line: &Value) -> Result<u64> {
    let stamp = text(line, "/@timestamp").context("a line without time")?;
    // All of the corpus lies within an hour.
    let clock = stamp.get(14..29).context("a short time")?;
    let (minutes, seconds) = clock.split_once(':').context("no minutes")?;
    let (seconds, fraction) = seconds.split_once('.').context("no fraction")?;
    let seconds = minutes.parse::<u64>()? * 60 + seconds.parse::<u64>()?;
    let time = seconds * 1_000_000_000 + fraction.parse::<u64>()?;
    Ok(time - pcap::START_NS % 3_600_000_000_000)
}

fn text<'a>(line: &'a Value, pointer: &str) -> Option<&'a str> {
    line.pointer(pointer).and_then(Value::as_str)
}

fn id(line: &Value) -> Option<u16> {
    text(line, "/dns/id")?.parse().ok()
}

/// A value as it is compared: text without quotes, nothing as `-`.
fn shown(line: &Value, pointer: &str) -> String {
    match line.pointer(pointer) {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

fn or_none(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

struct Comparison<'p> {
    packets: &'p [Packet],
    /// Clients and ids with several questions.
    ambiguous: HashSet<(SocketAddr, u16)>,
    times: Times,
    equal: usize,
    differences: Vec<Difference>,
}

impl Comparison<'_> {
    fn report(self, lookups: usize) -> Report {
        let mut explained: BTreeMap<&'static str, usize> =
            EXPLAINED.iter().map(|e| (e.reason, 0)).collect();
        let mut unexplained = Vec::new();
        for difference in self.differences {
            let entry = EXPLAINED
                .iter()
                .find(|e| e.fields.contains(&difference.field) && (e.holds)(&difference));
            match entry.and_then(|entry| explained.get_mut(entry.reason)) {
                Some(count) => *count += 1,
                None => unexplained.push(difference),
            }
        }
        Report {
            equal: self.equal,
            lookups,
            unexplained,
            explained,
        }
    }

    fn check(&mut self, at: &Difference, field: &'static str, tshark: String, ours: String) {
        if tshark == ours {
            self.equal += 1;
            return;
        }
        self.differences.push(Difference {
            field,
            tshark,
            ours,
            ..at.clone()
        });
    }

    /// What all differences of a lookup have in common.
    fn at(&self, lookup: &Lookup, line: Option<&Value>) -> Difference {
        let messages = [lookup.query.as_ref(), lookup.response.as_ref()];
        let last = lookup.last();
        let frame = lookup.first().map_or(0, |m| m.frame);
        let packet = &self.packets[frame - 1];
        let flag = |pointer| line.is_some_and(|l| l.pointer(pointer) == Some(&Value::Bool(true)));
        Difference {
            field: "line",
            frame,
            tshark: String::new(),
            ours: String::new(),
            rtype: last
                .and_then(|m| m.questions.first())
                .map_or(0, |q| q.rtype),
            scene: Scene {
                tshark_malformed: messages.iter().flatten().any(|m| m.malformed),
                ours_malformed: line.is_some_and(|l| text(l, "/error/type") == Some("malformed"))
                    || flag("/dns_trace/query_malformed"),
                bad_option: line.is_some_and(|line| has_bad_option(&line["dns_trace"]["edns"])),
                options_left_out: line.is_some_and(|line| {
                    line.pointer("/dns_trace/edns/query/options_left_out")
                        .is_some()
                }),
                cut: flag("/dns_trace/truncated"),
                ambiguous: last.is_some_and(|m| self.ambiguous.contains(&(packet.client(), m.id))),
                repeats: messages.iter().flatten().any(|m| m.repeats.is_some()),
                response: lookup.response.is_some(),
                paired: lookup.query.is_some() && lookup.response.is_some(),
                questions: last.map_or(0, |m| m.counts[0]),
                protocol: last.map(|m| m.protocol.clone()).unwrap_or_default(),
                tcp: packet.transport != Transport::Udp,
                opcode: last.map_or(0, |m| m.flags >> 11 & 0xf),
                class: last
                    .and_then(|m| m.questions.first())
                    .map_or(0, |q| q.class),
                payload: packet.payload.len(),
                fault: line.map(fault).unwrap_or_default(),
            },
        }
    }

    fn missing(&mut self, lookup: &Lookup) {
        let at = self.at(lookup, None);
        let first = lookup
            .first()
            .map(|m| (m.id, m.questions.first().map(|q| q.name.clone())));
        self.check(&at, "line", format!("{first:?}"), "-".to_owned());
    }

    fn surplus(&mut self, frame: usize, line: &Value) {
        let id = id(line);
        let packet = &self.packets[frame - 1];
        let at = Difference {
            field: "line",
            frame,
            tshark: String::new(),
            ours: String::new(),
            rtype: 0,
            scene: Scene {
                ours_malformed: text(line, "/error/type") == Some("malformed"),
                ambiguous: id.is_some_and(|id| self.ambiguous.contains(&(packet.client(), id))),
                response: text(line, "/dns/type") == Some("answer"),
                tcp: packet.transport != Transport::Udp,
                payload: packet.payload.len(),
                fault: fault(line),
                ..Scene::default()
            },
        };
        self.check(&at, "line", "-".to_owned(), line.to_string());
    }
}
