//! From the thread that reads to the one that draws: a snapshot now and then, in one of two boxes that go to and
//! fro. If the one that draws is slow, no box is here and a picture is left out; the rings are never waited with.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use dns_trace_event::Stats;

use super::face::{Face, Message};
use super::rates::Rates;
use super::snapshot::Snapshot;
use super::tally::Tally;
use crate::counts::Summary;
use crate::pipeline::Pipeline;
use crate::ring::{Notice, Ticker};

/// Shortest time between two pictures while lookups come.
const FRAME: Duration = Duration::from_millis(200);
/// Time between two looks at the counters while none come: seconds pass in the picture of the rate.
const IDLE: Duration = Duration::from_secs(1);

/// What is said at the end of what happened to the instance, at most. All of it is counted.
const NOTICES_MAX: usize = 16;

/// Takes the snapshots.
#[derive(Debug)]
pub struct Feed {
    tally: Rc<RefCell<Tally>>,
    rates: Rates,
    started: Instant,
    kernel_start: Stats,
    ticked: Instant,
    /// Lookups at the last tick, those that passed the filters.
    lookups: u64,
    /// What was sent last, and in which second.
    sent: Option<(Summary, u64)>,
    /// All lookups that are in the rates.
    counted: u64,
    hook_down: bool,
    /// What happened to the instance, to be said when the terminal is given back.
    notices: Vec<String>,
    messages: SyncSender<Message>,
    boxes: Receiver<Box<Snapshot>>,
    /// A box that found no room on its way.
    spare: Option<Box<Snapshot>>,
    /// The other side, until the end.
    face: Option<Face>,
    outcome: io::Result<()>,
}

impl Feed {
    /// Feeds a face with what is in a tally.
    #[must_use]
    pub fn new(tally: Rc<RefCell<Tally>>, kernel_start: Stats, mut face: Face) -> Self {
        let now = Instant::now();
        let (messages, boxes) = face.ends();
        Self {
            tally,
            rates: Rates::default(),
            started: now,
            kernel_start,
            ticked: now.checked_sub(IDLE).unwrap_or(now),
            lookups: 0,
            sent: None,
            counted: 0,
            hook_down: false,
            notices: Vec::new(),
            messages,
            boxes,
            spare: None,
            face: Some(face),
            outcome: Ok(()),
        }
    }

    /// How the drawing ended.
    ///
    /// # Errors
    /// The terminal's.
    pub fn outcome(self) -> io::Result<()> {
        self.outcome
    }

    /// Sends a snapshot if something has changed and a box is here; `false` if nobody draws any more.
    fn send(&mut self, summary: Summary) -> bool {
        let second = self.rates.now();
        let same = self.sent.is_some_and(|(sent, at)| {
            let counters = Summary {
                seconds: sent.seconds,
                ..summary
            };
            counters == sent && (at == second || !self.rates.is_moving())
        });
        if same {
            return true;
        }
        let spare = self.spare.take();
        let Some(mut snapshot) = spare.or_else(|| self.boxes.try_recv().ok()) else {
            return true;
        };
        snapshot.fill(&self.tally.borrow(), &self.rates, &summary, self.hook_down);
        match self.messages.try_send(Message::Snapshot(snapshot)) {
            Ok(()) => self.sent = Some((summary, second)),
            Err(TrySendError::Full(Message::Snapshot(back))) => self.spare = Some(back),
            Err(_) => return false,
        }
        true
    }
}

impl Ticker for Feed {
    fn next(&self) -> Option<Instant> {
        let new = self.tally.borrow().lookups != self.lookups;
        Some(self.ticked + if new { FRAME } else { IDLE })
    }

    fn tick(&mut self, pipeline: &mut Pipeline<'_>, kernel: &Stats) -> io::Result<bool> {
        self.ticked = Instant::now();
        self.lookups = self.tally.borrow().lookups;
        let reader = pipeline.counts();
        let passed = self.ticked - self.started;
        self.rates
            .add(passed.as_secs(), reader.raw.lookups - self.counted);
        self.counted = reader.raw.lookups;
        let start = &self.kernel_start;
        let summary = Summary::since(reader, kernel, start, passed.as_secs_f64());
        Ok(!self.send(summary))
    }

    fn notice(&mut self, notice: &Notice) {
        self.hook_down = !notice.is_good();
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(notice.to_string());
        }
        // A picture at the next tick, even if no counter has moved.
        self.sent = None;
    }

    fn end(&mut self, _: &Summary) {
        if let Some(face) = self.face.take() {
            self.outcome = face.end();
        }
        for notice in &self.notices {
            eprintln!("dns-trace: {notice}");
        }
    }
}
