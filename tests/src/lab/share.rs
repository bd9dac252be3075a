//! Two processes with one socket: the second is started by the first, with the socket as its standard
//! input, and sends what it is told to.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How the two use it. Each step sends one query, whose name begins with the step's.
#[derive(Clone, Copy, Debug)]
struct Step {
    name: &'static str,
    /// By the second process.
    other: bool,
    /// Before it, from the step before.
    after: Duration,
}

const fn step(name: &'static str, other: bool, after_ms: u64) -> Step {
    Step {
        name,
        other,
        after: Duration::from_millis(after_ms),
    }
}

/// By turns, at once.
const SHARED: &[Step] = &[
    step("first", false, 0),
    step("second", true, 0),
    step("third", false, 0),
    step("fourth", true, 7000),
];
/// Given away after a quiet.
const HANDED_OVER: &[Step] = &[
    step("before", false, 0),
    step("early", true, 1500),
    step("late", true, 6000),
];

/// Sends the steps of `shared` or `handed-over` to a server, and prints its own process id.
///
/// # Errors
/// If the server cannot be reached or does not answer.
pub fn main(kind: &str, server: &str) -> Result<()> {
    let steps = if kind == "shared" {
        SHARED
    } else {
        HANDED_OVER
    };
    let socket = UdpSocket::bind("0.0.0.0:0").context("cannot bind")?;
    socket
        .connect(server)
        .with_context(|| format!("cannot connect to {server}"))?;
    println!("first-process {}", std::process::id());
    let mut at = 0;
    while let Some(step) = steps.get(at) {
        if step.other {
            // All in a row by one process.
            let rest = steps.get(at..).unwrap_or_default();
            let row: Vec<&Step> = rest.iter().take_while(|step| step.other).collect();
            at += row.len();
            other(&socket, &row)?;
        } else {
            thread::sleep(step.after);
            ask(&socket, step.name)?;
            at += 1;
        }
    }
    Ok(())
}

fn other(socket: &UdpSocket, row: &[&Step]) -> Result<()> {
    let stdin: OwnedFd = socket.as_fd().try_clone_to_owned()?;
    let mut child = Command::new("/proc/self/exe");
    child.arg("share-other");
    for step in row {
        child.args([step.name, &step.after.as_millis().to_string()]);
    }
    let mut child = child
        .stdin(Stdio::from(stdin))
        .spawn()
        .context("cannot start the second process")?;
    println!("second-process {}", child.id());
    let status = child.wait()?;
    ensure!(status.success(), "the second process failed: {status}");
    Ok(())
}

/// The second process: names and milliseconds to wait before, by turns.
///
/// # Errors
/// If standard input is no socket, or the server does not answer.
pub fn other_main(words: &[&str]) -> Result<()> {
    let socket = UdpSocket::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    for pair in words.chunks_exact(2) {
        thread::sleep(Duration::from_millis(pair[1].parse()?));
        ask(&socket, pair[0])?;
    }
    Ok(())
}

/// Sends a query for the address of `NAME.wild.example.test` and waits for any answer.
fn ask(socket: &UdpSocket, name: &str) -> Result<()> {
    socket
        .send(&query(&format!("{name}.wild.example.test")))
        .with_context(|| format!("cannot send {name}"))?;
    answered(socket, name)
}

/// Waits for any answer.
pub(super) fn answered(socket: &UdpSocket, name: &str) -> Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut answer = [0; 512];
    // Signals of io_uring's workers interrupt a wait.
    let len = loop {
        match socket.recv(&mut answer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => break result.with_context(|| format!("no answer to {name}"))?,
        }
    };
    ensure!(len > 12, "a short answer to {name}");
    Ok(())
}

/// Header (RFC 1035, section 4.1.1) with one question, and the question: type A, class IN.
pub(crate) fn query(name: &str) -> Vec<u8> {
    let id = name
        .bytes()
        .fold(7_u16, |id, byte| id.wrapping_mul(31) ^ u16::from(byte));
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(0));
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}
