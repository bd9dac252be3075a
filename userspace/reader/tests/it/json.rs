//! JSON lines and the table, character by character.

use std::os::unix::fs::MetadataExt as _;

use dns_trace::counts::Summary;
use dns_trace::interface::Interfaces;
use dns_trace::pipeline::Pipeline;
use dns_trace::sink::Sink;
use dns_trace::sink::json::JsonSink;
use dns_trace::sink::table::{Look, TableSink};
use dns_trace_event::{TCP_ACK, TCP_RST};
use domain::base::Rtype;
use domain::base::iana::Rcode;
use jiff::tz::TimeZone;

use crate::memory::{options, run, run_bytes};
use crate::records::{Rec, announcement, query, response};
use crate::streams::{Segment as _, framed};

/// 2026-01-02T03:04:05Z as boot time zero would have it; the wall clock is replaced afterwards.
fn lines(sink: &mut dyn Sink, records: &[Rec], now_ns: u64) {
    let mut pipeline = Pipeline::new(options(), sink);
    pipeline.set_clock(dns_trace::clock::WallClock::with_offset(
        1_767_323_045_000_000_000,
    ));
    for record in records {
        pipeline.record(&record.bytes()).unwrap();
    }
    pipeline.advance(now_ns).unwrap();
    pipeline.finish().unwrap();
}

fn records() -> Vec<Rec> {
    let mut hostile = response(3, "a.example", Rtype::TXT, Rcode::NOERROR, &[]);
    hostile[7] = 1;
    hostile.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 9, 0, 8, 7]);
    hostile.extend(b"\x1b[2J\"\xff\n");
    let answers = [[192, 0, 2, 1], [192, 0, 2, 2]];
    let big = |id, addresses: &[[u8; 4]]| {
        response(id, "big.example", Rtype::A, Rcode::NOERROR, addresses)
    };
    let mut truncated = big(4, &[]);
    truncated[2] |= 2;
    let tcp = |rec: Rec| rec.segment(1, TCP_ACK);
    vec![
        Rec::query(1_000_000, query(1, "www.example.com", Rtype::A)),
        Rec::response(
            3_500_000,
            response(1, "www.example.com", Rtype::A, Rcode::NOERROR, &answers),
        ),
        Rec::query(4_000_000, query(2, "no.example.com", Rtype::AAAA))
            .from("2001:db8::2", 40000)
            .to("2001:db8::1", 53)
            .with(|header| header.netns_cookie = 7),
        Rec::query(4_000_000, query(3, "a.example", Rtype::TXT)),
        Rec::response(5_000_000, hostile),
        Rec::response(
            6_000_000,
            response(9, "b.example", Rtype::MX, Rcode::NXDOMAIN, &[]),
        ),
        Rec::query(7_000_000, b"not dns".to_vec()),
        Rec::query(8_000_000, query(4, "big.example", Rtype::A)),
        Rec::response(8_100_000, truncated),
        tcp(Rec::query(
            8_200_000,
            framed(&query(5, "big.example", Rtype::A)),
        )),
        tcp(Rec::response(9_700_000, framed(&big(5, &answers)))),
    ]
}

