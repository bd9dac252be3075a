//! What the formats say of each message: tshark on pcapng, dnstap-ldns and fstrm_dump on dnstap.

use dns_trace::counts::Summary;
use dns_trace::tap::dnstap::Framing;
use dns_trace_event::{DIRECTION_EGRESS, DIRECTION_INGRESS, TCP_ACK, TCP_PSH, TCP_SYN};
use domain::base::Rtype;
use domain::base::iana::Rcode;

use super::{MS, dnstap, extras, into_file, pcapng, started, tapped, tool};
use crate::records::{Rec, query, response};
use crate::streams::{Segment as _, framed};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn records() -> Vec<Rec> {
    let answers = [[192, 0, 2, 1], [192, 0, 2, 2]];
    let reply = |id| response(id, "www.example.com", Rtype::A, Rcode::NOERROR, &answers);
    let tcp = framed(&query(4, "tcp.example.com", Rtype::AAAA));
    vec![
        Rec::query(MS, query(1, "www.example.com", Rtype::A)),
        Rec::response(2 * MS + 7, reply(1)),
        // A server's side, over IPv6, in another namespace.
        Rec::query(3 * MS, query(2, "six.example.com", Rtype::AAAA))
            .from("2001:db8::2", 40000)
            .to("2001:db8::1", 53)
            .with(|header| {
                header.direction = DIRECTION_INGRESS;
                header.netns_cookie = 7;
            }),
        Rec::response(
            4 * MS,
            response(2, "six.example.com", Rtype::AAAA, Rcode::NXDOMAIN, &[]),
        )
        .from("2001:db8::1", 53)
        .to("2001:db8::2", 40000)
        .with(|header| {
            header.direction = DIRECTION_EGRESS;
            header.netns_cookie = 7;
            header.sample = 100;
        }),
        // Cut by a snap length.
        Rec::response(5 * MS, reply(3))
            .cut(40)
            .with(|header| header.ifindex = 3),
        // A message over two segments of a connection.
        Rec::query(6 * MS, vec![]).segment(99, TCP_SYN),
        Rec::query(7 * MS, tcp[..10].to_vec()).segment(100, TCP_ACK),
        Rec::query(8 * MS, tcp[10..].to_vec()).segment(110, TCP_ACK | TCP_PSH),
        Rec::query(9 * MS, b"no DNS".to_vec()),
    ]
}

/// Both families, both transports, both directions; cut, sampled, and no DNS.
#[test]
fn wireshark_reads_packets() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let counts = tapped(&mut into_file(pcapng(), file.path()), &records());
    assert_eq!((counts.tap.written, counts.tap.dropped), (9, 0));
    let path = file.path().to_str().unwrap();
    let mut words = vec!["tshark", "-r", path, "-T", "fields", "-E", "separator=|"];
    for check in ["ip", "udp", "tcp"] {
        words.extend(["-o", &*format!("{check}.check_checksum:TRUE").leak()]);
    }
    for field in [
        "frame.interface_id",
        "frame.interface_description",
        "frame.packet_flags_direction",
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "frame.comment",
        "ip.src",
        "ip.dst",
        "ip.checksum.status",
        "ipv6.src",
        "ipv6.dst",
        "udp.srcport",
        "udp.dstport",
        "udp.checksum.status",
        "tcp.seq_raw",
        "tcp.flags",
        "tcp.len",
        "tcp.checksum.status",
        "dns.id",
        "dns.flags.response",
        "dns.flags.rcode",
        "dns.qry.name",
        "dns.qry.type",
        "dns.a",
        "_ws.expert.severity",
    ] {
        words.extend(["-e", field]);
    }
    // Since Wireshark 4.2.
    let text = tool("tshark", &words)
        .replace("True", "1")
        .replace("False", "0");
    insta::assert_snapshot!("pcapng", text);
}

/// Everything that stands around the packets.
#[test]
fn wireshark_reads_the_section() {
    let file = tempfile::NamedTempFile::new().unwrap();
    tapped(&mut into_file(pcapng(), file.path()), &records());
    let path = file.path().to_str().unwrap();
    let text = tool(
        "tshark",
        &[
            "tshark",
            "-r",
            path,
            "-X",
            "read_format:MIME Files Format",
            "-V",
        ],
    );
    let wanted = |line: &str| {
        let line = line.trim_start();
        [
            "Block:",
            "Interface:",
            "Option:",
            "Link Type:",
            "Section Length:",
            "Captured Length:",
        ]
        .iter()
        .any(|start| line.starts_with(start))
            && !line.contains("End of Options")
            && !line.contains("OS Description")
    };
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| wanted(line))
        .map(str::trim_end)
        .collect();
    insta::assert_snapshot!(
        "pcapng_section",
        lines.join("\n").replace(VERSION, "VERSION")
    );
    let os = format!(
        "OS: Linux {}",
        rustix::system::uname().release().to_string_lossy()
    );
    assert!(text.contains(&os), "{os}");
}

