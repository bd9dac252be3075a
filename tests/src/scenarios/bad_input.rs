//! Bad input: one line with the remedy, the documented exit code, and nothing left behind.

use anyhow::Result;

use crate::lab::ctl::{ctl, nothing_left, push};
use crate::lab::net::{self, SERVER_DEVICE};
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

/// A closed pipe ends the reader without a word of complaint.
pub(crate) fn closed_pipe() -> Result<()> {
    sh::run(&mut sh::command(&[
        "sh",
        "-c",
        "dns-trace watch --help | true; dns-tracectl --help | true",
    ]))?
    .ok()?;
    Ok(())
}
