//! The layout of a line, in the order in which it is written.

use std::fmt::Write as _;
use std::net::SocketAddr;

use domain::base::iana::{Class, OptRcode, Rtype};

use super::out::{Out, key};
use crate::lookup::{Dns, Lookup};
use crate::message::Decoded;
use crate::name::{Presented, PresentedParsed};
use crate::record::Direction;
use crate::sink::rdata::{Data, resolved_ip};

/// Writes one object. `timestamp` is in the form of RFC 3339, `interface` the name of the device
/// where it is known.
pub(super) fn write(out: &mut Out, lookup: &Lookup<'_>, timestamp: &str, interface: Option<&str>) {
    out.raw("{");
    key!(out, "@timestamp");
    out.plain(timestamp);
    if let Some(duration) = lookup.duration_ns {
        key!(out, "event");
        out.raw("{");
        key!(out, "duration");
        out.number(duration);
        out.raw("}");
    }
    if let Some(message) = &lookup.dns {
        key!(out, "dns");
        dns(out, message);
    }
    key!(out, "client");
    endpoint(out, lookup.client);
    key!(out, "server");
    endpoint(out, lookup.server);
    key!(out, "network");
    out.raw("{");
    key!(out, "transport");
    out.plain(lookup.transport.name());
    key!(out, "type");
    out.plain(if lookup.client.is_ipv4() {
        "ipv4"
    } else {
        "ipv6"
    });
    out.raw("}");
    key!(out, "observer");
    observer(out, lookup, interface);
    if let Some(kind) = lookup.error() {
        key!(out, "error");
        out.raw("{");
        key!(out, "type");
        out.plain(kind);
        out.raw("}");
    }
    key!(out, "dns_trace");
    own(out, lookup);
    out.raw("}\n");
}

fn dns(out: &mut Out, dns: &Dns<'_>) {
    out.raw("{");
    key!(out, "type");
    out.plain(if dns.response.is_some() {
        "answer"
    } else {
        "query"
    });
    key!(out, "id");
    out.raw("\"");
    out.number(dns.id);
    out.raw("\"");
    key!(out, "op_code");
    out.plain(dns.opcode_name());
    if let Some((qtype, class)) = dns.qtype().zip(dns.qclass()) {
        key!(out, "question");
        out.raw("{");
        key!(out, "name");
        out.string(|text| Presented(dns.question.name).write_to(text));
        type_and_class(out, qtype, class);
        out.raw("}");
    }
    key!(out, "header_flags");
    out.raw("[");
    for flag in dns.flags.names() {
        out.element();
        out.plain(flag);
    }
    out.raw("]");
    if let Some(response) = dns.response {
        key!(out, "response_code");
        rcode(out, response.rcode);
        if response.answers > 0 {
            key!(out, "answers");
            answers(out, response);
        }
        if response.addresses > 0 {
            key!(out, "resolved_ip");
            addresses(out, response);
        }
    }
    out.raw("}");
}

fn answers(out: &mut Out, response: &Decoded<'_>) {
    out.raw("[");
    for record in response.answer_records() {
        out.element();
        out.raw("{");
        key!(out, "name");
        out.string(|text| PresentedParsed(record.owner()).write_to(text));
        type_and_class(out, record.rtype(), record.class());
        key!(out, "ttl");
        out.number(record.ttl().as_secs());
        key!(out, "data");
        match resolved_ip(&record) {
            Some(address) => out.address(address),
            None => out.string(|text| write!(text, "{}", Data(record))),
        }
        out.raw("}");
    }
    out.raw("]");
}

fn addresses(out: &mut Out, response: &Decoded<'_>) {
    out.raw("[");
    for address in response
        .answer_records()
        .filter_map(|record| resolved_ip(&record))
    {
        out.element();
        out.address(address);
    }
    out.raw("]");
}

fn type_and_class(out: &mut Out, rtype: Rtype, class: Class) {
    key!(out, "type");
    match rtype.to_mnemonic_str() {
        Some(name) => out.plain(name),
        None => out.string(|text| write!(text, "{rtype}")),
    }
    key!(out, "class");
    match class.to_mnemonic_str() {
        Some(name) => out.plain(name),
        None => out.string(|text| write!(text, "{class}")),
    }
}

fn rcode(out: &mut Out, code: OptRcode) {
    match code.to_mnemonic_str() {
        Some(name) => out.plain(name),
        None => out.string(|text| write!(text, "{code}")),
    }
}

fn endpoint(out: &mut Out, endpoint: SocketAddr) {
    out.raw("{");
    key!(out, "address");
    out.address(endpoint.ip());
    key!(out, "port");
    out.number(endpoint.port());
    out.raw("}");
}

fn observer(out: &mut Out, lookup: &Lookup<'_>, interface: Option<&str>) {
    out.raw("{");
    match lookup.direction {
        Direction::Ingress => key!(out, "ingress"),
        Direction::Egress => key!(out, "egress"),
    }
    out.raw("{");
    key!(out, "interface");
    out.raw("{");
    key!(out, "id");
    out.raw("\"");
    out.number(lookup.ifindex);
    out.raw("\"");
    if let Some(name) = interface {
        key!(out, "name");
        out.string(|text| text.write_str(name));
    }
    out.raw("}}}");
}

fn own(out: &mut Out, lookup: &Lookup<'_>) {
    out.raw("{");
    key!(out, "hook");
    out.plain(lookup.hook.name());
    key!(out, "retransmissions");
    out.number(lookup.retransmissions);
    key!(out, "truncated");
    out.raw(if lookup.truncated { "true" } else { "false" });
    if lookup.retry_of_truncated {
        key!(out, "retry_of_truncated");
        out.raw("true");
    }
    if lookup.netns_cookie != 0 {
        key!(out, "netns_cookie");
        out.number(lookup.netns_cookie);
    }
    out.raw("}");
}
