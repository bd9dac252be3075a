//! Where recordings go: several files, a full disk, a reader that is slow, filters.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;

use dns_trace::clock::WallClock;
use dns_trace::counts::KernelCounts;
use dns_trace::name::Suffix;
use dns_trace::pipeline::Pipeline;
use dns_trace::record::Packet;
use dns_trace::sink::Silent;
use dns_trace::spool::file::FileOutput;
use dns_trace::spool::{Output, Spool};
use dns_trace::tap::dnstap::Framing;
use dns_trace::tap::{Asker, Format, MessageFilter, Recorder};
use dns_trace_event::{L4_TCP, L4_UDP, TCP_ACK, TCP_SYN};
use domain::base::Rtype;
use domain::base::iana::{OptRcode, Rcode};
use proptest::prelude::*;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use super::{MS, dnstap, into_file, pcapng, tapped, tool};
use crate::memory::options;
use crate::records::{Rec, query, response};
use crate::streams::{Segment as _, framed};

fn ask(number: u64) -> Rec {
    Rec::query(
        number * MS,
        query(number as u16, "www.example.com", Rtype::A),
    )
}

/// Ids of the messages in a pcapng file.
fn ids(path: &Path) -> Vec<u64> {
    let path = path.to_str().unwrap();
    let text = tool(
        "tshark",
        &["tshark", "-r", path, "-T", "fields", "-e", "dns.id"],
    );
    let hex = |line: &str| u64::from_str_radix(line.trim_start_matches("0x"), 16).unwrap();
    text.lines().map(hex).collect()
}

fn rotated<F: Format>(format: F, path: &Path) -> Recorder<F> {
    let output: Box<dyn Output> = Box::new(FileOutput::create(path, Some(3), F::WHOLE).unwrap());
    let spool = Spool::start(output, || {}).unwrap();
    Recorder::new(format, spool, MessageFilter::default(), Some(2000)).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Each file is whole by itself, and together they have the last messages, all of them.
#[test]
fn rotation_loses_nothing_but_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r");
    let records: Vec<Rec> = (1..=100).map(ask).collect();
    let counts = tapped(&mut rotated(pcapng(), &path), &records);
    assert_eq!(counts.tap.written, 100);
    let names = ["r", "r.1", "r.2", "r.3"].map(|name| folder.path().join(name));
    assert_eq!(files(folder.path()), names);
    let of_each: Vec<Vec<u64>> = names.iter().rev().map(|name| ids(name)).collect();
    let found = of_each.concat();
    let first = found[0];
    assert_eq!(found, (first..=100).collect::<Vec<_>>());
    // Head and interface, packets of 108 bytes until there are 2000, statistics.
    assert_eq!(of_each[0].len(), 16);
    for name in &names[1..] {
        let length = fs::metadata(name).unwrap().len();
        assert!((2000..2200).contains(&length), "{length}");
    }
}

#[test]
fn dnstap_rotates_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r");
    let records: Vec<Rec> = (1..=25).map(ask).collect();
    let counts = tapped(&mut rotated(dnstap(Framing::File), &path), &records);
    assert_eq!(counts.tap.written, 25);
    let mut queries = 0;
    for file in files(folder.path()) {
        let text = tool(
            "dnstap-ldns",
            &["dnstap-ldns", "-q", "-r", file.to_str().unwrap()],
        );
        queries += text.lines().filter(|line| line.contains(" SQ ")).count();
        let bytes = fs::read(&file).unwrap();
        assert!(
            bytes.ends_with(&[0, 0, 0, 4, 0, 0, 0, 3]),
            "no STOP in {file:?}"
        );
    }
    assert_eq!(queries, 25);
}

/// A disk of 64 KiB of our own: the recording ends with an error, and the file with a whole packet.
#[test]
fn a_full_disk_leaves_whole_packets() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test mounts a file system in a namespace of its own: run it as root"
    );
    let folder = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| full_disk(folder.path())).join().unwrap();
    });
}

/// On a thread of its own, whose mounts nobody else sees.
fn full_disk(folder: &Path) {
    // SAFETY: the thread shares nothing that depends on its namespace.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .unwrap();
    mount(
        "tmpfs",
        folder,
        "tmpfs",
        MountFlags::empty(),
        Some(c"size=64k"),
    )
    .unwrap();
    let path = folder.join("r");
    let mut tap = into_file(pcapng(), &path);
    let mut sink = Silent;
    let mut pipeline = Pipeline::new(options(), &mut sink).with_tap(Some(&mut tap));
    pipeline.set_clock(WallClock::with_offset(0));
    for number in 1..=1000 {
        pipeline.record(&ask(number).bytes()).unwrap();
    }
    let error = pipeline.finish_tap(&KernelCounts::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: No space left on device (os error 28)", path.display())
    );
    let counts = pipeline.counts().tap;
    assert_eq!(counts.written + counts.dropped, 1000);
    let ids = ids(&path);
    assert_eq!(ids, (1..=counts.written).collect::<Vec<_>>());
    // What fits: 65536 bytes less head and interface, of 108 bytes each.
    assert!((600..=606).contains(&ids.len()), "{}", ids.len());
}

/// What a pipe that is open for writing elsewhere cannot say by ending.
const END: &[u8] = b"END!";

fn copy_until_end(mut from: fs::File, mut to: fs::File) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let number = from.read(&mut buffer).unwrap();
        to.write_all(&buffer[..number]).unwrap();
        if buffer[..number].ends_with(END) {
            break;
        }
    }
}

