//! Bad input: one line with the remedy, the documented exit code, and nothing left behind.

use std::process::Stdio;

use anyhow::{Result, ensure};

use crate::lab::ctl::{ctl, load_hook, nothing_left, push};
use crate::lab::daemon::Daemon;
use crate::lab::names::{NameServers, ask};
use crate::lab::net::{self, SERVER_DEVICE};
use crate::lab::reader::{GROUP, unprivileged, writable_lab};
use crate::lab::registry::{self, REGISTRY};
use crate::lab::sh;

/// Names of things that are not there.
pub(crate) fn local() -> Result<()> {
    net::create()?;
    let cases: [(&[&str], i32, &[&str]); 5] = [
        (&["--iface", "nodev0"], 3, &["nodev0"]),
        (
            &["--iface", SERVER_DEVICE, "--netns", "nowhere"],
            3,
            &["nowhere"],
        ),
        (
            &[
                "--iface",
                SERVER_DEVICE,
                "--netns",
                "server",
                "--group",
                "nogroup-here",
            ],
            3,
            &["nogroup-here", "groupadd"],
        ),
        (
            &[
                "--iface",
                SERVER_DEVICE,
                "--netns",
                "server",
                "--object",
                "/etc/passwd",
            ],
            6,
            &["/etc/passwd"],
        ),
        (
            &[
                "--iface",
                SERVER_DEVICE,
                "--netns",
                "server",
                "--object",
                "/no/such.o",
            ],
            3,
            &["/no/such.o"],
        ),
    ];
    for (words, code, said) in cases {
        let mut line = vec!["load", "--local", "--hook", "tc"];
        line.extend(words);
        ctl(&line)?.exits(code)?.refuses(said)?;
        nothing_left()?;
    }
    Ok(())
}

/// A daemon that is not there, an image that is not there, a certificate that nobody vouches for.
pub(crate) fn daemon() -> Result<()> {
    net::create()?;
    let place = [
        "--iface",
        SERVER_DEVICE,
        "--netns",
        "server",
        "--hook",
        "tc",
    ];
    let load = |image: &str| {
        let mut line = vec!["load", "--image", image];
        line.extend(place);
        ctl(&line)
    };
    load("registry.test:5000/dns-trace:1")?
        .exits(5)?
        .refuses(&["bpfman"])?;
    nothing_left()?;
    let mut local = vec![
        "load",
        "--local",
        "--image",
        "registry.test:5000/dns-trace:1",
    ];
    local.extend(place);
    ctl(&local)?
        .exits(8)?
        .refuses(&["cannot reach", "registry.test:5000"])?;
    nothing_left()?;
    let _registry = registry::start()?;
    ctl(&["image", "push", &format!("{REGISTRY}/dns-trace:1")])?
        .exits(8)?
        .refuses(&["certificate"])?;
    let bpfman = registry::bpfman()?;
    load(&format!("{REGISTRY}/no-such-image:1"))?
        .exits(5)?
        .refuses(&["no-such-image"])?;
    nothing_left()?;
    let image = push("bad-input")?;
    let mut unknown = vec![
        "load", "--image", &image, "--hook", "tc", "--netns", "server", "--iface", "nodev0",
    ];
    ctl(&unknown)?.exits(3)?.refuses(&["nodev0"])?;
    nothing_left()?;
    drop(bpfman);
    unknown.pop();
    unknown.push(SERVER_DEVICE);
    ctl(&unknown)?.exits(5)?.refuses(&["bpfman"])?;
    nothing_left()
}

/// A reader whose output nobody reads any more ends, well and without complaint.
pub(crate) fn closed_pipe() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    load_hook("tc", &["--local"])?.ok()?;
    writable_lab()?;
    let line =
        "{ dns-trace watch --output json --timeout 1s; echo $? > /run/lab/code; } | head -n 1";
    let mut pipe = Daemon::start("pipe", &mut unprivileged(Some(GROUP), &["sh", "-c", line]))?
        .ready(20, |d| Ok(d.stderr().contains("dns-trace: reading")))?;
    // The first line ends `head`; the reader notices when it writes the next one.
    for _ in 0..3 {
        ask("www.example.test", "A", "NOERROR")?;
    }
    pipe.wait(10)?;
    let code = std::fs::read_to_string("/run/lab/code")?;
    ensure!(
        code.trim() == "0",
        "a reader with a closed pipe ended with {code}: {}",
        pipe.stderr()
    );
    ensure!(
        !pipe.stderr().contains("cannot"),
        "a closed pipe is no error: {}",
        pipe.stderr()
    );
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// So does the operator's tool.
pub(crate) fn operator_closed_pipe() -> Result<()> {
    let (read, write) = std::io::pipe()?;
    drop(read);
    let mut command = sh::command(&["dns-tracectl", "image", "build-args"]);
    command.stdout(write).stderr(Stdio::piped());
    let ended = command.spawn()?.wait_with_output()?;
    ensure!(
        ended.status.success() && ended.stderr.is_empty(),
        "a closed pipe ended it with {}: {}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    );
    nothing_left()
}
