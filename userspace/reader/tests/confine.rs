//! What confinement refuses and what it leaves, tried on the kernel of this machine. Each try is a process of
//! its own, this program again. What is refused is done without confinement as well, where it must work:
//! else the refusal would say nothing.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::thread;

use dns_trace::confine::{Error, Mode, Needs, apply};
use dns_trace::interface::Interfaces;
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// Name of a try, its mode, its folder, for the process that does it.
const TRY: [&str; 3] = ["DNS_TRACE_TRY", "DNS_TRACE_MODE", "DNS_TRACE_PLACE"];

/// Confines the process: for how it is to be confined, see the variable.
type Confine<'a> = &'a dyn Fn(Needs);
/// Confines itself and does something.
type Action = fn(Confine<'_>, &Path) -> io::Result<()>;

/// What is refused, and with which error.
const REFUSED: &[(&str, i32, Action)] = &[
    ("reading_elsewhere", libc::EACCES, |confine, place| {
        confine(reading(place));
        File::open(place.join("outside/file")).map(drop)
    }),
    ("listing_elsewhere", libc::EACCES, |confine, place| {
        confine(reading(place));
        fs::read_dir(place.join("outside")).map(drop)
    }),
    (
        "reading_beside_the_bundle",
        libc::EACCES,
        |confine, place| {
            confine(reading(place));
            File::open(place.join("run/later/file")).map(drop)
        },
    ),
    ("a_thread_of_it", libc::EACCES, |confine, place| {
        confine(reading(place));
        let file = place.join("outside/file");
        thread::spawn(|| File::open(file).map(drop)).join().unwrap()
    }),
    ("writing_what_it_reads", libc::EPERM, |confine, place| {
        confine(reading(place));
        let file = place.join("run/bundle/file");
        OpenOptions::new().append(true).open(file).map(drop)
    }),
    ("creating_a_file", libc::EPERM, |confine, place| {
        confine(reading(place));
        File::create(place.join("run/bundle/new")).map(drop)
    }),
    ("removing_a_file", libc::EPERM, |confine, place| {
        confine(reading(place));
        fs::remove_file(place.join("run/bundle/file"))
    }),
    ("creating_elsewhere", libc::EACCES, |confine, place| {
        confine(reading(place).writes(place.join("out")));
        File::create(place.join("outside/new")).map(drop)
    }),
    (
        "moving_out_of_the_folder",
        libc::EACCES,
        |confine, place| {
            confine(reading(place).writes(place.join("out")));
            fs::rename(place.join("out/file"), place.join("outside/moved"))
        },
    ),
    ("another_program", libc::EPERM, |confine, place| {
        confine(reading(place));
        Command::new("/bin/true").status().map(drop)
    }),
    ("becoming_another_program", libc::EPERM, |confine, place| {
        confine(reading(place));
        Err(Command::new("/bin/true").exec())
    }),
    ("being_traced", libc::EPERM, |confine, place| {
        confine(reading(place));
        // SAFETY: the request has no argument.
        check(unsafe { libc::ptrace(libc::PTRACE_TRACEME) })
    }),
    ("looking_into_another", libc::EACCES, |confine, place| {
        let parent = rustix::process::getppid().unwrap().as_raw_pid();
        confine(reading(place).reads("/proc"));
        fs::read_link(format!("/proc/{parent}/exe")).map(drop)
    }),
    ("a_signal_to_another", libc::EPERM, |confine, place| {
        let parent = rustix::process::getppid().unwrap();
        confine(reading(place));
        Ok(rustix::process::test_kill_process(parent)?)
    }),
    ("connecting", libc::EPERM, |confine, place| {
        let peer = TcpListener::bind("127.0.0.1:0")?;
        confine(reading(place));
        TcpStream::connect(peer.local_addr()?).map(drop)
    }),
    (
        "connecting_to_another_port",
        libc::EACCES,
        |confine, place| {
            let peer = TcpListener::bind("127.0.0.1:0")?;
            let wanted = TcpListener::bind("127.0.0.1:0")?;
            confine(reading(place).connects(wanted.local_addr()?.port()));
            TcpStream::connect(peer.local_addr()?).map(drop)
        },
    ),
    (
        "connecting_out_of_the_host",
        libc::EPERM,
        |confine, place| {
            let peer = TcpListener::bind("127.0.0.1:0")?;
            confine(reading(place).connects_locally());
            TcpStream::connect(peer.local_addr()?).map(drop)
        },
    ),
    ("listening", libc::EPERM, |confine, place| {
        confine(reading(place).accepts());
        TcpListener::bind("127.0.0.1:0").map(drop)
    }),
    ("memory_that_becomes_code", libc::EPERM, |confine, place| {
        confine(reading(place));
        let access = ProtFlags::READ | ProtFlags::WRITE | ProtFlags::EXEC;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let map = unsafe { mmap_anonymous(std::ptr::null_mut(), 1, access, MapFlags::PRIVATE) };
        Ok(map.map(drop)?)
    }),
    ("a_higher_limit", libc::EPERM, |confine, place| {
        confine(reading(place));
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Ok(rustix::process::setrlimit(
            rustix::process::Resource::Nofile,
            limit,
        )?)
    }),
];

/// What is left, in strict mode: a system call that is not on the list ends the process.
const LEFT: &[(&str, Action)] = &[
    ("reading_the_bundle_anew", |confine, place| {
        confine(reading(place));
        let folder = place.join("run/bundle/rings/0");
        assert_eq!(fs::read_dir(place.join("run/bundle/rings"))?.count(), 2);
        let lock = File::open(&folder)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        assert!(fs::read_to_string("/proc/locks")?.contains("FLOCK"));
        let error = dns_trace::bundle::open(&place.join("run"), "bundle")
            .err()
            .unwrap();
        assert_eq!(error.exit_code(), 5, "{error}");
        Ok(())
    }),
    // As of one that is mounted where the bundle was.
    ("listing_another_bundle", |confine, place| {
        confine(reading(place));
        let lock = File::open(place.join("run/later/rings"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        assert_eq!(fs::read_dir(place.join("run/later"))?.count(), 2);
        Ok(())
    }),
    ("what_everybody_may_know_of_another", |confine, place| {
        let parent = rustix::process::getppid().unwrap().as_raw_pid();
        confine(reading(place).reads("/proc"));
        for file in ["comm", "cgroup", "status"] {
            assert!(!fs::read_to_string(format!("/proc/{parent}/{file}"))?.is_empty());
        }
        Ok(())
    }),
    ("rotating_files", |confine, place| {
        let out = place.join("out");
        confine(reading(place).writes(&out));
        fs::write(out.join("new"), "a capture")?;
        fs::rename(out.join("new"), out.join("new.1"))?;
        File::create(out.join("new"))?.sync_all()?;
        fs::remove_file(out.join("new.1"))?;
        fs::write(out.join("new"), "another")
    }),
    ("what_is_open", |confine, place| {
        let path = place.join("outside/file");
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        confine(reading(place));
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        file.set_len(0)
    }),
    ("names_of_devices", |confine, place| {
        let mut interfaces = Interfaces::new();
        confine(reading(place));
        assert_eq!(interfaces.name(0, 1, 0), Some("lo"));
        Ok(())
    }),
    ("threads_and_waiting", |confine, place| {
        confine(reading(place));
        let (send, receive) = std::sync::mpsc::channel();
        let waiter = thread::Builder::new().name("waiter".to_owned());
        let waiter =
            waiter.spawn(move || receive.recv_timeout(std::time::Duration::from_secs(9)))?;
        send.send(vec![0_u8; 9 << 20]).unwrap();
        assert_eq!(waiter.join().unwrap().unwrap().len(), 9 << 20);
        thread::sleep(std::time::Duration::from_millis(1));
        Ok(())
    }),
    ("accepting", |confine, place| {
        let server = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect(server.local_addr()?)?;
        confine(reading(place).accepts());
        let (peer, _) = server.accept()?;
        peer.set_nonblocking(true)?;
        peer.set_nodelay(true)?;
        drop(client);
        peer.shutdown(std::net::Shutdown::Both)
    }),
    ("answering_scrapes", |confine, place| {
        let server = TcpListener::bind("127.0.0.1:0")?;
        server.set_nonblocking(true)?;
        let mut client = TcpStream::connect(server.local_addr()?)?;
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n")?;
        let limits = dns_trace::metrics::Limits {
            servers: 1,
            names: None,
            series: 1,
        };
        let meter = dns_trace::metrics::Meter::new(limits);
        let plan = dns_trace::serve::Plan::new(Some(server), meter.measures())?;
        confine(reading(place).accepts());
        let server = plan.start()?;
        let mut text = String::new();
        client.read_to_string(&mut text)?;
        assert!(text.contains("dns_trace_build_info"), "{text}");
        server.stop()
    }),
    ("sending_to_a_collector_again", |confine, place| {
        let collector = TcpListener::bind("127.0.0.1:0")?;
        let port = collector.local_addr()?.port();
        let limits = dns_trace::metrics::Limits {
            servers: 1,
            names: None,
            series: 1,
        };
        let measures = dns_trace::metrics::Meter::new(limits).measures();
        let url = format!("http://localhost:{port}")
            .parse()
            .map_err(io::Error::other)?;
        let url: dns_trace::serve::otlp::Url = url;
        let exporter = dns_trace::serve::otlp::Exporter::new(
            url.find().map_err(io::Error::other)?,
            dns_trace::serve::otlp::Source::this_host("default"),
            measures.clone(),
            std::time::Duration::from_millis(10),
        );
        let plan = dns_trace::serve::Plan::new(None, measures)?.with_exporter(Some(exporter));
        confine(reading(place).connects(port).accepts());
        let server = plan.start()?;
        for _ in 0..2 {
            // It looks the name up anew, and greets; who hangs up is called again.
            let mut greeting = [0; 14];
            collector.accept()?.0.read_exact(&mut greeting)?;
            assert_eq!(&greeting, b"PRI * HTTP/2.0");
        }
        drop(collector);
        server.stop()
    }),
    ("connecting_again", |confine, place| {
        let server = TcpListener::bind("127.0.0.1:0")?;
        let port = server.local_addr()?.port();
        confine(reading(place).connects(port));
        for _ in 0..2 {
            TcpStream::connect(("localhost", port))?;
        }
        Ok(())
    }),
    ("connecting_locally_again", |confine, place| {
        let path = place.join("outside/socket");
        let _server = UnixListener::bind(&path)?;
        confine(reading(place).connects_locally());
        for _ in 0..2 {
            UnixStream::connect(&path)?;
        }
        Ok(())
    }),
    ("waking_a_terminals_loop", |confine, place| {
        confine(reading(place).terminal());
        UnixStream::pair().map(drop)
    }),
    ("opening_pins", |confine, place| {
        confine(reading(place));
        // BPF_OBJ_GET of no path: the kernel is asked, and finds the address bad.
        assert_eq!(bpf(7).unwrap_err().raw_os_error(), Some(libc::EFAULT));
        Ok(())
    }),
];

fn main() -> ExitCode {
    if let Ok(name) = env::var(TRY[0]) {
        return child(&name);
    }
    let refused = REFUSED.iter().map(|(name, errno, _)| {
        Trial::test(format!("refused::{name}"), || {
            let status = run(name, Mode::Off);
            // A program that this process becomes ends well.
            expect("without confinement", status.code(), Some(0), status)?;
            let status = run(name, Mode::On);
            expect("confined", status.code(), Some(*errno), status)
        })
    });
    let left = LEFT.iter().map(|(name, _)| {
        Trial::test(format!("left::{name}"), || {
            let status = run(name, Mode::Strict);
            expect("confined", status.code(), Some(0), status)
        })
    });
    let rest = [
        Trial::test("strict_mode_ends_the_process", || {
            let status = run("another_program", Mode::Strict);
            expect(
                "strictly confined",
                status.signal(),
                Some(libc::SIGSYS),
                status,
            )
        }),
        Trial::test("other_commands_of_bpf_are_refused", || {
            for (mode, errno) in [(Mode::Off, libc::EINVAL), (Mode::On, libc::EPERM)] {
                let status = run(PINNING, mode);
                expect("bpf()", status.code(), Some(errno), status)?;
            }
            Ok(())
        }),
        Trial::test("threads_from_before_are_an_error", || {
            let status = run(LATE, Mode::On);
            expect("with a thread", status.code(), Some(TOO_LATE), status)
        }),
        Trial::test("the_kernel_says_so_too", || {
            let status = run(STATUS, Mode::Strict);
            expect("/proc/self/status", status.code(), Some(0), status)
        }),
    ];
    let tests = refused.chain(left).chain(rest).collect();
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// Tries that are not in the tables.
const PINNING: &str = "pinning";
const LATE: &str = "late";
const STATUS: &str = "status";
/// Exit code of a process that has a thread too many.
const TOO_LATE: i32 = 200;

fn reading(place: &Path) -> Needs {
    Needs::reading(&place.join("run/bundle"))
}

fn expect<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    expected: T,
    status: ExitStatus,
) -> Result<(), Failed> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: {status}, expected {expected:?}").into())
}

/// Has a process try it in a folder of its own.
fn run(name: &str, mode: Mode) -> ExitStatus {
    let place = tempfile::tempdir().unwrap();
    for folder in [
        "run/bundle/rings/0",
        "run/bundle/rings/1",
        "run/later/rings",
        "outside",
        "out",
    ] {
        fs::create_dir_all(place.path().join(folder)).unwrap();
    }
    for file in [
        "run/bundle/file",
        "run/later/file",
        "outside/file",
        "out/file",
    ] {
        fs::write(place.path().join(file), "text").unwrap();
    }
    let mut command = Command::new(env::current_exe().unwrap());
    let values = [
        name.into(),
        format!("{mode:?}").into(),
        place.path().as_os_str().to_owned(),
    ];
    command.envs(TRY.into_iter().zip(values));
    command.status().unwrap()
}

/// The process that tries; its exit code is the number of the error.
fn child(name: &str) -> ExitCode {
    let mode = match env::var(TRY[1]).unwrap().as_str() {
        "On" => Mode::On,
        "Strict" => Mode::Strict,
        _ => Mode::Off,
    };
    let place = env::var_os(TRY[2]).unwrap();
    let place = Path::new(&place);
    let confine = |needs: Needs| {
        let confined = apply(&needs, mode).unwrap();
        // On a kernel without Landlock or seccomp there is nothing to test.
        assert_eq!(confined.and_then(|confined| confined.missing()), None);
    };
    let tables = REFUSED.iter().map(|(name, _, action)| (*name, *action));
    let tables = tables.chain(LEFT.iter().copied());
    let result = match name {
        PINNING => {
            confine(reading(place));
            bpf(6)
        }
        LATE => return late(),
        STATUS => {
            confine(reading(place).reads("/proc/self"));
            status_is_confined()
        }
        _ => tables
            .into_iter()
            .find(|(known, _)| *known == name)
            .map_or(Err(io::ErrorKind::NotFound.into()), |(_, action)| {
                action(&confine, place)
            }),
    };
    let code = result.map_or_else(|error| error.raw_os_error().unwrap_or(255), |()| 0);
    ExitCode::from(u8::try_from(code).unwrap_or(255))
}

fn late() -> ExitCode {
    let (_keep, wait) = std::sync::mpsc::channel::<()>();
    thread::spawn(move || wait.recv());
    match apply(&Needs::default(), Mode::On) {
        Err(Error::Threads(2)) => ExitCode::from(TOO_LATE as u8),
        _ => ExitCode::FAILURE,
    }
}

/// What the kernel says of each thread, of which one was started since.
fn status_is_confined() -> io::Result<()> {
    let (keep, wait) = std::sync::mpsc::channel::<()>();
    let thread = thread::spawn(move || wait.recv());
    let mut threads = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        for line in ["NoNewPrivs:\t1\n", "Seccomp:\t2\n"] {
            assert!(status.contains(line), "{status}");
        }
        threads += 1;
    }
    assert_eq!(threads, 2);
    drop(keep);
    assert!(thread.join().unwrap().is_err());
    Ok(())
}

/// bpf(2) with nothing but a command.
fn bpf(command: libc::c_long) -> io::Result<()> {
    let attributes = [0_u64; 16];
    // SAFETY: the kernel reads so many bytes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    check(result)
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
