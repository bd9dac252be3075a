//! The layout of a line: what does not change is text, in the order in which it is written.

use std::fmt::Write as _;

use domain::base::iana::{Class, OptRcode, Rtype};

use super::out::Out;
use super::own;
use crate::clock::STAMP;
use crate::container::Place;
use crate::interface::Interfaces;
use crate::lookup::{Dns, Lookup, Protocol};
use crate::message::Decoded;
use crate::process::{Process, write_escaped};
use crate::record::{Direction, Endpoint, Hook, Transport};
use crate::sink::rdata::Data;

/// Writes one object and a line end. `timestamp` is in the form of RFC 3339, `interfaces` knows the
/// names of devices; `idna` adds names in Unicode.
pub(super) fn write(
    out: &mut Out,
    lookup: &Lookup<'_>,
    timestamp: &[u8; STAMP],
    interfaces: &mut Interfaces,
    idna: bool,
) {
    out.raw(r#"{"@timestamp":""#);
    out.ascii(timestamp);
    out.raw(r#"","#);
    if let Some(duration) = lookup.duration_ns {
        out.raw(r#""event":{"duration":"#);
        out.number(duration);
        out.raw("},");
    }
    if let Some(message) = &lookup.dns {
        dns(out, message, lookup.protocol());
    }
    out.raw(r#""client":"#);
    endpoint(out, lookup.client);
    out.raw(r#","server":"#);
    endpoint(out, lookup.server);
    network(out, lookup);
    if let Some(asker) = lookup.process {
        process(out, asker);
    }
    if let Some(place) = lookup.place {
        container(out, place);
    }
    let place = (lookup.netns_cookie, lookup.ifindex);
    let interface = name(interfaces, lookup.hook, place, lookup.time_ns);
    observer(out, lookup.direction, lookup.ifindex, interface);
    if let Some(kind) = lookup.error() {
        out.raw(r#""error":{"type":""#);
        out.raw(kind);
        out.raw(r#""},"#);
    }
    own::write(out, lookup, interfaces, idna);
    out.raw("}\n");
}

fn network(out: &mut Out, lookup: &Lookup<'_>) {
    let kind = if lookup.client.ip().is_ipv4() {
        r#"","type":"ipv4"},"#
    } else {
        r#"","type":"ipv6"},"#
    };
    // What nearly all are.
    if (lookup.transport, lookup.protocol()) == (Transport::Udp, Protocol::Dns) {
        out.raw(r#","network":{"transport":"udp","protocol":"dns"#);
        return out.raw(kind);
    }
    out.raw(r#","network":{"transport":""#);
    out.raw(lookup.transport.name());
    out.raw(r#"","protocol":""#);
    out.raw(lookup.protocol().name());
    out.raw(kind);
}

fn dns(out: &mut Out, dns: &Dns<'_>, protocol: Protocol) {
    out.raw(if dns.response.is_some() {
        r#""dns":{"type":"answer","id":""#
    } else {
        r#""dns":{"type":"query","id":""#
    });
    out.number(dns.id);
    out.raw(r#"","op_code":""#);
    out.raw(dns.opcode_name());
    out.raw("\",");
    if let Some((qtype, class)) = dns.qtype().zip(dns.qclass()) {
        out.raw(r#""question":{"name":""#);
        out.name(dns.question.name);
        type_and_class(out, qtype, class);
        out.raw("},");
    }
    out.raw(r#""header_flags":["#);
    for (i, flag) in dns.flags.names(protocol == Protocol::Llmnr).enumerate() {
        out.raw(if i > 0 { ",\"" } else { "\"" });
        out.raw(flag);
        out.raw("\"");
    }
    out.raw("]");
    if let Some(response) = dns.response {
        out.raw(r#","response_code":""#);
        rcode(out, response.rcode);
        out.raw("\"");
        if response.answers > 0 {
            answers(out, response);
        }
        if response.addresses > 0 {
            out.raw(r#","resolved_ip":["#);
            out.noted();
            out.raw("]");
        }
    }
    out.raw("},");
}

fn answers(out: &mut Out, response: &Decoded<'_>) {
    out.forget();
    out.raw(r#","answers":["#);
    for (i, record) in response.answer_records().enumerate() {
        out.raw(if i > 0 {
            r#",{"name":""#
        } else {
            r#"{"name":""#
        });
        out.owner(record.owner);
        type_and_class(out, record.rtype, response.class(record.class));
        out.raw(r#","ttl":"#);
        out.number(record.ttl);
        out.raw(r#","data":""#);
        match record.address() {
            Some(address) => out.note(address),
            None => out.text(|text| write!(text, "{}", Data(record))),
        }
        out.raw("\"}");
    }
    out.raw("]");
}

/// The end of a name, type and class.
fn type_and_class(out: &mut Out, rtype: Rtype, class: Class) {
    // What nearly all are.
    match (rtype, class) {
        (Rtype::A, Class::IN) => return out.raw(r#"","type":"A","class":"IN""#),
        (Rtype::AAAA, Class::IN) => return out.raw(r#"","type":"AAAA","class":"IN""#),
        _ => {}
    }
    out.raw(r#"","type":""#);
    match rtype.to_mnemonic_str() {
        Some(name) => out.raw(name),
        None => out.text(|text| write!(text, "{rtype}")),
    }
    out.raw(r#"","class":""#);
    match class.to_mnemonic_str() {
        Some(name) => out.raw(name),
        None => out.text(|text| write!(text, "{class}")),
    }
    out.raw("\"");
}

fn rcode(out: &mut Out, code: OptRcode) {
    match code.to_mnemonic_str() {
        Some(name) => out.raw(name),
        None => out.text(|text| write!(text, "{code}")),
    }
}

fn endpoint(out: &mut Out, endpoint: Endpoint) {
    out.raw(r#"{"address":""#);
    out.address(endpoint.ip());
    out.raw(r#"","port":"#);
    out.number(endpoint.port);
    out.raw("}");
}

pub(crate) fn process(out: &mut Out, process: &Process) {
    out.raw(r#""process":{"pid":"#);
    out.number(process.pid);
    out.raw(r#","name":""#);
    out.text(|text| write_escaped(text, process.name.as_bytes()));
    if let Some(executable) = &process.executable {
        out.raw(r#"","executable":""#);
        out.text(|text| text.write_str(executable));
    }
    out.raw(r#""},"user":{"id":""#);
    out.number(process.uid);
    out.raw(r#""},"#);
}

pub(crate) fn container(out: &mut Out, place: &Place) {
    let Some(id) = &place.container else {
        return;
    };
    out.raw(r#""container":{"id":""#);
    out.raw(id);
    if let Some(runtime) = place.runtime {
        out.raw(r#"","runtime":""#);
        out.raw(runtime.name());
    }
    out.raw(r#""},"#);
}

/// Name of the device at a place (see [`Interfaces::name`]). A host-wide hook that does not know the namespace may mean any.
pub(super) fn name(
    interfaces: &mut Interfaces,
    hook: Hook,
    (netns_cookie, ifindex): (u64, u32),
    seen_ns: u64,
) -> Option<&str> {
    if hook.host_wide() && netns_cookie == 0 {
        return None;
    }
    interfaces.name(netns_cookie, ifindex, seen_ns)
}

/// Where it was seen, and a comma.
pub(crate) fn observer(out: &mut Out, direction: Direction, ifindex: u32, interface: Option<&str>) {
    out.raw(match direction {
        Direction::Ingress => r#""observer":{"ingress":{"interface":{"id":""#,
        Direction::Egress => r#""observer":{"egress":{"interface":{"id":""#,
    });
    out.number(ifindex);
    if let Some(name) = interface {
        out.raw(r#"","name":""#);
        out.text(|text| text.write_str(name));
    }
    out.raw(r#""}}},"#);
}
