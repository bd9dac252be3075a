//! The path of a lookup through the host.

use std::fmt::Write as _;

use super::line::name;
use super::out::Out;
use crate::interface::Interfaces;
use crate::path::{Hop, Path};

/// Writes the fields, a comma before each.
pub(super) fn write(out: &mut Out, path: Path<'_>, interfaces: &mut Interfaces) {
    let way = path.way();
    out.raw(r#","path":["#);
    for (i, at) in way.hops().iter().enumerate() {
        if i > 0 {
            out.raw(",");
        }
        hop(out, at, interfaces);
    }
    out.raw("]");
    if way.more() > 0 {
        out.raw(r#","path_left_out":"#);
        out.number(way.more());
    }
    if let Some(last) = path.last_seen() {
        out.raw(r#","response_last_seen":"#);
        hop(out, last, interfaces);
    }
}

fn hop(out: &mut Out, hop: &Hop, interfaces: &mut Interfaces) {
    out.raw(r#"{"interface":{"id":""#);
    out.number(hop.ifindex);
    let place = (hop.netns_cookie, hop.ifindex);
    if let Some(name) = name(interfaces, hop.hook, place, hop.time_ns) {
        out.raw(r#"","name":""#);
        out.text(|text| text.write_str(name));
    }
    out.raw(r#""},"direction":""#);
    out.raw(hop.direction.name());
    if hop.netns_cookie == 0 {
        out.raw(r#""}"#);
        return;
    }
    out.raw(r#"","netns_cookie":"#);
    out.number(hop.netns_cookie);
    out.raw("}");
}
