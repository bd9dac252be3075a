//! What is known of a message beyond its bytes, addresses and time: the one place that says it, as
//! the comment of a packet in pcapng, for people, and as `extra` in dnstap, as JSON with the names of
//! `watch --output json`.

use std::fmt::Write as _;

use super::Asker;
use crate::process::write_escaped;
use crate::record::Packet;
use crate::sink::json::line::{container, observer, process};
use crate::sink::json::out::Out;

/// Appends the comment; none if nothing is to be said. Interface and direction have fields of
/// their own in pcapng. Writing into a string does not fail.
pub(super) fn comment(packet: &Packet<'_>, asker: &Asker, text: &mut String) {
    if let Some(process) = &asker.process {
        let (name, pid, uid) = (process.name, process.pid, process.uid);
        let _ = write!(part(text), "process {name} (pid {pid}, uid {uid})");
    }
    if let Some(place) = &asker.place {
        if let Some(id) = &place.container {
            let _ = write!(part(text), "container {id}");
            if let Some(runtime) = place.runtime {
                let _ = write!(text, " ({})", runtime.name());
            }
        }
        if let Some(unit) = &place.unit {
            let _ = part(text).write_str("unit ");
            let _ = write_escaped(text, unit.as_bytes());
        }
    }
    if packet.sample > 1 {
        let _ = write!(part(text), "stands for {} lookups", packet.sample);
    }
}

/// The text, for a further part of it.
fn part(text: &mut String) -> &mut String {
    if !text.is_empty() {
        text.push_str("; ");
    }
    text
}

/// Appends a JSON object. `interface` is the name of the device where it is known.
pub(super) fn json(packet: &Packet<'_>, asker: &Asker, interface: Option<&str>, out: &mut Out) {
    out.raw("{");
    if let Some(asker) = &asker.process {
        process(out, asker);
    }
    if let Some(place) = &asker.place {
        container(out, place);
    }
    observer(out, packet.direction, packet.ifindex, interface);
    out.raw(r#""dns_trace":{"hook":""#);
    out.raw(packet.hook.name());
    out.raw("\"");
    if let Some(unit) = asker.place.as_ref().and_then(|place| place.unit.as_ref()) {
        out.raw(r#","unit":""#);
        out.text(|text| write_escaped(text, unit.as_bytes()));
        out.raw("\"");
    }
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

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;

    use super::*;
    use crate::container::{Place, Runtime};
    use crate::process::{Comm, Process};
    use crate::record::{Direction, Hook, Select, Transport};

    fn asker() -> Asker {
        Asker {
            process: Some(Rc::new(Process {
                pid: 42,
                uid: 7,
                name: Comm::cut(b"a\nb"),
                cgroup_id: 9,
                executable: None,
            })),
            place: Some(Arc::new(Place {
                container: Some("0123".into()),
                runtime: Some(Runtime::Podman),
                unit: Some("x\x1b.service".into()),
            })),
        }
    }
    const PACKET: Packet<'static> = Packet {
        time_ns: 1,
        hook: Hook::Tcx,
        direction: Direction::Egress,
        transport: Transport::Udp,
        netns_cookie: 0,
        socket_cookie: 5,
        cgroup_id: 0,
        ifindex: 2,
        source: [0; 16],
        destination: [0; 16],
        source_port: 40000,
        destination_port: 53,
        tcp_seq: 0,
        tcp_flags: 0,
        wire_len: 0,
        sample: 100,
        select: Select::All,
        cut: false,
        payload: &[],
    };

    #[test]
    fn comments_are_for_people() {
        let mut text = String::new();
        comment(&PACKET, &asker(), &mut text);
        let wanted = "process a\\010b (pid 42, uid 7); container 0123 (podman); \
                      unit x\\027.service; stands for 100 lookups";
        assert_eq!(text, wanted);
        text.clear();
        let packet = Packet {
            sample: 1,
            ..PACKET
        };
        comment(&packet, &Asker::default(), &mut text);
        assert_eq!(text, "");
    }

    #[test]
    fn extra_has_the_names_of_the_json_lines() {
        let mut out = Out::with_capacity(512);
        json(&PACKET, &asker(), None, &mut out);
        let wanted = concat!(
            r#"{"process":{"pid":42,"name":"a\\010b"},"user":{"id":"7"},"#,
            r#""container":{"id":"0123","runtime":"podman"},"#,
            r#""observer":{"egress":{"interface":{"id":"2"}}},"#,
            r#""dns_trace":{"hook":"tcx","unit":"x\\027.service","sample":100}}"#,
        );
        assert_eq!(String::from_utf8_lossy(out.as_bytes()), wanted);
    }
}
