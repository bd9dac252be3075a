//! Lines that leave by a thread of their own: an output that is slow or stands still does not hold up the
//! reading. Lines that find no room are left out, whole ones, and counted.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use super::Sink;
use crate::clock::WallClock;
use crate::lookup::Lookup;
use crate::spool::Spool;

/// Takes whole lines. A clone is another end of the same spool.
#[derive(Clone, Debug)]
pub struct Lines(Rc<RefCell<Spool>>);

impl Lines {
    /// Into a spool, whose output counts lines as [`whole`] does.
    #[must_use]
    pub fn new(spool: Spool) -> Self {
        Self(Rc::new(RefCell::new(spool)))
    }
}

impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut spool = self.0.borrow_mut();
        if let Some(chunk) = spool.chunk()? {
            chunk.bytes.extend_from_slice(lines);
            spool.filled();
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

/// Octets and number of whole lines, see [`Whole`](crate::spool::Whole).
#[must_use]
pub fn whole(bytes: &[u8]) -> (usize, u64) {
    let end = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
    (end, memchr::memchr_iter(b'\n', bytes).count() as u64)
}

/// A sink that writes into [`Lines`], one a lookup.
pub struct Spooled {
    sink: Box<dyn Sink>,
    lines: Lines,
    /// Lines before the first lookup.
    headings: u64,
    lookups: u64,
}

impl Spooled {
    /// `sink` writes into a clone of `lines`, and so many headings first.
    #[must_use]
    pub fn new(sink: Box<dyn Sink>, lines: Lines, headings: u64) -> Self {
        Self {
            sink,
            lines,
            headings,
            lookups: 0,
        }
    }
}

impl Sink for Spooled {
    fn lookup(&mut self, lookup: &Lookup<'_>, clock: WallClock) -> io::Result<()> {
        self.lookups += 1;
        self.sink.lookup(lookup, clock)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        let flushed = self.sink.flush();
        flushed.and(self.lines.0.borrow_mut().close())
    }

    fn unwritten(&self) -> u64 {
        let written = self.lines.0.borrow().written();
        self.lookups - written.saturating_sub(self.headings).min(self.lookups)
    }
}
