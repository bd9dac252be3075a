//! What is known of a message beyond its bytes, addresses and time: the one place that says it, as
//! the comment of a packet in pcapng, for people, and as `extra` in dnstap, as JSON with the names of
//! `watch --output json`.

use std::fmt::Write as _;

use crate::record::Packet;
use crate::sink::json::line::observer;
use crate::sink::json::out::Out;

/// Appends the comment; none if nothing is to be said. Interface and direction have fields of
/// their own in pcapng.
pub(super) fn comment(packet: &Packet<'_>, text: &mut String) {
    if packet.sample > 1 {
        // Writing into a string does not fail.
        let _ = write!(text, "stands for {} lookups", packet.sample);
    }
}

/// Appends a JSON object. `interface` is the name of the device where it is known.
pub(super) fn json(packet: &Packet<'_>, interface: Option<&str>, out: &mut Out) {
    out.raw("{");
    observer(out, packet.direction, packet.ifindex, interface);
    out.raw(r#""dns_trace":{"hook":""#);
    out.raw(packet.hook.name());
    out.raw("\"");
    if packet.sample > 1 {
        out.raw(r#","sample":"#);
        out.number(packet.sample);
    }
    if packet.netns_cookie != 0 {
        out.raw(r#","netns_cookie":"#);
        out.number(packet.netns_cookie);
    }
    out.raw("}}");
}
