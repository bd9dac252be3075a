//! The chunks between the two threads, and what each has to tell the other.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::mm::{Advice, madvise};

use crate::stop::Stop;

use super::{CHUNK, CHUNKS, Chunk, MARGIN, Output};

/// Chunks are free, full, or in the hands of one of the threads.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) free: Vec<Chunk>,
    pub(super) full: VecDeque<Chunk>,
    /// The one that is being filled, while nothing is added: the output takes it if there is no full one.
    pub(super) partial: Option<Chunk>,
    /// The output has a chunk.
    pub(super) busy: bool,
    /// Nothing more comes.
    pub(super) closed: bool,
    /// The thread has ended.
    pub(super) ended: bool,
    pub(super) error: Option<io::Error>,
    pub(super) written: u64,
}

/// A chunk with all its memory, which is touched when it is needed. All chunks lie side by side, and a kernel
/// that hands out huge pages by itself would make such of them, 8 MiB for one line; a kernel that has none refuses
/// the advice.
fn empty() -> Chunk {
    let mut bytes = Vec::<u8>::with_capacity(CHUNK + MARGIN);
    let page = rustix::param::page_size();
    let room = bytes.spare_capacity_mut();
    let (begin, len) = (room.as_ptr().align_offset(page), room.len());
    if let Some(pages) = room.get_mut(begin..len) {
        let whole = pages.len() / page * page;
        // SAFETY: whole pages of memory that is ours alone; the advice does not change what is in them.
        let _ = unsafe { madvise(pages.as_mut_ptr().cast(), whole, Advice::LinuxNoHugepage) };
    }
    Chunk {
        bytes,
        ends_file: false,
    }
}

/// What the two threads share.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    pub(super) changed: Condvar,
    /// Nobody waits for the output any more.
    pub(super) given_up: Stop,
}

impl Queue {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            state: Mutex::new(State {
                free: (0..CHUNKS).map(|_| empty()).collect(),
                full: VecDeque::with_capacity(CHUNKS + 1),
                ..State::default()
            }),
            changed: Condvar::new(),
            given_up: Stop::new()?,
        })
    }

    /// No code panics while it holds the lock.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts messages that have been written.
    pub fn count_written(&self, messages: u64) {
        self.state().written += messages;
    }

    /// Waits until nothing more comes, but not longer than that; whether it is so.
    #[must_use]
    pub fn wait_closed(&self, time: Duration) -> bool {
        let state = self.state();
        let open = |state: &mut State| !state.closed;
        let waited = self.changed.wait_timeout_while(state, time, open);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Waits until something takes bytes, or an end; whether it does, rather than that nobody waits for it
    /// any more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait_writable(&self, output: impl AsFd) -> io::Result<bool> {
        let mut both = [
            PollFd::new(&output, PollFlags::OUT),
            PollFd::new(&self.given_up, PollFlags::IN),
        ];
        while let Err(error) = poll(&mut both, None) {
            if error != Errno::INTR {
                return Err(error.into());
            }
        }
        Ok(both[1].revents().is_empty())
    }

    /// The next chunk to be written; `None` at the end.
    fn next(&self) -> Option<Chunk> {
        let empty =
            |state: &mut State| state.full.is_empty() && state.partial.is_none() && !state.closed;
        let state = self.changed.wait_while(self.state(), empty);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let chunk = state.full.pop_front().or_else(|| state.partial.take());
        state.busy = chunk.is_some();
        chunk
    }

    fn give_back(&self, mut chunk: Chunk) {
        chunk.bytes.clear();
        chunk.ends_file = false;
        let mut state = self.state();
        // The last one used is the first one used again, so that few of them are ever touched.
        state.free.push(chunk);
        state.busy = false;
    }

    pub(super) fn end(&self, result: io::Result<()>) {
        let mut state = self.state();
        state.ended = true;
        state.error = result.err();
        self.changed.notify_all();
    }

    pub(super) fn run(&self, output: &mut dyn Output) -> io::Result<()> {
        output.begin(self);
        while let Some(chunk) = self.next() {
            output.write(&chunk, self)?;
            self.give_back(chunk);
        }
        output.finish()
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}
