//! The doorbell on a real ring: who sleeps is woken, whoever naps is left alone until the ring fills, and
//! nothing lies there because a reader lay down at the wrong moment.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dns_trace_event::{FILL_MARK, READER_ASLEEP, READER_AWAKE, READER_NAPPING};

use crate::init::note;
use crate::lab::ctl::{ctl, load_hook, nothing_left};
use crate::lab::doorbell::Doorbell;
use crate::lab::net::{self, SERVER};
use crate::lab::reader::Watch;
use crate::lab::share::query;

/// Rounds of the race. In each a message comes just as the reader lies down.
const ROUNDS: u32 = 1_000;
/// Rounds in which the moment was met, at least: who looks may be the one that sleeps.
const MET: u32 = ROUNDS / 4;
/// From a reader that gets up to one that has lain down again, on an emulated processor.
const LYING_DOWN: Duration = Duration::from_micros(400);
/// A record that nobody is woken for lies there until the reader looks at its instance, every other second.
const LATE: Duration = Duration::from_millis(700);
/// Records between two looks at the fill, on either CPU, and what they take.
const LOOKS: usize = 2 * 16 * 256;

/// A message comes while the reader lies down: it is seen all the same.
pub(crate) fn race() -> Result<()> {
    lab(|wire| {
        let watch = Watch::start(&[])?;
        let bell = Doorbell::open()?;
        let (mut met, mut sent) = (0, 0);
        for round in 0..ROUNDS {
            until("a reader that sleeps", || bell.word() == READER_ASLEEP)?;
            wire.send()?;
            until("a reader that is woken", || bell.waiting() == 0)?;
            sent += 1;
            if !gets_up(&bell) {
                continue;
            }
            pause(LYING_DOWN * (round % 101) / 100);
            wire.send()?;
            until("a reader that sees it", || bell.waiting() == 0)?;
            (met, sent) = (met + 1, sent + 1);
        }
        ensure!(met >= MET, "{met} of {ROUNDS} rounds met the moment");
        let seen = watch.stop()?;
        seen.counts(&[("reader/orphans", sent), ("kernel/submitted", sent)])?;
        let lag = Duration::from_nanos(seen.number("reader/max_lag_ns")?);
        ensure!(lag < LATE, "a record waited for {lag:?}");
        note(&format!(
            "{met} messages as the reader lay down; the longest wait of all {sent} was {lag:?}"
        ))
    })
}

/// Without a reader: one that sleeps is rung for once, one that naps when the ring has filled to the mark, once.
pub(crate) fn rings_once() -> Result<()> {
    lab(|wire| {
        let bell = Doorbell::open()?;
        let listener = bell.listen()?;
        bell.set(READER_ASLEEP);
        wire.send()?;
        ensure!(listener.rings()?, "a reader that sleeps was not woken");
        ensure!(bell.word() == READER_AWAKE, "it is still said to sleep");
        wire.send()?;
        ensure!(!listener.rings()?, "it was woken twice");

        bell.set(READER_NAPPING);
        while bell.word() == READER_NAPPING {
            ensure!(!listener.rings()?, "rung before the word was changed");
            let waiting = bell.waiting();
            ensure!(
                waiting < FILL_MARK as usize + LOOKS,
                "a reader that naps was not woken at {waiting} octets"
            );
            wire.send()?;
        }
        let waiting = bell.waiting();
        ensure!(
            waiting >= FILL_MARK as usize,
            "a reader that naps was woken at {waiting} octets"
        );
        ensure!(listener.rings()?, "the word was changed, and nobody woken");
        for _ in 0..100 {
            wire.send()?;
        }
        ensure!(!listener.rings()?, "it was woken again above the mark");
        note(&format!("a reader that naps is woken at {waiting} octets"))
    })
}

/// The client's end of the wire: every message is a response that nobody asked for, which is shown at once and
/// keeps no timer running.
struct Wire {
    socket: UdpSocket,
    response: Vec<u8>,
}

impl Wire {
    fn new() -> Result<Self> {
        let socket = net::enter("client", || UdpSocket::bind("0.0.0.0:53"))??;
        let mut response = query("www.example.test");
        // QR (RFC 1035, section 4.1.1).
        *response.get_mut(2).context("no header")? |= 0x80;
        Ok(Self { socket, response })
    }

    fn send(&self) -> Result<()> {
        self.socket
            .send_to(&self.response, (SERVER.0, 5_000))
            .context("cannot send")?;
        Ok(())
    }
}

fn lab(run: impl FnOnce(&Wire) -> Result<()>) -> Result<()> {
    net::create()?;
    load_hook("tc", &["--local", "--no-owners"])?.ok()?;
    let wire = Wire::new()?;
    run(&wire)?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Looks on until the reader gets up from its nap; `false` if that was missed.
fn gets_up(bell: &Doorbell) -> bool {
    let naps = within(LATE, || bell.word() != READER_AWAKE);
    naps && bell.word() == READER_NAPPING && within(LATE, || bell.word() != READER_NAPPING)
}

/// Waits without sleeping: a thread that sleeps comes back too late for what is looked for here.
fn within(time: Duration, mut done: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while !done() {
        if begin.elapsed() > time {
            return false;
        }
        std::hint::spin_loop();
    }
    true
}

fn until(what: &str, done: impl FnMut() -> bool) -> Result<()> {
    ensure!(within(LATE, done), "waited for {what} for {LATE:?}");
    Ok(())
}

fn pause(time: Duration) {
    within(time, || false);
}
