//! `dns-trace top` on a real terminal, as somebody who may nothing, strictly confined.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::lab::ctl::{ctl, load_hook, nothing_left};
use crate::lab::names::{NameServers, ask};
use crate::lab::net;
use crate::lab::reader::{GROUP, unprivileged, writable_lab};
use crate::lab::sh;
use crate::lab::terminal::{OnTerminal, Terminal};

const ERRORS: &str = "/run/lab/top.err";
const CONFIG: &str = "/run/lab/top.toml";
const SUMMARY: &str = "/run/lab/top.json";

/// Lookups that a stopped terminal does not hold up.
const BEHIND: u64 = 40;

/// How a session ends.
#[derive(Clone, Copy, Debug)]
enum By {
    Keys(&'static str),
    Signal(Signal),
}

/// Shows names, follows the size, and gives the terminal back whichever way it ends.
pub(crate) fn terminal() -> Result<()> {
    lab(|| {
        for by in [
            By::Keys("q"),
            By::Keys("\x1b"),
            By::Keys("\x03"),
            By::Signal(Signal::TERM),
            By::Signal(Signal::INT),
        ] {
            session(by).with_context(|| format!("ended by {by:?}"))?;
        }
        Ok(())
    })
}

/// While the terminal takes nothing, the ring is read on, and the end is none the less quick.
pub(crate) fn stopped() -> Result<()> {
    lab(|| {
        let (terminal, before, top) = start()?;
        terminal.stop()?;
        for _ in 0..BEHIND {
            ask("www.example.test", "A", "NOERROR")?;
        }
        top.signal(Signal::TERM)?;
        top.ends(5)?;
        terminal.go_on()?;
        ensure!(terminal.modes()? == before, "the modes are not the same");
        let summary: Value = serde_json::from_str(&fs::read_to_string(SUMMARY)?)?;
        let answered = summary.pointer("/reader/answered").and_then(Value::as_u64);
        ensure!(answered == Some(BEHIND), "{answered:?} answered: {summary}");
        Ok(())
    })
}

fn lab(run: impl FnOnce() -> Result<()>) -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    writable_lab()?;
    load_hook("tc", &["--local"])?.ok()?;
    run()?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// A terminal, its modes, and `top` on it, which draws.
fn start() -> Result<(Terminal, String, OnTerminal)> {
    let terminal = Terminal::new()?;
    let before = terminal.modes()?;
    let options = format!("[top]\nconfine = 'strict'\nsummary-file = '{SUMMARY}'\n");
    fs::write(CONFIG, options)?;
    let words = ["dns-trace", "--config", CONFIG, "top"];
    let top = terminal.run(&unprivileged(Some(GROUP), &words), ERRORS)?;
    let drawn = terminal.shows("nothing", 20);
    drawn.with_context(|| fs::read_to_string(ERRORS).unwrap_or_default())?;
    ensure!(terminal.modes()? != before, "the terminal is not taken");
    Ok((terminal, before, top))
}

fn session(by: By) -> Result<()> {
    let (terminal, before, top) = start()?;
    let status = fs::read_to_string(format!("/proc/{}/status", top.pid()))?;
    ensure!(status.contains("Seccomp:\t2\n"), "not confined: {status}");
    // Only cells that change are written: a second row begins on an empty line.
    ask("www.example.test", "A", "NOERROR")?;
    ask("www.example.test", "A", "NOERROR")?;
    ask("nowhere.example.test", "A", "NXDOMAIN")?;
    terminal.shows("www.example.test", 5)?;
    terminal.shows("nowhere.example.test", 5)?;
    // Below 64 columns tabs are cut short.
    terminal.resize(40, 10)?;
    terminal.shows("1Name", 5)?;
    press(&terminal, "/nowhere\r", "/nowhere")?;
    press(&terminal, "\r", "ANSWERS")?;
    // Out of the name, and of the text.
    press(&terminal, "\x1b", "LOOKUPS")?;
    press(&terminal, "\x1b", "www.example.test")?;
    match by {
        By::Keys(keys) => terminal.press(keys)?,
        By::Signal(signal) => top.signal(signal)?,
    }
    top.ends(5)?;
    ensure!(terminal.modes()? == before, "the modes are not the same");
    terminal.shows("\x1b[?25h\x1b[?1049l", 1)?;
    let said = fs::read_to_string(ERRORS)?;
    ensure!(said.contains("6 messages in"), "no summary: {said}");
    Ok(())
}

/// Presses keys, and waits until a text is written because of it. Only what differs is drawn, and so a text may
/// come in pieces: another size brings all of it again.
fn press(terminal: &Terminal, keys: &str, text: &str) -> Result<()> {
    let times = |terminal: &Terminal| terminal.written().matches(text).count();
    let before = times(terminal);
    terminal.press(keys)?;
    let mut looks = 0;
    let waited = sh::wait_for(text, 5, || {
        looks += 1;
        if looks % 50 == 0 {
            terminal.resize(if looks % 100 == 0 { 40 } else { 39 }, 10)?;
        }
        Ok(times(terminal) > before)
    });
    waited.with_context(|| format!("{keys:?} pressed: {:?}", terminal.written()))
}
