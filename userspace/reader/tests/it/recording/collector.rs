//! A real collector, `fstrm_capture`: over both sockets, and one that goes away and comes back.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dns_trace::counts::KernelCounts;
use dns_trace::pipeline::Pipeline;
use dns_trace::sink::Silent;
use dns_trace::spool::Spool;
use dns_trace::spool::collector::{Address, Collector};
use dns_trace::tap::dnstap::{Dnstap, Framing};
use dns_trace::tap::{MessageFilter, Recorder, Tap};
use domain::base::Rtype;

use super::{MS, dnstap, started, tapped, tool};
use crate::memory::options;
use crate::records::{Rec, query};

fn ask(number: u64) -> Rec {
    Rec::query(
        number * MS,
        query(number as u16, "www.example.com", Rtype::A),
    )
}

/// A running `fstrm_capture`.
struct Capture(Child);

impl Capture {
    fn start(socket: &[&str], file: &Path) -> Self {
        let mut command = Command::new("fstrm_capture");
        command
            .args(["-t", "protobuf:dnstap.Dnstap", "-w"])
            .arg(file)
            .args(socket);
        command.stderr(Stdio::null());
        Self(started(command.spawn(), "fstrm_capture", "fstrm-bin"))
    }

    /// Ends it as a service manager would: it writes what it has.
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        thread::sleep(Duration::from_millis(5));
    }
}

fn sender(address: Address) -> Recorder<Dnstap> {
    let spool = Spool::start(Box::new(Collector::new(address)), || {}).unwrap();
    Recorder::new(
        dnstap(Framing::Connection),
        spool,
        MessageFilter::default(),
        None,
    )
    .unwrap()
}

fn ids(file: &Path) -> Vec<u64> {
    let text = tool(
        "dnstap-ldns",
        &["dnstap-ldns", "-y", "-r", file.to_str().unwrap()],
    );
    text.lines()
        .filter_map(|line| line.rsplit_once("id: ")?.1.parse().ok())
        .collect()
}

#[test]
fn a_collector_at_a_unix_socket_gets_all() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, file) = (folder.path().join("s"), folder.path().join("f"));
    // The collector comes later than we do.
    let mut tap = sender(Address::Unix(socket.clone()));
    let capture = Capture::start(&["-u", socket.to_str().unwrap()], &file);
    wait_until("its socket", || socket.exists());
    let records: Vec<Rec> = (1..=1000).map(ask).collect();
    let counts = tapped(&mut tap, &records);
    assert_eq!((counts.tap.written, counts.tap.dropped), (1000, 0));
    capture.stop();
    assert_eq!(ids(&file), (1..=1000).collect::<Vec<_>>());
}

#[test]
fn a_collector_by_tcp_gets_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut tap = sender(Address::Tcp(address));
    let port = address.port().to_string();
    let capture = Capture::start(&["-a", "127.0.0.1", "-p", &port], &file);
    wait_until("its socket", || TcpStream::connect(address).is_ok());
    let records: Vec<Rec> = (1..=1000).map(ask).collect();
    let counts = tapped(&mut tap, &records);
    assert_eq!((counts.tap.written, counts.tap.dropped), (1000, 0));
    capture.stop();
    assert_eq!(ids(&file), (1..=1000).collect::<Vec<_>>());
}

/// Between the two collectors messages wait; nothing is lost, and nothing comes twice.
#[test]
fn a_collector_may_go_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    let at = ["-u", socket.to_str().unwrap()];
    let mut tap = sender(Address::Unix(socket.clone()));
    let mut sink = Silent;
    let mut pipeline = Pipeline::new(options(), &mut sink).with_tap(Some(&mut tap));
    let capture = Capture::start(&at, &first);
    for number in 1..=10 {
        pipeline.record(&ask(number).bytes()).unwrap();
    }
    pipeline.drained().unwrap();
    wait_until("the first ten", || pipeline.counts().tap.written == 10);
    capture.stop();
    for number in 11..=20 {
        pipeline.record(&ask(number).bytes()).unwrap();
    }
    pipeline.drained().unwrap();
    assert_eq!(pipeline.counts().tap.written, 10);
    let capture = Capture::start(&at, &second);
    wait_until("the second ten", || pipeline.counts().tap.written == 20);
    pipeline.finish_tap(&KernelCounts::default()).unwrap();
    capture.stop();
    assert_eq!(ids(&first), (1..=10).collect::<Vec<_>>());
    assert_eq!(ids(&second), (11..=20).collect::<Vec<_>>());
}

/// Nobody is there at all: the end is not held up, and everything is counted as lost.
#[test]
fn without_a_collector_everything_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut tap = sender(Address::Unix(folder.path().join("nobody")));
    let began = Instant::now();
    let records: Vec<Rec> = (1..=100).map(ask).collect();
    let counts = tapped(&mut tap, &records);
    assert_eq!((counts.tap.written, counts.tap.dropped), (0, 100));
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(tap.counts(), counts.tap);
    // Another service takes the connection and does not understand.
    let socket = folder.path().join("other");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut tap = sender(Address::Unix(socket));
    let other = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut connection, b"220 mail.example ESMTP\r\n").unwrap();
    });
    other.join().unwrap();
    let counts = tapped(&mut tap, &records);
    assert_eq!((counts.tap.written, counts.tap.dropped), (0, 100));
    fs::remove_dir_all(folder.path()).unwrap();
}
