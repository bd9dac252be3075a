//! What ECS has no name for: the object `dns_trace`. The table of its fields is docs/JSON.md.

use std::fmt::Write as _;

use super::out::Out;
use super::{edns, path};
use crate::interface::Interfaces;
use crate::lookup::{Dns, Lookup};
use crate::message::{Bit, Decoded};
use crate::name::Presented;
use crate::process::write_escaped;
use crate::unicode;

/// Writes the object.
pub(super) fn write(out: &mut Out, lookup: &Lookup<'_>, interfaces: &mut Interfaces, idna: bool) {
    out.raw(r#""dns_trace":{"hook":""#);
    out.raw(lookup.hook.name());
    out.raw(r#"","retransmissions":"#);
    out.number(lookup.retransmissions);
    out.raw(if lookup.truncated {
        r#","truncated":true"#
    } else {
        r#","truncated":false"#
    });
    if lookup.retry_of_truncated {
        out.raw(r#","retry_of_truncated":true"#);
    }
    if let Some(dns) = &lookup.dns {
        message(out, dns);
        if idna {
            names(out, dns);
        }
    }
    fault(out, lookup);
    if lookup.sample > 1 {
        out.raw(r#","sample":"#);
        out.number(lookup.sample);
    }
    if let Some(unit) = lookup.place.and_then(|place| place.unit.as_ref()) {
        out.raw(r#","unit":""#);
        out.text(|text| write_escaped(text, unit.as_bytes()));
        out.raw("\"");
    }
    if let Some(path) = lookup.path {
        path::write(out, path, interfaces);
    }
    if lookup.netns_cookie != 0 {
        out.raw(r#","netns_cookie":"#);
        out.number(lookup.netns_cookie);
    }
    out.raw("}");
}

fn message(out: &mut Out, dns: &Dns<'_>) {
    if let Some(response) = dns.response {
        counts(out, response);
    }
    for (set, field) in [
        (dns.flags.has(Bit::Reserved), r#","reserved_bit":true"#),
        (
            dns.flags.has(Bit::UnicastResponse),
            r#","unicast_response":true"#,
        ),
        (
            dns.response.is_some_and(|r| r.cache_flush),
            r#","cache_flush":true"#,
        ),
        (dns.query_broken, r#","query_malformed":true"#),
    ] {
        if set {
            out.raw(field);
        }
    }
    let response = dns.response.and_then(|response| response.edns);
    edns::write(out, dns.query_edns.as_ref(), response.as_ref());
}

/// Entries that the response announces, whether or not they can be read.
fn counts(out: &mut Out, response: &Decoded<'_>) {
    let [questions, answers, authority, additional] = response.announced();
    out.raw(r#","counts":{"questions":"#);
    out.number(questions);
    out.raw(r#","answers":"#);
    out.number(answers);
    out.raw(r#","authority":"#);
    out.number(authority);
    out.raw(r#","additional":"#);
    out.number(additional);
    out.raw("}");
}

fn fault(out: &mut Out, lookup: &Lookup<'_>) {
    let Some(fault) = lookup.fault() else {
        return;
    };
    out.raw(r#","malformed":{"section":""#);
    out.raw(fault.section);
    out.raw(r#"","index":"#);
    out.number(fault.index);
    out.raw(r#","offset":"#);
    out.number(fault.offset as u64);
    out.raw(r#","reason":""#);
    out.text(|text| write!(text, "{}", fault.reason));
    out.raw("\"}");
}

/// Names of question and answers in Unicode, where they have such a form.
fn names(out: &mut Out, dns: &Dns<'_>) {
    let question = Presented(dns.question.name).to_string();
    let owners = dns.response.into_iter().flat_map(Decoded::answer_records);
    let owners = owners.map(|record| record.owner.to_string());
    let mut last = String::new();
    let mut first = true;
    for name in std::iter::once(question).chain(owners) {
        if name == last {
            continue;
        }
        if let Some(unicode) = unicode::of(&name) {
            out.raw(if first {
                r#","idna":[{"ascii":""#
            } else {
                r#",{"ascii":""#
            });
            first = false;
            out.text(|text| text.write_str(&name));
            out.raw(r#"","unicode":""#);
            out.text(|text| text.write_str(&unicode));
            out.raw("\"}");
        }
        last = name;
    }
    if !first {
        out.raw("]");
    }
}
