//! Drains the rings and sleeps. The doorbell of the contract keeps wake-ups rare: while messages
//! come the reader naps by its own timer, and only one that sleeps is woken.
//!
//! ```text
//! drain --something came--> nap (NAPPING, 1 to 64 ms) --> drain
//!   ^   --nothing came----> lie down (ASLEEP, full fence, look once more)
//!   |                          |-- something came --> drain
//!   +------- rung, or due -----+-- nothing ---------> sleep
//! ```
//!
//! The first nap of a burst is short, so that a lonely query's response is shown at once; each further
//! one is twice as long, until some thousand records come during one. More of them at once are in no cache
//! any more, and take their core from those whose traffic it is for so long that these wait for each other;
//! fewer do not pay for getting up.
//!
//! No record is left lying: the program looks at the word after its commit, which is a full
//! barrier, and we look at the ring after ours. So either we see the record or it sees the word.
//! The epoll set is edge-triggered: it answers to wake-ups, not to records that wait. Were one lost
//! all the same, the next look at the instance ends the sleep, within two seconds.

mod follow;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use dns_trace_event::{READER_ASLEEP, READER_AWAKE, READER_NAPPING, Stats};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::bundle::Ring;
use crate::clock::boot_now;
use crate::counts::Summary;
use crate::pipeline::Pipeline;
use crate::stop::Stop;

use follow::{Change, Found};
pub use follow::{Follow, Notice};

/// Time between two looks while messages come, at first and at most.
const NAP_MIN: Duration = Duration::from_millis(1);
const NAP_MAX: Duration = Duration::from_millis(64);
/// Records that a nap is to bring, if it need not be longer than that for it: some half megabyte.
const NAP_RECORDS: u32 = 2048;
/// Longest sleep.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// Shortest sleep: time-outs that fall due closely together end one sleep, not many.
const SLEEP_MIN: Duration = Duration::from_millis(50);
/// Records taken from one ring before the next ring's turn.
const BATCH: u32 = 4096;
/// Turns before the stop signal is looked at again.
const TURNS: usize = 16;
/// How long a response may wait for its query if there are several rings, nanoseconds.
const HOLD_NS: u64 = 200_000_000;
/// What fails when a sink or a ticker does.
const OUTPUT: &str = "cannot write the output";
/// [`epoll`] data of the stop signal; rings have their index.
const STOP: u64 = u64::MAX;

/// Called between drains, with the counters of the kernel at hand.
pub trait Ticker {
    /// When to be called next; `None` for never.
    fn next(&self) -> Option<Instant>;

    /// The time has come. `true` ends the reading.
    ///
    /// # Errors
    /// The output's.
    fn tick(&mut self, pipeline: &mut Pipeline<'_>, kernel: &Stats) -> io::Result<bool>;

    /// How full the fullest ring is as a drain begins: 0 to 1.
    fn filled(&mut self, fill: f64) {
        let _ = fill;
    }

    /// Something has happened to the instance.
    fn notice(&mut self, notice: &Notice) {
        eprintln!("dns-trace: {notice}");
    }

    /// The reading has ended, with these counters; the summary is printed next.
    fn end(&mut self, summary: &Summary) {
        let _ = summary;
    }
}

/// Never called.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTicker;

impl Ticker for NoTicker {
    fn next(&self) -> Option<Instant> {
        None
    }

    fn tick(&mut self, _: &mut Pipeline<'_>, _: &Stats) -> io::Result<bool> {
        Ok(false)
    }
}

/// Why the reader went back from waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    Ring,
    Stop,
    Time,
}

/// What a drain found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// The rings were empty.
    Nothing,
    /// So many records, and the rings are empty now.
    All(u32),
    /// Records, and there are more.
    Part,
}

/// How long to nap, after a nap (or the shortest one) brought so many records.
fn nap_after(nap: Duration, records: u32) -> Duration {
    let nap = (nap * NAP_RECORDS / records.max(1)).min(2 * nap);
    nap.clamp(NAP_MIN, NAP_MAX)
}

/// The rings of an instance and the means to wait for them.
pub struct Reader {
    rings: Vec<Ring>,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    stop: Stop,
    follow: Option<Follow>,
    /// Counters of rings that were read before these.
    before: Stats,
}

/// An epoll set of the rings and the signal.
fn waiting_for(rings: &[Ring], stop: &Stop) -> io::Result<OwnedFd> {
    let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
    for (index, ring) in rings.iter().enumerate() {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&set, ring.events.fd(), data, edge)?;
    }
    let data = epoll::EventData::new_u64(STOP);
    epoll::add(&set, stop, data, epoll::EventFlags::IN)?;
    Ok(set)
}

