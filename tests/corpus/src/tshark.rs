//! What tshark makes of a capture file: its tree of fields (PDML), and the messages in it.

mod tree;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

pub use tree::Field;

/// Without these tshark gives up messages whose segments are out of order.
const OPTIONS: [&str; 2] = ["-o", "tcp.reassemble_out_of_order:TRUE"];
/// Protocols whose fields are wanted.
const PROTOCOLS: [&str; 3] = ["dns", "mdns", "llmnr"];

/// One message, as tshark sees it.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Number of the packet by which all of it was there, from 1.
    pub frame: usize,
    /// `dns`, `mdns` or `llmnr`.
    pub protocol: String,
    /// Message id.
    pub id: u16,
    /// Second word of the header.
    pub flags: u16,
    /// Counts of the header.
    pub counts: [u16; 4],
    /// Questions.
    pub questions: Vec<Record>,
    /// Answers.
    pub answers: Vec<Record>,
    /// Additional records.
    pub additional: Vec<Record>,
    /// Packet of the query to this response.
    pub response_to: Option<usize>,
    /// Nanoseconds since then.
    pub time_ns: Option<u64>,
    /// Packet of the message that this one repeats.
    pub repeats: Option<usize>,
    /// It is said to be malformed.
    pub malformed: bool,
}

/// An entry of a section; a question has neither TTL nor data.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Owner, as tshark writes it; the root as `.`.
    pub name: String,
    /// Type.
    pub rtype: u16,
    /// Class, or the size of datagrams of an OPT record.
    pub class: u16,
    /// Time to live.
    pub ttl: u32,
    /// Octets of data, if there is such a field.
    pub length: Option<u16>,
    /// Everything else.
    pub data: Vec<Field>,
    /// The octets of all of it.
    pub octets: Vec<u8>,
}

impl Message {
    /// Whether the QR bit is set.
    #[must_use]
    pub const fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }
}

/// Runs tshark on a file; what it writes is PDML, for [`parse`].
///
/// # Errors
/// If it cannot be run, or fails.
pub fn run(file: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(OPTIONS);
    command.args(["-T", "pdml", "-J", &PROTOCOLS.join(" ")]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot run tshark (Debian package tshark)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "tshark ended with {}: {said}",
        output.status
    );
    Ok(output.stdout)
}

/// Reads the messages out of PDML.
///
/// # Errors
/// If it is none.
pub fn parse(pdml: &[u8]) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    // Octets that are no UTF-8 stand in texts only, of which nothing but names is read.
    for packet in tree::packets(&String::from_utf8_lossy(pdml))? {
        of_packet(&packet, &mut messages)?;
    }
    Ok(messages)
}

fn of_packet(packet: &Field, messages: &mut Vec<Message>) -> Result<()> {
    let number = packet.find("num").context("a packet without number")?;
    let frame = number.show.parse()?;
    for protocol in &packet.children {
        if PROTOCOLS.contains(&protocol.name.as_str()) {
            messages.push(message(frame, protocol));
        } else if protocol.name == "_ws.malformed"
            && let Some(last) = messages.last_mut().filter(|m| m.frame == frame)
        {
            last.malformed = true;
        }
    }
    Ok(())
}

fn message(frame: usize, protocol: &Field) -> Message {
    let mut message = Message {
        frame,
        protocol: protocol.name.clone(),
        ..Message::default()
    };
    let mut counts = 0;
    for field in &protocol.children {
        match field.name.as_str() {
            "dns.id" => message.id = field.number() as u16,
            "dns.flags" => message.flags = field.number() as u16,
            "dns.response_to" => message.response_to = field.show.parse().ok(),
            "dns.time" => message.time_ns = nanoseconds(&field.show),
            "dns.retransmit_request_in" | "dns.retransmit_response_in" => {
                message.repeats = field.show.parse().ok();
            }
            "" => section(&mut message, field),
            name if name.starts_with("dns.count.") && counts < 4 => {
                message.counts[counts] = field.number() as u16;
                counts += 1;
            }
            _ => {}
        }
    }
    message
}

fn section(message: &mut Message, field: &Field) {
    let records = field.children.iter().map(record);
    match field.show.as_str() {
        "Queries" | "Zone" => message.questions.extend(records),
        "Answers" | "Prerequisites" => message.answers.extend(records),
        "Additional records" => message.additional.extend(records),
        _ => {}
    }
}

fn record(field: &Field) -> Record {
    let mut record = Record {
        octets: field.octets(),
        ..Record::default()
    };
    let mut typed = false;
    for field in &field.children {
        match field.name.as_str() {
            "dns.qry.name" | "dns.resp.name" => record.name = field.name(),
            // The owner of a SRV record in three.
            "dns.srv.service" => record.name = field.show.clone(),
            "dns.srv.proto" | "dns.srv.name" => {
                record.name = format!("{}.{}", record.name, field.show);
            }
            // There are more of them in a bitmap of types.
            "dns.qry.type" | "dns.resp.type" if !typed => {
                record.rtype = field.number() as u16;
                typed = true;
            }
            "dns.qry.class" | "dns.resp.class" | "dns.rr.udp_payload_size" => {
                record.class = field.number() as u16;
            }
            "dns.resp.ttl" => record.ttl = field.number() as u32,
            // Parts of what would be the TTL.
            "dns.resp.ext_rcode" => record.ttl |= (field.number() as u32) << 24,
            "dns.resp.edns0_version" => record.ttl |= (field.number() as u32) << 16,
            "dns.resp.z" => record.ttl |= field.number() as u32,
            "dns.resp.len" => record.length = Some(field.number() as u16),
            _ => record.data.push(field.clone()),
        }
    }
    record
}

/// Seconds with nine digits behind the point.
fn nanoseconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(seconds * 1_000_000_000 + fraction)
}
