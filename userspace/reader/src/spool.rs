//! Bytes on their way out, by a thread of their own: whatever takes them may be slow or stand still,
//! and the thread that reads the rings never waits for it. In between are a fixed number of chunks. While
//! none is free there is no room, and who has no room counts what it leaves out.
//!
//! Nothing here knows what the bytes are, but for where messages end (an [`Output`] is told).

pub mod collector;
pub mod file;
mod queue;

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

pub use queue::Queue;

/// Chunks of a spool. All of them hold 8 MiB, and a margin each; memory is touched when it is needed.
const CHUNKS: usize = 32;
/// A chunk with this many bytes is handed over.
const CHUNK: usize = 256 << 10;
/// Room beyond for the last message, so that it does not make the chunk grow: 64 KiB at most
/// (RFC 1035, section 4.2.2), and what stands around it.
const MARGIN: usize = 72 << 10;
/// How long the end waits for the output.
const GRACE: Duration = Duration::from_secs(5);
/// How long it waits then for an output that has been told to give up.
const LAST_GRACE: Duration = Duration::from_millis(500);

/// Octets and number of whole messages at the start of bytes. What is no message but stands between
/// them (a section header, say) counts as octets only.
pub type Whole = fn(&[u8]) -> (usize, u64);

/// Takes the bytes, on the thread of the spool.
pub trait Output: Send {
    /// Called first, before there is a chunk.
    fn begin(&mut self, queue: &Queue);

    /// Writes a chunk, and tells `queue` how many messages have been.
    ///
    /// # Errors
    /// What ends the recording, with the name of the output.
    fn write(&mut self, chunk: &Chunk, queue: &Queue) -> io::Result<()>;

    /// Nothing more comes.
    ///
    /// # Errors
    /// Likewise.
    fn finish(&mut self) -> io::Result<()>;
}

/// Some bytes: whole messages, and what stands around them.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// A file ends with them; the next bytes begin another one.
    pub ends_file: bool,
}

/// The end of the queue that is filled.
#[derive(Debug)]
pub struct Spool {
    queue: Arc<Queue>,
    current: Option<Chunk>,
}