/// A single interface has lost what the kernel part has lost.
#[test]
fn losses_of_the_only_interface_are_its_own() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let records = [Rec::query(MS, query(1, "www.example.com", Rtype::A))];
    tapped(&mut into_file(pcapng(), file.path()), &records);
    let path = file.path().to_str().unwrap();
    let fields = ["received", "dropped", "dropped_by_os"]
        .map(|field| format!("pcapng.options.option.data.interface.{field}"));
    let mut words = vec!["tshark", "-r", path, "-X", "read_format:MIME Files Format"];
    words.extend(["-T", "fields", "-E", "separator=|"]);
    for field in &fields {
        words.extend(["-e", field]);
    }
    assert_eq!(tool("tshark", &words), "1|0|4\n");
}

/// More than fits into an IP packet, as segmentation offload shows it, and a first fragment of a datagram.
#[test]
fn what_is_longer_than_its_record_says_so() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let records = [
        Rec::query(MS, vec![7; 100])
            .segment(1, TCP_ACK)
            .cut(100)
            .with(|header| header.wire_len = 100_000),
        Rec::query(2 * MS, query(1, "www.example.com", Rtype::A)).with(|header| {
            header.wire_len = 3000;
            header.flags = dns_trace_event::FLAG_FRAGMENT;
        }),
        Rec::query(3 * MS, query(1, "www.example.com", Rtype::A)).with(|header| {
            header.wire_len = 70_000;
            header.flags = dns_trace_event::FLAG_TRUNCATED;
        }),
    ];
    tapped(&mut into_file(pcapng(), file.path()), &records);
    let path = file.path().to_str().unwrap();
    let mut words = vec!["tshark", "-r", path, "-T", "fields", "-E", "separator=|"];
    for field in ["frame.len", "frame.cap_len", "ip.len", "udp.length"] {
        words.extend(["-e", field]);
    }
    assert_eq!(
        tool("tshark", &words),
        "100040|140|100040|\n3028|61|3028|3008\n70028|61|70028|0\n"
    );
}

#[test]
fn ldns_reads_messages() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let counts = tapped(
        &mut into_file(dnstap(Framing::File), file.path()),
        &records(),
    );
    // Of nine packets three are segments, of one message; one is cut.
    assert_eq!((counts.tap.written, counts.tap.cut), (6, 1));
    let summary = Summary {
        reader: counts,
        ..Summary::default()
    };
    let wanted = "recorded: 6 written, 0 filtered out, 1 left out since they were cut, \
                  0 dropped since the output was slow or away";
    let summary = summary.to_string();
    assert!(summary.lines().any(|line| line == wanted), "{summary}");
    let path = file.path().to_str().unwrap();
    let text = tool("dnstap-ldns", &["dnstap-ldns", "-y", "-r", path]);
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let text = text.replace(&format!("identity: \"{host}\""), "identity: HOST");
    let text: Vec<&str> = text.lines().map(str::trim_end).collect();
    insta::assert_snapshot!("dnstap", text.join("\n").replace(VERSION, "VERSION"));
}

/// What the YAML above does not show: `extra`, and that START and STOP stand around it all.
#[test]
fn fstrm_reads_frames() {
    let file = tempfile::NamedTempFile::new().unwrap();
    tapped(
        &mut into_file(dnstap(Framing::File), file.path()),
        &records(),
    );
    let path = file.path().to_str().unwrap();
    let dump = std::process::Command::new("fstrm_dump").arg(path).output();
    let dump = started(dump, "fstrm_dump", "fstrm-bin");
    let control = String::from_utf8(dump.stderr).unwrap();
    let lines: Vec<&str> = control.lines().collect();
    assert_eq!(lines[0], "FSTRM_CONTROL_START.");
    assert_eq!(lines[2], " \"protobuf:dnstap.Dnstap\"");
    assert_eq!(lines[3..].len(), 7, "{control}");
    assert_eq!(lines[9], "FSTRM_CONTROL_STOP.");
    let eth0 = |way| {
        format!(
            r#"{{"observer":{{"{way}":{{"interface":{{"id":"2","name":"eth0"}}}}}},"dns_trace":{{"hook":"tcx"}}}}"#
        )
    };
    let other = |way, sample| {
        format!(
            r#"{{"observer":{{"{way}":{{"interface":{{"id":"2"}}}}}},"dns_trace":{{"hook":"tcx"{sample},"netns_cookie":7}}}}"#
        )
    };
    let wanted = [
        eth0("egress"),
        eth0("ingress"),
        other("ingress", ""),
        other("egress", r#","sample":100"#),
        eth0("egress"),
        eth0("egress"),
    ];
    assert_eq!(extras(file.path()), wanted);
}

/// On a loopback device the host is client and server: one kind for query and response.
#[test]
fn a_loopback_device_shows_the_client() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lo = |rec: Rec| {
        rec.with(|header| {
            header.ifindex = 1;
            header.direction = DIRECTION_EGRESS;
        })
    };
    let records = [
        lo(Rec::query(MS, query(1, "a.example", Rtype::A))),
        lo(Rec::response(
            2 * MS,
            response(1, "a.example", Rtype::A, Rcode::NOERROR, &[]),
        )),
    ];
    tapped(&mut into_file(dnstap(Framing::File), file.path()), &records);
    let path = file.path().to_str().unwrap();
    let text = tool("dnstap-ldns", &["dnstap-ldns", "-q", "-r", path]);
    let kinds: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').nth(2))
        .collect();
    assert_eq!(kinds, ["SQ", "SR"], "{text}");
}
