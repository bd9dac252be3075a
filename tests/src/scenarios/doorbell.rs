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

/// Messages that come just as the reader lies down.
const MESSAGES: u32 = 900;
/// Rounds for that, at most: whoever looks for the moment may be the one that sleeps.
const ROUNDS: u32 = 5 * MESSAGES;
/// From a reader that gets up to one that has lain down again, on an emulated processor.
const LYING_DOWN: Duration = Duration::from_micros(400);
/// So long a record may lie in the ring of a reader that says it sleeps. Every other second such a reader looks
/// at its instance, and at the ring.
const LOST: Duration = Duration::from_millis(400);
/// Everything else takes as long as an emulated machine needs.
const PATIENCE: Duration = Duration::from_secs(10);
/// What should not come does not come so soon, at least.
const SOON: Duration = Duration::from_millis(50);
/// Records between two looks at the fill, on either CPU, and what they take.
const LOOKS: usize = 2 * 16 * 256;

/// A message comes while the reader lies down: it is seen all the same.
pub(crate) fn race() -> Result<()> {
    lab(|wire| {
        let watch = Watch::start(&[])?;
        let bell = Doorbell::open()?;
        let (mut met, mut sent) = (0, 0);
        for round in 0..ROUNDS {
            let asleep = within(PATIENCE, || bell.word() == READER_ASLEEP);
            ensure!(asleep, "the reader does not lie down");
            wire.send()?;
            is_seen(&bell)?;
            sent += 1;
            if !gets_up(&bell) {
                continue;
            }
            pause(LYING_DOWN * (round % 101) / 100);
            wire.send()?;
            is_seen(&bell)?;
            (met, sent) = (met + 1, sent + 1);
            if met == MESSAGES {
                break;
            }
        }
        ensure!(met == MESSAGES, "{met} of {ROUNDS} rounds met the moment");
        let seen = watch.stop()?;
        seen.counts(&[("reader/orphans", sent), ("kernel/submitted", sent)])?;
        let lag = Duration::from_nanos(seen.number("reader/max_lag_ns")?);
        note(&format!(
            "{met} messages as the reader lay down, none lost; the longest wait of all {sent} was {lag:?}"
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
        let rings = |patience| listener.rings(patience);
        ensure!(rings(PATIENCE)?, "a reader that sleeps was not woken");
        ensure!(bell.word() == READER_AWAKE, "it is still said to sleep");
        wire.send()?;
        ensure!(!rings(SOON)?, "it was woken twice");

        bell.set(READER_NAPPING);
        while bell.word() == READER_NAPPING {
            let early = rings(Duration::ZERO)? && bell.word() == READER_NAPPING;
            ensure!(!early, "rung before the word was changed");
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
        ensure!(rings(PATIENCE)?, "the word was changed, and nobody woken");
        for _ in 0..100 {
            wire.send()?;
        }
        ensure!(!rings(SOON)?, "it was woken again above the mark");
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
    let naps = within(PATIENCE, || bell.word() != READER_AWAKE);
    naps && bell.word() == READER_NAPPING && within(PATIENCE, || bell.word() != READER_NAPPING)
}

/// Waits until the ring is empty. Whoever rings says first that the reader is awake: a record that lies there while
/// it is said to sleep is one that nobody rang for.
fn is_seen(bell: &Doorbell) -> Result<()> {
    let mut asleep_since = None;
    let seen = within(PATIENCE, || {
        if bell.word() != READER_ASLEEP {
            asleep_since = None;
        }
        let asleep = asleep_since.get_or_insert_with(Instant::now).elapsed();
        bell.waiting() == 0 || asleep > LOST
    });
    ensure!(
        seen && bell.waiting() == 0,
        "a record lies there, and the reader sleeps"
    );
    Ok(())
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

fn pause(time: Duration) {
    within(time, || false);
}