impl Spool {
    /// Starts the thread. It calls `failed` if the output ends with an error: who waits for something else
    /// is to ask for it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start(
        mut output: Box<dyn Output>,
        failed: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new()?);
        let other = Arc::clone(&queue);
        let thread = thread::Builder::new().name("output".to_owned());
        thread.spawn(move || {
            let result = other.run(&mut *output);
            let has_failed = result.is_err();
            other.end(result);
            if has_failed {
                failed();
            }
        })?;
        Ok(Self {
            queue,
            current: None,
        })
    }

    /// The chunk to be filled; `None` while there is no room.
    ///
    /// # Errors
    /// What ended the output, once.
    pub fn chunk(&mut self) -> io::Result<Option<&mut Chunk>> {
        if self.current.is_none() {
            let mut state = self.queue.state();
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            self.current = state.partial.take().or_else(|| state.free.pop());
        }
        Ok(self.current.as_mut())
    }

    /// A chunk for the end of everything, for which there is always room.
    pub fn last_chunk(&mut self) -> &mut Chunk {
        let queue = &self.queue;
        self.current.get_or_insert_with(|| {
            let mut state = queue.state();
            let partial = state.partial.take();
            partial.or_else(|| state.free.pop()).unwrap_or_default()
        })
    }

    /// To be called after a message: hands the chunk over if it is full.
    pub fn filled(&mut self) {
        if self
            .current
            .as_ref()
            .is_some_and(|c| c.bytes.len() >= CHUNK)
        {
            self.hand_over();
        }
    }

    /// Ends a file with what is in the chunk.
    pub fn end_file(&mut self) {
        if let Some(chunk) = &mut self.current {
            chunk.ends_file = true;
        }
        self.hand_over();
    }

    /// Hands over what there is; as long as the output has other things to do, more can be added to it.
    ///
    /// # Errors
    /// What ended the output, once.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut state = self.queue.state();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        if let Some(chunk) = self.current.take_if(|chunk| !chunk.bytes.is_empty()) {
            state.partial = Some(chunk);
            self.queue.changed.notify_all();
        }
        Ok(())
    }

    /// Ends the output and waits for it, for a few seconds.
    ///
    /// # Errors
    /// What ended the output if that is not yet known; [`io::ErrorKind::TimedOut`] if it has not
    /// ended.
    pub fn close(&mut self) -> io::Result<()> {
        self.close_within(GRACE)
    }

    fn close_within(&mut self, grace: Duration) -> io::Result<()> {
        self.hand_over();
        self.queue.close();
        if self.ends_within(grace) {
            return self.queue.state().error.take().map_or(Ok(()), Err);
        }
        // An output that only waits ends now, and what it has written is known.
        self.queue.given_up.give();
        self.ends_within(LAST_GRACE);
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("not everything was taken within {} s", grace.as_secs()),
        ))
    }

    fn ends_within(&self, time: Duration) -> bool {
        let queue = &self.queue;
        let runs = |state: &mut queue::State| !state.ended;
        let waited = queue.changed.wait_timeout_while(queue.state(), time, runs);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    /// Messages that have been written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.queue.state().written
    }

    fn hand_over(&mut self) {
        if let Some(chunk) = self.current.take() {
            self.queue.state().full.push_back(chunk);
            self.queue.changed.notify_all();
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Writes until an error, and gives the number of bytes that have been written.
fn write_all(writer: &mut dyn io::Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match writer.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(number) => written += number,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// An error with the name of what it is about; its kind stays.
fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Writes when it is allowed to, and tells what.
    struct Gate {
        allowed: Receiver<io::Result<()>>,
        seen: Sender<(Vec<u8>, bool)>,
    }

    impl Output for Gate {
        fn begin(&mut self, _: &Queue) {}

        fn write(&mut self, chunk: &Chunk, queue: &Queue) -> io::Result<()> {
            self.allowed.recv().map_err(io::Error::other)??;
            queue.count_written(chunk.bytes.len() as u64);
            let _ = self.seen.send((chunk.bytes.clone(), chunk.ends_file));
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    type Parts = (Spool, Sender<io::Result<()>>, Receiver<(Vec<u8>, bool)>);

    fn gated() -> Parts {
        let ((allow, allowed), (seen, see)) = (channel(), channel());
        let spool = Spool::start(Box::new(Gate { allowed, seen }), || {}).unwrap();
        (spool, allow, see)
    }

    fn put(spool: &mut Spool, bytes: &[u8]) -> bool {
        let Some(chunk) = spool.chunk().unwrap() else {
            return false;
        };
        chunk.bytes.extend_from_slice(bytes);
        spool.filled();
        true
    }

    #[test]
    fn what_fits_waits_and_the_rest_is_refused() {
        let (mut spool, allow, see) = gated();
        let bytes = vec![7; CHUNK];
        for _ in 0..CHUNKS {
            assert!(put(&mut spool, &bytes));
        }
        assert!(!put(&mut spool, &bytes));
        spool.flush().unwrap();
        allow.send(Ok(())).unwrap();
        assert_eq!(see.recv().unwrap().0.len(), CHUNK);
        for _ in 1..=CHUNKS {
            allow.send(Ok(())).unwrap();
        }
        // One chunk for the end of everything, room or no room.
        spool.last_chunk().bytes.push(1);
        spool.close().unwrap();
        assert_eq!(spool.written(), (CHUNKS * CHUNK) as u64 + 1);
        assert_eq!(see.iter().count(), CHUNKS);
    }

    #[test]
    fn a_busy_output_gets_more_at_once_later() {
        let (mut spool, allow, see) = gated();
        put(&mut spool, b"a");
        spool.flush().unwrap();
        while !spool.queue.state().busy {
            thread::yield_now();
        }
        for byte in [b"b", b"c"] {
            put(&mut spool, byte);
            spool.flush().unwrap();
        }
        for _ in 0..2 {
            allow.send(Ok(())).unwrap();
        }
        assert_eq!(see.recv().unwrap(), (b"a".to_vec(), false));
        assert_eq!(see.recv().unwrap(), (b"bc".to_vec(), false));
    }

    #[test]
    fn an_error_is_told_once() {
        let (mut spool, allow, _see) = gated();
        put(&mut spool, b"a");
        spool.flush().unwrap();
        allow.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        let told = loop {
            if let Err(error) = spool.flush() {
                break error;
            }
            thread::yield_now();
        };
        assert_eq!(told.kind(), io::ErrorKind::StorageFull);
        put(&mut spool, b"b");
        spool.close().unwrap();
        assert_eq!(spool.written(), 0);
    }

    #[test]
    fn the_end_does_not_wait_for_ever() {
        let (mut spool, _allow, _see) = gated();
        put(&mut spool, b"a");
        let error = spool.close_within(Duration::from_millis(10)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