impl Reader {
    /// Sets up waiting for the rings and for the signal.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(rings: Vec<Ring>, stop: &Stop) -> io::Result<Self> {
        let epoll = waiting_for(&rings, stop)?;
        let events = Vec::with_capacity(rings.len() + 1);
        Ok(Self {
            rings,
            epoll,
            events,
            stop: stop.clone(),
            follow: None,
            before: Stats::default(),
        })
    }

    /// Keeps to the instance that the rings are of.
    #[must_use]
    pub fn following(mut self, follow: Follow) -> Self {
        self.follow = Some(follow);
        self
    }

    /// How many rings there are.
    #[must_use]
    pub const fn rings(&self) -> usize {
        self.rings.len()
    }

    /// How long a response may wait for its query, which may be in another ring.
    #[must_use]
    pub const fn hold_ns(&self) -> u64 {
        if self.rings.len() > 1 { HOLD_NS } else { 0 }
    }

    /// The kernel's counters of all rings, also of those that were read before.
    ///
    /// # Errors
    /// The maps'.
    pub fn stats(&self) -> anyhow::Result<Stats> {
        let mut sum = self.before;
        sum.add(&sum_of(&self.rings)?);
        Ok(sum)
    }

    /// Looks at the instance if it is time.
    fn look(&mut self, pipeline: &mut Pipeline<'_>, ticker: &mut dyn Ticker) -> anyhow::Result<()> {
        let rings = &self.rings;
        let found = match &mut self.follow {
            Some(follow) if follow.next() <= Instant::now() => follow.look(|| sum_of(rings))?,
            _ => return Ok(()),
        };
        let notice = match found {
            Found::Nothing => return Ok(()),
            Found::Said(notice) => notice,
            Found::Rings(change) => self.change(change, pipeline)?,
        };
        if matches!(notice, Notice::Stopped(_)) {
            pipeline.heartbeat_stopped();
        }
        ticker.notice(&notice);
        Ok(())
    }

    /// Reads the rings that have come beside those that stay, and what is left in those that have gone.
    fn change(&mut self, change: Change, pipeline: &mut Pipeline<'_>) -> anyhow::Result<Notice> {
        let Change { come, standing } = change;
        // One that was only handed over anew goes on, and counts on: through the new pins alone: a ring has
        // one consumer at a time.
        self.rings
            .retain(|old| come.iter().all(|new| new.id != old.id));
        let stands = |ring: &Ring| standing.contains(&ring.folder);
        let (any, all) = (!come.is_empty(), !self.rings.iter().any(stands));
        if any {
            pipeline.reloaded(all);
        }
        self.rings.extend(come);
        self.listen(pipeline)?;
        // Together with the others, in which the rest of what they hold may be told as well.
        let is_left = |ring: &Ring| !stands(ring) && ring.fill() > 0.0;
        while self.rings.iter().any(is_left)
            && !pipeline.is_done()
            && self.drain(pipeline).context(OUTPUT)? != Drained::Nothing
        {}
        let (stay, gone): (Vec<Ring>, _) = self.rings.drain(..).partition(stands);
        self.before.add(&sum_of(&gone)?);
        self.rings = stay;
        self.listen(pipeline)?;
        let number = self.rings.len();
        Ok(match (any, all) {
            (true, true) => Notice::Reopened(number),
            (true, false) => Notice::Joined(number),
            (false, _) => Notice::Left(number),
        })
    }

    /// Waits for the rings that there are now.
    fn listen(&mut self, pipeline: &mut Pipeline<'_>) -> anyhow::Result<()> {
        self.epoll = waiting_for(&self.rings, &self.stop).context("cannot wait for the rings")?;
        self.ring(READER_AWAKE);
        pipeline.rings_changed(self.hold_ns());
        Ok(())
    }

    /// How full the fullest ring is: 0 to 1.
    fn fill(&self) -> f64 {
        self.rings.iter().map(Ring::fill).fold(0.0, f64::max)
    }

    /// Feeds the pipeline until the signal is given or the pipeline is done.
    ///
    /// # Errors
    /// The maps', the kernel's, the sink's (an [`io::Error`] in the chain).
    pub fn run(
        &mut self,
        pipeline: &mut Pipeline<'_>,
        ticker: &mut dyn Ticker,
    ) -> anyhow::Result<()> {
        let mut stop = false;
        let mut nap = NAP_MIN / 2;
        loop {
            self.ring(READER_AWAKE);
            ticker.filled(self.fill());
            let drained = self.drain(pipeline).context(OUTPUT)?;
            if pipeline.is_done() || stop {
                break;
            }
            if ticker.next().is_some_and(|at| at <= Instant::now()) {
                let stats = self.stats()?;
                if ticker.tick(pipeline, &stats).context(OUTPUT)? {
                    break;
                }
            }
            self.look(pipeline, ticker)?;
            let woken = match drained {
                Drained::Part => {
                    nap = NAP_MIN;
                    self.wait(Duration::ZERO)?
                }
                Drained::All(records) => {
                    self.ring(READER_NAPPING);
                    nap = nap_after(nap, records);
                    self.wait(nap)?
                }
                Drained::Nothing => {
                    self.ring(READER_ASLEEP);
                    fence(Ordering::SeqCst);
                    if self.drain(pipeline).context(OUTPUT)? != Drained::Nothing {
                        continue;
                    }
                    nap = NAP_MIN / 2;
                    self.wait(self.sleep_for(pipeline, ticker))?
                }
            };
            stop = woken == Woken::Stop;
        }
        self.ring(READER_AWAKE);
        Ok(())
    }

    /// Reads all rings, by turns. Only the sink can fail.
    fn drain(&mut self, pipeline: &mut Pipeline<'_>) -> io::Result<Drained> {
        let mut now = boot_now();
        pipeline.drains(now);
        let mut records = 0;
        for _ in 0..TURNS {
            let (taken, more) = self.turn(pipeline, now)?;
            records += taken;
            if !more {
                // All that was stamped before `now` has been read, but for what lies behind a record that
                // is being written.
                pipeline.advance(now)?;
                pipeline.drained()?;
                return Ok(match records {
                    0 => Drained::Nothing,
                    _ => Drained::All(records),
                });
            }
            now = boot_now();
        }
        pipeline.drained()?;
        Ok(Drained::Part)
    }

    /// Reads a batch from each ring; how many records there were, and whether there may be more. Of several
    /// rings, those that announce owners come first.
    fn turn(&mut self, pipeline: &mut Pipeline<'_>, now: u64) -> io::Result<(u32, bool)> {
        let mut records = 0;
        let mut more = false;
        let several = self.rings.len() > 1;
        if several {
            self.rings.sort_by_key(|ring| !ring.announces);
        }
        if !several || self.rings.iter().all(|r| r.announces || r.is_untouched) {
            // Each has what is announced of its own packets, in order.
            pipeline.owners().read_until(u64::MAX);
        }
        let mut announced = true;
        for ring in &mut self.rings {
            if several && announced && !ring.announces {
                // Who was stamped before `now` has been announced before.
                pipeline.owners().read_until(now);
                announced = false;
            }
            pipeline.reading(ring.id);
            let taken = batch(ring, pipeline)?;
            records += taken;
            more |= taken >= BATCH;
            announced &= taken < BATCH;
        }
        Ok((records, more))
    }

    fn ring(&self, reader: u32) {
        for ring in &self.rings {
            ring.set_doorbell(reader);
        }
    }

    fn wait(&mut self, time: Duration) -> anyhow::Result<Woken> {
        self.events.clear();
        let timeout = Timespec::try_from(time)?;
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&timeout),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error)).context("cannot wait for the rings"),
        }
        let stop = self.events.iter().any(|event| event.data.u64() == STOP);
        Ok(match (stop, self.events.is_empty()) {
            (true, _) => Woken::Stop,
            (false, true) => Woken::Time,
            (false, false) => Woken::Ring,
        })
    }

    fn sleep_for(&self, pipeline: &Pipeline<'_>, ticker: &dyn Ticker) -> Duration {
        let mut wait = SLEEP_MAX;
        if let Some(due) = pipeline.next_due() {
            wait = wait.min(Duration::from_nanos(due.saturating_sub(boot_now())).max(SLEEP_MIN));
        }
        for at in [ticker.next(), self.follow.as_ref().map(Follow::next)]
            .into_iter()
            .flatten()
        {
            wait = wait.min(at.saturating_duration_since(Instant::now()));
        }
        wait
    }
}

