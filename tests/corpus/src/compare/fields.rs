//! One lookup of each side, field by field.

use serde_json::Value;

use super::scene::Difference;
use super::{Comparison, Times, or_none, shown};
use crate::lookups::Lookup;
use crate::present;
use crate::tshark::{Message, Record};

impl Comparison<'_> {
    pub(super) fn lookup(&mut self, lookup: &Lookup, line: &Value) {
        let at = self.at(lookup, Some(line));
        self.relation(&at, lookup, line);
        self.ends(&at, lookup, line);
        if let Some(message) = lookup.last() {
            self.header(&at, message, line);
            self.question(&at, lookup, message, line);
        }
        if let Some(response) = &lookup.response {
            self.response(&at, response, line);
        }
        for (side, message) in [("query", &lookup.query), ("response", &lookup.response)] {
            if let Some(message) = message {
                self.edns(&at, side, message, line);
            }
        }
    }

    fn relation(&mut self, at: &Difference, lookup: &Lookup, line: &Value) {
        let kind = match (&lookup.query, &lookup.response) {
            (_, Some(_)) => "answer",
            _ => "query",
        };
        self.check(at, "dns.type", kind.to_owned(), shown(line, "/dns/type"));
        let time = lookup
            .query
            .as_ref()
            .and(lookup.response.as_ref())
            .and_then(|r| r.time_ns);
        let time = or_none(time.map(|ns| ns.to_string()));
        let mut times = [time, shown(line, "/event/duration")];
        if self.times == Times::Replayed {
            // That there is one is all that can be compared.
            times = times.map(|time| if time == "-" { time } else { "some".to_owned() });
        }
        let [theirs, ours] = times;
        self.check(at, "event.duration", theirs, ours);
        let again = lookup.retransmissions.to_string();
        self.check(
            at,
            "dns_trace.retransmissions",
            again,
            shown(line, "/dns_trace/retransmissions"),
        );
        let malformed = at.scene.tshark_malformed.to_string();
        self.check(
            at,
            "error.type",
            malformed,
            at.scene.ours_malformed.to_string(),
        );
    }

    fn ends(&mut self, at: &Difference, lookup: &Lookup, line: &Value) {
        let server = |frame: usize| {
            let packet = &self.packets[frame - 1];
            if packet.from_client {
                packet.destination
            } else {
                packet.source
            }
        };
        let client = self.packets[at.frame - 1].client();
        // Whoever answers is the server, though a group was asked.
        let server = server(lookup.last().map_or(at.frame, |message| message.frame));
        for (field, pointer, end) in [("client", "/client", client), ("server", "/server", server)]
        {
            let ours = format!(
                "{}:{}",
                shown(line, &format!("{pointer}/address")),
                shown(line, &format!("{pointer}/port"))
            );
            self.check(at, field, format!("{}:{}", end.ip(), end.port()), ours);
        }
        let transport = if at.scene.tcp { "tcp" } else { "udp" };
        self.check(
            at,
            "network.transport",
            transport.to_owned(),
            shown(line, "/network/transport"),
        );
        self.check(
            at,
            "network.protocol",
            at.scene.protocol.clone(),
            shown(line, "/network/protocol"),
        );
    }

    fn header(&mut self, at: &Difference, message: &Message, line: &Value) {
        let opcode = match message.flags >> 11 & 0xf {
            0 => "QUERY",
            1 => "IQUERY",
            2 => "STATUS",
            4 => "NOTIFY",
            5 => "UPDATE",
            6 => "DSO",
            _ => "UNASSIGNED",
        };
        self.check(
            at,
            "dns.op_code",
            opcode.to_owned(),
            shown(line, "/dns/op_code"),
        );
        let opt = opt(message);
        let dnssec_ok = opt.is_some_and(|opt| opt.ttl & 0x8000 != 0);
        let names = if message.protocol == "llmnr" {
            vec![(0x400, "C"), (0x200, "TC"), (0x100, "T")]
        } else {
            vec![
                (0x400, "AA"),
                (0x200, "TC"),
                (0x100, "RD"),
                (0x80, "RA"),
                (0x20, "AD"),
                (0x10, "CD"),
            ]
        };
        let mut flags: Vec<&str> = names
            .iter()
            .filter(|(bit, _)| message.flags & bit != 0)
            .map(|n| n.1)
            .collect();
        if dnssec_ok {
            flags.push("DO");
        }
        let ours = line.pointer("/dns/header_flags").and_then(Value::as_array);
        let ours: Vec<&str> = ours
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        self.check(at, "dns.header_flags", flags.join(" "), ours.join(" "));
        let reserved = message.flags & 0x40 != 0;
        let ours = line.pointer("/dns_trace/reserved_bit").is_some();
        self.check(
            at,
            "dns_trace.reserved_bit",
            reserved.to_string(),
            ours.to_string(),
        );
    }

    fn question(&mut self, at: &Difference, lookup: &Lookup, message: &Message, line: &Value) {
        // A response may leave it out, the lookup has it all the same.
        let query = lookup
            .query
            .as_ref()
            .and_then(|query| query.questions.first());
        let first = message.questions.first().or(query);
        let name = or_none(first.map(|q| q.name.clone()));
        self.check(
            at,
            "dns.question.name",
            name,
            shown(line, "/dns/question/name"),
        );
        let rtype = or_none(first.map(|q| number(q.rtype)));
        self.check(
            at,
            "dns.question.type",
            rtype,
            type_number(&shown(line, "/dns/question/type")),
        );
        let class = or_none(first.map(|q| class(q.class)));
        self.check(
            at,
            "dns.question.class",
            class,
            shown(line, "/dns/question/class"),
        );
    }

    fn response(&mut self, at: &Difference, response: &Message, line: &Value) {
        let extended = opt(response).map_or(0, |opt| opt.ttl >> 24) as u16;
        let code = rcode(extended << 4 | response.flags & 0xf);
        self.check(
            at,
            "dns.response_code",
            code,
            shown(line, "/dns/response_code"),
        );
        for (i, name) in ["questions", "answers", "authority", "additional"]
            .iter()
            .enumerate()
        {
            let ours = shown(line, &format!("/dns_trace/counts/{name}"));
            self.check(at, "dns_trace.counts", response.counts[i].to_string(), ours);
        }
        let empty = Vec::new();
        let ours = line
            .pointer("/dns/answers")
            .and_then(Value::as_array)
            .unwrap_or(&empty);
        let counts = (response.answers.len().to_string(), ours.len().to_string());
        self.check(at, "dns.answers", counts.0, counts.1);
        for (theirs, ours) in response.answers.iter().zip(ours) {
            let at = Difference {
                rtype: theirs.rtype,
                ..at.clone()
            };
            self.check(
                &at,
                "dns.answers.name",
                theirs.name.clone(),
                shown(ours, "/name"),
            );
            self.check(
                &at,
                "dns.answers.type",
                number(theirs.rtype),
                type_number(&shown(ours, "/type")),
            );
            self.check(
                &at,
                "dns.answers.class",
                class(theirs.class),
                shown(ours, "/class"),
            );
            self.check(
                &at,
                "dns.answers.ttl",
                theirs.ttl.to_string(),
                shown(ours, "/ttl"),
            );
            let mut texts = [data(theirs), shown(ours, "/data")];
            if HEXADECIMAL.contains(&theirs.rtype) {
                texts = texts.map(|text| text.to_ascii_lowercase());
            }
            let [theirs, ours] = texts;
            self.check(&at, "dns.answers.data", theirs, ours);
        }
    }

    fn edns(&mut self, at: &Difference, side: &str, message: &Message, line: &Value) {
        let base = format!("/dns_trace/edns/{side}");
        let opt = opt(message);
        let ours = |name: &str| shown(line, &format!("{base}/{name}"));
        let size = or_none(opt.map(|opt| opt.class.to_string()));
        self.check(at, "dns_trace.edns.udp_size", size, ours("udp_size"));
        let version = or_none(opt.map(|opt| (opt.ttl >> 16 & 0xff).to_string()));
        self.check(at, "dns_trace.edns.version", version, ours("version"));
        let dnssec_ok = or_none(opt.map(|opt| (opt.ttl & 0x8000 != 0).to_string()));
        self.check(at, "dns_trace.edns.dnssec_ok", dnssec_ok, ours("dnssec_ok"));
        let theirs = opt
            .map(|opt| present::options(&opt.data))
            .unwrap_or_default();
        let names = [
            "client_subnet/address",
            "client_subnet/source_prefix",
            "client_subnet/scope_prefix",
            "cookie/client",
            "cookie/server",
            "nsid/hex",
            "errors",
            "options",
        ];
        for (field, name) in present::OPTION_FIELDS.iter().zip(names) {
            let expected = theirs.get(field).cloned().unwrap_or_else(|| "-".to_owned());
            let found = match line.pointer(&format!("{base}/{name}")) {
                Some(Value::Array(list)) => list
                    .iter()
                    .map(present::option_text)
                    .collect::<Vec<_>>()
                    .join(" "),
                _ => ours(name),
            };
            self.check(at, field, expected, found);
        }
    }
}

