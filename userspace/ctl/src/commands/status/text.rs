//! An instance as text for people, at most 80 columns where the names allow it.

use super::{
    gather::{Attachment, Bundle, Ring},
    sides,
};
use crate::report::table;

/// The instance as paragraphs.
pub(crate) fn bundle(bundle: &Bundle) -> String {
    let source = bundle.source.as_deref().unwrap_or("unknown source");
    let mut text = format!("{}: {}, {source}\n", bundle.instance, bundle.way);
    if !bundle.complete {
        text.push_str(&format!(
            "  not whole: interrupted, or its rings removed. Load it again, or run:\n  \
             sudo dns-tracectl unload --instance {}\n",
            bundle.instance
        ));
    }
    if let Some(settings) = &bundle.settings {
        text.push_str(&format!("  {settings}\n"));
    }
    let mut rows = vec![row(["PROGRAM", "ID", "TAG", ""])];
    rows.extend(
        bundle
            .programs
            .iter()
            .map(|p| row([&p.name, &p.id.to_string(), &p.tag, ""])),
    );
    text.push_str(&section(&rows));
    let mut rows = vec![row(["INTERFACE", "DIRECTION", "HOOK", "PLACE"])];
    rows.extend(bundle.attachments.iter().map(attachment));
    text.push_str(&section(&rows));
    for side in &bundle.sides {
        text.push_str(&sides::text(side, &bundle.instance));
    }
    for ring in &bundle.rings {
        text.push_str(&counters(ring));
    }
    if let Some(readers) = &bundle.readers {
        let members = if readers.members.is_empty() {
            "none listed".to_owned()
        } else {
            readers.members.join(", ")
        };
        text.push_str(&format!(
            "  readers: group {} (gid {}), members: {members}\n",
            readers.group, readers.gid
        ));
    }
    for note in &bundle.notes {
        text.push_str(&format!("  note: {note}\n"));
    }
    text
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// A table with its head, indented; nothing where there are no rows.
fn section(rows: &[Vec<String>]) -> String {
    if rows.len() < 2 {
        return String::new();
    }
    table(rows)
        .lines()
        .map(|line| format!("  {line}\n"))
        .collect()
}

fn attachment(a: &Attachment) -> Vec<String> {
    let iface = match (&a.iface, a.ifindex) {
        (Some(iface), _) => match &a.netns_path {
            Some(path) => format!("{iface} in {path}"),
            None => iface.clone(),
        },
        (None, 0) => "every namespace".to_owned(),
        (None, ifindex) => format!("{ifindex} of {} (gone)", a.netns),
    };
    let place = match (a.alive, a.position.zip(a.of)) {
        (false, _) => "detached; load again".to_owned(),
        (true, Some((position, of))) => format!("{position} of {of}{}", priority(a)),
        (true, None) => String::new(),
    };
    vec![iface, a.direction.to_owned(), a.hook.to_owned(), place]
}

fn priority(a: &Attachment) -> String {
    let priority = a.priority.map(|p| format!(", priority {p}"));
    priority.unwrap_or_default()
}

fn counters(ring: &Ring) -> String {
    let reader = match (ring.is_read, ring.reader_pid) {
        (false, _) => "nobody reads it".to_owned(),
        (true, Some(pid)) => format!("read by process {pid}"),
        (true, None) => "read by a process of another pid namespace".to_owned(),
    };
    let mut text = format!("  ring {}: {reader}\n", ring.path);
    let mut line = String::new();
    for (name, value) in &ring.counters {
        let item = format!("{name} {value}");
        if line.len() + item.len() > 70 {
            text.push_str(&format!("    {}\n", line.trim_end_matches(", ")));
            line.clear();
        }
        line.push_str(&item);
        line.push_str(", ");
    }
    if !line.is_empty() {
        text.push_str(&format!("    {}\n", line.trim_end_matches(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chain::{Chain, Neighbour, Owner, Process},
        commands::status::gather::{Readers, Side},
        local::LoadedProgram,
    };

    fn sample() -> Bundle {
        let program = |name: &str, id, owner| Neighbour {
            id: Some(id),
            owner: Some(owner),
            ..Neighbour::named(name.to_owned())
        };
        let process = Process {
            pid: 812,
            name: "cilium-agent".to_owned(),
        };
        let user = |process| Owner::User {
            uid: Some(0),
            process,
        };
        let application = Owner::Bpfman {
            program: Some("count_packets_by_port".to_owned()),
            application: Some("acme".to_owned()),
        };
        let instance = "default".to_owned();
        let dispatcher = Neighbour {
            is_dispatcher: true,
            mode: Some("driver"),
            slots: vec![Neighbour {
                proceed_on: vec!["pass", "tx", "dispatcher_return"],
                ..program("count_packets_b", 38, application)
            }],
            ..program("xdp_dispatcher", 40, Owner::bpfman())
        };
        let filter = Neighbour {
            priority: Some(49152),
            handle: Some(1),
            ..program("policy", 12, user(None))
        };
        let chain = |hook, programs| Chain { hook, programs };
        let attachment = |direction, alive: bool| Attachment {
            hook: "tcx",
            direction,
            program: "dns_tcx".to_owned(),
            iface: alive.then(|| "eth0".to_owned()),
            ifindex: 2,
            netns: 4_026_531_840,
            netns_path: None,
            position: alive.then_some(1),
            of: alive.then_some(2),
            priority: Some(50),
            alive,
        };
        Bundle {
            instance: "default".to_owned(),
            way: "local",
            complete: true,
            is_unattached: false,
            source: Some("built-in".to_owned()),
            settings: Some("ports 53,5353,5355, snap length 4096".to_owned()),
            programs: vec![LoadedProgram {
                name: "dns_tcx".to_owned(),
                id: 31,
                tag: "00f067aa0ba902b7".to_owned(),
                skipped: 0,
                map_ids: vec![1, 2, 3],
            }],
            attachments: vec![attachment("ingress", true), attachment("egress", false)],
            sides: vec![Side {
                iface: "eth0".to_owned(),
                ifindex: 2,
                netns: 4_026_531_840,
                direction: "ingress",
                hooks: vec![
                    chain("xdp", vec![dispatcher]),
                    chain(
                        "tcx",
                        vec![
                            program("dns_tcx", 31, Owner::DnsTrace { instance }),
                            program("cil_from_netdev", 7, user(Some(process))),
                        ],
                    ),
                    chain("tc", vec![filter, Neighbour::named("flower".to_owned())]),
                ],
            }],
            rings: vec![Ring {
                path: "/run/dns-trace/default/rings/0".to_owned(),
                map: Some(1),
                counters: dns_trace_event::STATS_NAMES
                    .into_iter()
                    .map(|name| (name, 12_345))
                    .collect(),
                is_read: true,
                reader_pid: Some(4242),
            }],
            readers: Some(Readers {
                group: "dns-trace".to_owned(),
                gid: 999,
                members: vec!["ada".to_owned()],
            }),
            notes: vec!["something".to_owned()],
        }
    }

    #[test]
    fn text_is_readable_at_80_columns() {
        let text = bundle(&sample());
        insta::assert_snapshot!(text);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
