//! What `cargo xtask demo` shows: real clients, a real name server, and what an unprivileged user
//! sees of their lookups. The same steps run on the machine itself, in namespaces that end with the
//! demo, or in a guest with a registry and the bpfman daemon.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::lab::names::{NameServers, dig};
use crate::lab::net::{self, CLIENT_DEVICE, MUTE, SERVER};
use crate::lab::reader::{GROUP, unprivileged};
use crate::lab::{registry, sh};

/// Who loads the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `dns-tracectl load --local`.
    Local,
    /// `dns-tracectl load --image` through the bpfman daemon.
    Bpfman,
}

/// What the clients ask: server, name, type.
const QUESTIONS: &[(&str, &str, &str)] = &[
    (SERVER.0, "www.example.test", "A"),
    (SERVER.1, "www.example.test", "AAAA"),
    (SERVER.0, "example.test", "MX"),
    (SERVER.0, "text.example.test", "TXT"),
    (SERVER.0, "alias.example.test", "A"),
    (SERVER.0, "nowhere.example.test", "A"),
    (SERVER.0, "www.broken.test", "A"),
    (MUTE, "never.example.test", "A"),
];

/// Runs the demo. Everything it makes is inside namespaces, and ends with the caller's.
///
/// # Errors
/// If a step fails.
pub fn run(way: Way) -> Result<()> {
    sh::quiet();
    net::create()?;
    let _names = NameServers::start()?;
    match way {
        Way::Local => load(&["--local"]),
        Way::Bpfman => {
            let _registry = registry::start()?;
            let _bpfman = registry::bpfman()?;
            let image = format!("{}/dns-trace:demo", registry::REGISTRY);
            show(&[
                "dns-tracectl",
                "image",
                "push",
                &image,
                "--ca-file",
                registry::CA,
            ])?;
            load(&["--image", &image])?;
            return watch();
        }
    }?;
    watch()
}

fn load(from: &[&str]) -> Result<()> {
    let mut words = vec!["dns-tracectl", "load"];
    words.extend(from);
    words.extend(["--iface", CLIENT_DEVICE, "--netns", "client"]);
    show(&words)
}

/// Prints a command as one would type it, and what it says.
fn show(words: &[&str]) -> Result<()> {
    println!("# {}", words.join(" "));
    let outcome = sh::run(&mut sh::command(words))?.ok()?;
    println!("{}", outcome.stdout.trim_end());
    println!();
    Ok(())
}

fn watch() -> Result<()> {
    let count = QUESTIONS.len().to_string();
    let words = [
        "dns-trace",
        "watch",
        "--output",
        "table",
        "--timeout",
        "2s",
        "--count",
        &count,
    ];
    let mut command = unprivileged(Some(GROUP), &words);
    println!(
        "$ {}        (uid 65534, group dns-trace, no capability, no_new_privs)",
        words.join(" ")
    );
    let mut reader = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start dns-trace")?;
    let mut said = std::io::BufReader::new(reader.stderr.take().context("no standard error")?);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line)?;
    for (server, name, kind) in QUESTIONS {
        dig(server, name, kind)?;
    }
    let status = reader.wait()?;
    std::io::Read::read_to_string(&mut said, &mut line)?;
    println!("{}", line.trim_end());
    ensure!(status.success(), "dns-trace ended with {status}");
    println!();
    show(&["dns-tracectl", "unload"])
}