#[test]
fn json_lines() {
    let mut out = Vec::new();
    let mut sink = JsonSink::new(&mut out, Interfaces::fixed(&[(2, "eth0")]));
    lines(&mut sink, &records(), 6_000_000_000);
    drop(sink);
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn table() {
    let mut out = Vec::new();
    let look = Look {
        width: Some(160),
        colour: false,
        zone: TimeZone::UTC,
    };
    let mut sink = TableSink::new(&mut out, look);
    lines(&mut sink, &records(), 6_000_000_000);
    drop(sink);
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn summary() {
    let mut records = records();
    // A segment that begins no message.
    records.push(Rec::query(9_800_000, vec![1, 2, 3]).segment(9000, TCP_RST | TCP_ACK));
    records.push(Rec::query(9_900_000, vec![1, 2, 3]).segment(9000, TCP_ACK));
    let (_, reader) = run(options(), &records, 10_000_000);
    let summary = Summary {
        reader,
        seconds: 1.25,
        ..Summary::default()
    };
    insta::assert_snapshot!(summary.to_string());
}

/// Announcements of a hostile process in a container and of a harmless one, and their lookups. The third
/// one's process is not known, but its container is.
fn asked(container: u64) -> Vec<Vec<u8>> {
    let ask = |id, cookie, cgroup| {
        Rec::query(2_000_000, query(id, "www.example.com", Rtype::A))
            .with(|header| {
                header.socket_cookie = cookie;
                header.cgroup_id = cgroup;
            })
            .bytes()
    };
    let reply = |id| {
        let reply = response(
            id,
            "www.example.com",
            Rtype::A,
            Rcode::NOERROR,
            &[[192, 0, 2, 1]],
        );
        Rec::response(2_500_000, reply).bytes()
    };
    vec![
        announcement(1, 5, 4711, "\u{1b}[2J\\\"\n"),
        announcement(1, 6, 4_194_304, "systemd-resolve"),
        ask(1, 5, container),
        ask(2, 6, 0),
        ask(3, 7, container),
        reply(1),
        reply(2),
        reply(3),
    ]
}

/// A folder like that of cgroup v2 with a container, in which `asked` asks; its id is the inode number.
fn cgroups() -> (tempfile::TempDir, u64) {
    let root = tempfile::tempdir().unwrap();
    let id = "0123456789abcdef".repeat(4);
    let folder = root
        .path()
        .join(format!("x/docker-{id}.scope/a\u{1b}.service"));
    std::fs::create_dir_all(&folder).unwrap();
    let inode = std::fs::metadata(&folder).unwrap().ino();
    (root, inode)
}

pub(crate) fn asked_lines(sink: &mut dyn Sink) {
    let (root, inode) = cgroups();
    let mut pipeline = Pipeline::new(options(), sink);
    let cgroups = dns_trace::cgroups::Cgroups::watch_at(root.path());
    pipeline.owners().look_for_containers(cgroups);
    pipeline.set_clock(dns_trace::clock::WallClock::with_offset(
        1_767_323_045_000_000_000,
    ));
    for record in asked(inode) {
        pipeline.record(&record).unwrap();
    }
    pipeline.finish().unwrap();
}

#[test]
fn json_lines_with_processes() {
    let mut out = Vec::new();
    let mut sink = JsonSink::new(&mut out, Interfaces::fixed(&[(2, "eth0")]));
    asked_lines(&mut sink);
    drop(sink);
    let text = String::from_utf8(out).unwrap();
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn tables_with_processes() {
    let mut all = String::new();
    for width in [None, Some(160), Some(120), Some(100), Some(80)] {
        let mut out = Vec::new();
        let look = Look {
            width,
            colour: false,
            zone: TimeZone::UTC,
        };
        let mut sink = TableSink::new(&mut out, look);
        asked_lines(&mut sink);
        drop(sink);
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            let fits = line.chars().count() <= width.unwrap_or(usize::MAX);
            assert!(fits, "{width:?}: {line:?}");
        }
        all.push_str(&text);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn summary_with_processes() {
    let (_, reader) = run_bytes(options(), &asked(0), 10_000_000);
    let summary = Summary {
        reader,
        seconds: 1.25,
        ..Summary::default()
    };
    insta::assert_snapshot!(summary.to_string());
}

#[test]
fn a_table_line_fits_its_terminal() {
    let long = format!("{0}.{0}.{0}.example", "x".repeat(60));
    let answers = [[192, 0, 2, 1]; 10];
    let records = [
        Rec::query(1, query(1, &long, Rtype::A)),
        Rec::response(2, response(1, &long, Rtype::A, Rcode::NOERROR, &answers)),
    ];
    let mut out = Vec::new();
    let look = Look {
        width: Some(140),
        colour: false,
        zone: TimeZone::UTC,
    };
    let mut sink = TableSink::new(&mut out, look);
    lines(&mut sink, &records, 3);
    drop(sink);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        assert!(line.chars().count() <= 140, "{line:?}");
    }
    assert_eq!(text.matches('…').count(), 2);
}
