//! The terminal is given back whatever happens. Each trial is a process of its own on a terminal of its own, strictly
//! confined, and fed with a tally instead of a ring.
#![expect(
    clippy::unwrap_used,
    reason = "a test or bench that cannot be set up has failed"
)]

use std::env;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use dns_trace::clock::boot_now;
use dns_trace::confine::{Mode, Needs, apply};
use dns_trace::counts::Summary;
use dns_trace::filter::Filter;
use dns_trace::pipeline::{Options, Pipeline};
use dns_trace::ring::{Reader, Ticker as _};
use dns_trace::stop::Stop;
use dns_trace::top::draw::Look;
use dns_trace::top::face::Face;
use dns_trace::top::feed::Feed;
use dns_trace::top::tally::TallySink;
use dns_trace_event::Stats;
use jiff::tz::TimeZone;
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Action, Winsize, tcflow, tcgetattr, tcsetwinsize};

/// What the process is to do.
const TRY: &str = "DNS_TRACE_TRY";
/// How the terminal is left: attributes off, the cursor shown, the first screen.
const LEFT: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";
/// Longer than any trial takes.
const LONG: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    if let Ok(what) = env::var(TRY) {
        return child(&what);
    }
    let tests = vec![
        Trial::test("a_key_ends_it", || ended_by("wait", Some("q"), true)),
        Trial::test("escape_ends_it", || ended_by("wait", Some("\x1b"), true)),
        Trial::test("ctrl_c_ends_it", || ended_by("wait", Some("\x03"), true)),
        Trial::test("its_own_end", || ended_by("end", None, true)),
        Trial::test("an_error", || ended_by("error", None, false)),
        Trial::test("a_panic", || ended_by("panic", None, false)),
        Trial::test("a_panic_of_another_thread", || {
            ended_by("panic elsewhere", None, false)
        }),
        Trial::test("a_stopped_terminal", stopped),
        Trial::test("a_terminal_that_hangs_up", hung_up),
        Trial::test("another_size", resized),
        Trial::test("no_colour_where_it_is_not_welcome", || {
            let (terminal, child) = Terminal::run("wait");
            terminal.press("5");
            terminal.shows("SHARE")?;
            terminal.press("q");
            expect("the end", wait(child).success(), true)?;
            expect("colour", coloured(&terminal.written()), false)
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// Whether a colour is chosen (ECMA-48, section 8.3.117, and 90 to 107); 39 and 49 are none.
fn coloured(written: &str) -> bool {
    let sequences = written.split("\x1b[").skip(1);
    let ends = |c: char| c.is_ascii_alphabetic();
    let looks = sequences.filter_map(|rest| {
        let (parameters, end) = rest.split_at(rest.find(ends)?);
        end.starts_with('m').then_some(parameters)
    });
    let mut numbers = looks.flat_map(|look| look.split(';'));
    numbers.any(|number| matches!(number.parse(), Ok(30..=38 | 40..=48 | 90..=107)))
}

fn ended_by(what: &str, keys: Option<&str>, well: bool) -> Result<(), Failed> {
    let (terminal, child) = Terminal::run(what);
    if let Some(keys) = keys {
        terminal.press(keys);
    }
    let status = wait(child);
    expect("a good end", status.success(), well)?;
    terminal.is_as_before()?;
    terminal.shows(LEFT)
}

/// The pictures that nobody takes are left out, and the end does not wait for them.
fn stopped() -> Result<(), Failed> {
    let (terminal, child) = Terminal::run("many pictures");
    tcflow(&terminal.program, Action::OOff).unwrap();
    let started = Instant::now();
    let status = wait(child);
    expect("a good end", status.success(), true)?;
    expect(
        "a quick end",
        started.elapsed() < Duration::from_secs(6),
        true,
    )?;
    expect("modes", terminal.modes() == terminal.before, true)
}

fn hung_up() -> Result<(), Failed> {
    let (mut terminal, child) = Terminal::run("wait");
    terminal.hang_up();
    let status = wait(child);
    // By the end of its input; SIGHUP is for what the terminal controls.
    expect("an end", status.code().is_some(), true)
}

fn resized() -> Result<(), Failed> {
    let (terminal, child) = Terminal::run("wait");
    terminal.resize(40, 10);
    // Nobody is told: a terminal that controls no process sends no signal. The next key shows it.
    terminal.press("2");
    terminal.shows("1Name")?;
    terminal.press("q");
    expect("a good end", wait(child).success(), true)
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), Failed> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: {found:?}, expected {expected:?}").into())
}

fn wait(mut child: Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > LONG {
            child.kill().unwrap();
            return child.wait().unwrap();
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A terminal, its modes from before, and what has been written to it.
struct Terminal {
    user: Option<OwnedFd>,
    program: OwnedFd,
    before: String,
    written: Arc<Mutex<Vec<u8>>>,
    closed: Arc<AtomicBool>,
}

impl Terminal {
    /// A terminal with a process that does something on it, and has drawn.
    fn run(what: &str) -> (Self, Child) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let user = openpt(flags).unwrap();
        unlockpt(&user).unwrap();
        let program = ioctl_tiocgptpeer(&user, flags).unwrap();
        let written = Arc::default();
        let mut terminal = Self {
            user: Some(user),
            program,
            before: String::new(),
            written,
            closed: Arc::default(),
        };
        terminal.before = terminal.modes();
        terminal.resize(80, 24);
        terminal.read();
        let io = || Stdio::from(terminal.program.try_clone().unwrap());
        let child = Command::new(env::current_exe().unwrap())
            .env(TRY, what)
            .env("NO_COLOR", "1")
            .stdin(io())
            .stdout(io())
            .spawn()
            .unwrap();
        // Spaces are there already, and are not written.
        let _ = terminal.shows("nothing");
        (terminal, child)
    }

    /// Reads what is written until the terminal is closed.
    fn read(&self) {
        let user = self.user.as_ref().unwrap().try_clone().unwrap();
        let written = Arc::clone(&self.written);
        let closed = Arc::clone(&self.closed);
        thread::spawn(move || {
            let mut user = File::from(user);
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = user.read(&mut bytes) {
                written.lock().unwrap().extend_from_slice(&bytes[..read]);
                if closed.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
    }

    /// Nobody is there any more. The thread that reads holds the terminal, too: it ends with a last picture.
    fn hang_up(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        self.press("2");
        self.user = None;
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_col: columns,
            ws_row: rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.program, size).unwrap();
    }

    fn modes(&self) -> String {
        format!("{:?}", tcgetattr(&self.program).unwrap())
    }

    fn press(&self, keys: &str) {
        let user = self.user.as_ref().unwrap();
        rustix::io::write(user, keys.as_bytes()).unwrap();
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    fn shows(&self, text: &str) -> Result<(), Failed> {
        let started = Instant::now();
        while !self.written().contains(text) {
            if started.elapsed() > LONG {
                return Err(format!("{text:?} is not in {:?}", self.written()).into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn is_as_before(&self) -> Result<(), Failed> {
        expect("modes", self.modes(), self.before.clone())
    }
}

/// The process on the terminal.
fn child(what: &str) -> ExitCode {
    match drawing(what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn drawing(what: &str) -> io::Result<()> {
    let look = Look {
        instance: "test".to_owned(),
        colour: false,
        zone: TimeZone::UTC,
    };
    let folder = tempfile::tempdir()?;
    let needs = Needs::reading(folder.path()).terminal();
    // Keeps what is removed at the end from being removed, which is not allowed then.
    let _ = folder.keep();
    // As a session does: rustix looks for the kernel's clock at the first use.
    let _ = boot_now();
    apply(&needs, Mode::Strict).map_err(io::Error::other)?;
    let stop = Stop::new()?;
    let mut sink = TallySink::default();
    let face = Face::start(look, &stop)?;
    let mut feed = Feed::new(Rc::clone(&sink.0), Stats::default(), face);
    let options = Options {
        filter: Filter::default(),
        timeout_ns: 1,
        max_pending: 16,
        count: None,
        start_ns: 0,
        hold_ns: 0,
    };
    let mut pipeline = Pipeline::new(options, &mut sink);
    thread::sleep(Duration::from_millis(300));
    match what {
        "wait" => {
            let mut reader = Reader::new(Vec::new(), &stop)?;
            let read = reader.run(&mut pipeline, &mut feed);
            read.map_err(io::Error::other)?;
        }
        "many pictures" => {
            for packets in 0..2000 {
                let counters = Stats {
                    packets,
                    ..Stats::default()
                };
                feed.tick(&mut pipeline, &counters)?;
                thread::sleep(Duration::from_millis(1));
            }
        }
        "error" => return Err(io::Error::other("an error")),
        "panic" => panic_here(),
        "panic elsewhere" => {
            let _ = thread::spawn(panic_here).join();
            return Err(io::Error::other("a thread panicked"));
        }
        _ => {}
    }
    feed.end(&Summary::default());
    feed.outcome()
}

#[expect(clippy::panic, reason = "what is tested")]
fn panic_here() {
    panic!("as the test wants it");
}