/// Takes in what is in a ring, up to a batch and some; how many records that were.
fn batch(ring: &mut Ring, pipeline: &mut Pipeline<'_>) -> io::Result<u32> {
    let mut records = 0;
    while records < BATCH {
        let (few, mut announcements) = ring.few();
        let ahead = pipeline.look_ahead_at(few.records());
        let (mut taken, mut result) = (0, Ok(()));
        for (record, ahead) in few.records().iter().zip(ahead) {
            if pipeline.is_done() {
                break;
            }
            if announcements.lost() {
                pipeline.owners().lost();
            }
            taken += 1;
            result = pipeline.take(record, ahead);
            if result.is_err() {
                break;
            }
        }
        // Those that have been counted, also before an error.
        few.release(taken);
        result?;
        if taken == 0 {
            break;
        }
        records += taken as u32;
    }
    Ok(records)
}

fn sum_of(rings: &[Ring]) -> anyhow::Result<Stats> {
    let mut sum = Stats::default();
    for ring in rings {
        sum.add(&ring.stats().context("cannot read the map dns_stats")?);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naps(records: impl Fn(Duration) -> u32) -> Vec<u128> {
        let mut nap = NAP_MIN / 2;
        let naps = std::iter::repeat_with(|| {
            nap = nap_after(nap, records(nap));
            nap.as_millis()
        });
        naps.take(20).collect()
    }

    #[test]
    fn naps_get_longer_while_little_comes() {
        assert_eq!(naps(|_| 1)[..8], [1, 2, 4, 8, 16, 32, 64, 64]);
    }

    #[test]
    fn naps_bring_so_many_records() {
        // A million a second, and a hundred thousand.
        let at = |rate: u128| move |nap: Duration| (nap.as_micros() * rate / 1_000_000) as u32;
        assert_eq!(naps(at(1_000_000)).last(), Some(&2));
        assert_eq!(naps(at(100_000)).last(), Some(&20));
        assert_eq!(naps(|_| u32::MAX).last(), Some(&1));
    }
}