/// Nobody reads at first: what does not fit is dropped and counted, what is written is whole, and the
/// pipeline never waits.
#[test]
fn a_slow_reader_costs_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
    )
    .unwrap();
    // Open for both, so that opening it for writing does not wait.
    let reading = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    let mut tap = into_file(pcapng(), &pipe);
    let mut sink = Silent;
    let mut pipeline = Pipeline::new(options(), &mut sink).with_tap(Some(&mut tap));
    pipeline.set_clock(WallClock::with_offset(0));
    let mut payload = query(7, "www.example.com", Rtype::A);
    payload.resize(4000, 0);
    for number in 1..=4000 {
        let rec = Rec::query(number * MS, payload.clone());
        pipeline.record(&rec.bytes()).unwrap();
    }
    pipeline.drained().unwrap();
    let dropped = pipeline.counts().tap.dropped;
    // 8 MiB of 16 are held.
    assert!((1700..2200).contains(&dropped), "{dropped}");
    let copied = folder.path().join("r");
    let copy = fs::File::create(&copied).unwrap();
    let reader = thread::spawn(move || copy_until_end(reading, copy));
    pipeline.finish_tap(&KernelCounts::default()).unwrap();
    let mut end = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    end.write_all(END).unwrap();
    reader.join().unwrap();
    let counts = pipeline.counts().tap;
    assert_eq!((counts.dropped, counts.written + dropped), (dropped, 4000));
    let bytes = fs::read(&copied).unwrap();
    fs::write(&copied, bytes.strip_suffix(END).unwrap()).unwrap();
    assert_eq!(ids(&copied).len() as u64, counts.written);
}

/// Five messages, a stream with one that is none, and its SYN.
fn mixed() -> Vec<Rec> {
    let reply = |id, rcode| {
        Rec::response(
            id * MS,
            response(id as u16, "b.example.org", Rtype::MX, rcode, &[]),
        )
    };
    let stream = |seq, flags, bytes: &[u8]| {
        Rec::query(6 * MS, bytes.to_vec())
            .segment(seq, flags)
            .from("10.0.0.2", 41_000)
    };
    vec![
        ask(1),
        reply(2, Rcode::NXDOMAIN),
        reply(3, Rcode::NOERROR),
        Rec::query(4 * MS, b"no DNS".to_vec()),
        Rec::query(5 * MS, framed(&query(5, "www.example.com", Rtype::A)))
            .segment(1, TCP_ACK)
            .from("10.9.9.9", 40000),
        stream(99, TCP_SYN, b""),
        stream(100, TCP_ACK, &framed(b"no DNS")),
    ]
}

/// Of seven packets and six messages these pass: a segment is a message only by its stream.
#[test]
fn filters_hold_for_messages() {
    type Change = fn(&mut MessageFilter);
    let cases: [(Change, u64, u64); 7] = [
        (|_| {}, 7, 6),
        (
            |f| f.names = vec![Suffix::parse("example.com").unwrap()],
            4,
            2,
        ),
        (|f| f.types = vec![Rtype::MX], 5, 2),
        (|f| f.rcodes = vec![OptRcode::NXDOMAIN], 4, 1),
        (|f| f.clients = vec!["10.0.0.2/32".parse().unwrap()], 6, 5),
        (|f| f.clients = vec!["10.9.0.0/16".parse().unwrap()], 1, 1),
        (|f| f.servers = vec!["10.0.0.2/32".parse().unwrap()], 0, 0),
    ];
    for (change, packets, messages) in cases {
        let mut filter = MessageFilter::default();
        change(&mut filter);
        let counts = tapped(&mut filtered(pcapng(), &filter), &mixed()).tap;
        let got = (counts.written, counts.filtered);
        assert_eq!(got, (packets, 7 - packets), "{filter:?}");
        let counts = tapped(&mut filtered(dnstap(Framing::File), &filter), &mixed()).tap;
        let got = (counts.written, counts.filtered);
        assert_eq!(got, (messages, 6 - messages), "{filter:?}");
    }
}

fn filtered<F: Format>(format: F, filter: &MessageFilter) -> Recorder<F> {
    let output = FileOutput::create("/dev/null".as_ref(), None, F::WHOLE).unwrap();
    let spool = Spool::start(Box::new(output), || {}).unwrap();
    Recorder::new(format, spool, filter.clone(), None).unwrap()
}

proptest! {
    /// Whatever a record holds, it is encoded as one whole message.
    #[test]
    fn any_record_is_one_message(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        more in prop_oneof![Just(0_u32), any::<u32>()],
        ends in any::<([u8; 16], [u8; 16], u16, u16)>(),
        place in any::<(u32, u64, u32, u8)>(),
        offset in any::<i64>(),
        from_server in any::<bool>(),
        tcp in any::<bool>(),
    ) {
        let rec = Rec::query(7, payload).with(|header| {
            header.wire_len = header.captured_len.saturating_add(more);
            (header.source, header.destination) = (ends.0, ends.1);
            (header.source_port, header.destination_port) = (ends.2, ends.3);
            (header.ifindex, header.netns_cookie) = (place.0, place.1);
            (header.tcp_seq, header.tcp_flags) = (place.2, place.3);
            header.l4 = if tcp { L4_TCP } else { L4_UDP };
        });
        let bytes = rec.bytes();
        let packet = Packet::decode(&bytes).unwrap();
        let clock = WallClock::with_offset(offset);
        one_message(&mut pcapng(), &packet, from_server, clock);
        one_message(&mut dnstap(Framing::File), &packet, from_server, clock);
    }
}

fn one_message<F: Format>(
    format: &mut F,
    packet: &Packet<'_>,
    from_server: bool,
    clock: WallClock,
) {
    let mut out = Vec::new();
    format.head(&mut out);
    format.write(packet, from_server, &Asker::default(), clock, &mut out);
    format.tail(clock, None, &mut out);
    assert_eq!((F::WHOLE)(&out), (out.len(), 1));
}