fn opt(message: &Message) -> Option<&Record> {
    message.additional.iter().find(|record| record.rtype == 41)
}

/// Types whose data has digits in hexadecimal, of which the case says nothing.
const HEXADECIMAL: [u16; 9] = [10, 43, 44, 50, 51, 52, 59, 63, 65_280];

fn number(rtype: u16) -> String {
    rtype.to_string()
}

/// A type by its number: the names are the registry's, and both sides have them from there.
fn type_number(name: &str) -> String {
    present::type_number(name).map_or_else(|| name.to_owned(), |number| number.to_string())
}

fn class(number: u16) -> String {
    match number {
        1 => "IN".to_owned(),
        3 => "CH".to_owned(),
        4 => "HS".to_owned(),
        254 => "NONE".to_owned(),
        255 => "*".to_owned(),
        other => format!("CLASS{other}"),
    }
}

fn rcode(code: u16) -> String {
    let names = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
        "NXRRSET", "NOTAUTH", "NOTZONE",
    ];
    match code {
        16 => "BADVERS".to_owned(),
        23 => "BADCOOKIE".to_owned(),
        code => names
            .get(usize::from(code))
            .map_or_else(|| format!("{code}"), |n| (*n).to_owned()),
    }
}

/// What the reader should show for a record's data.
fn data(record: &Record) -> String {
    present::data(record).unwrap_or_else(|| {
        let length = usize::from(record.length.unwrap_or(0));
        let at = record.octets.len().saturating_sub(length);
        present::unknown(&record.octets[at..])
    })
}
