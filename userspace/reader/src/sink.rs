//! Where lookups go. A sink never sees a record, and nothing hostile leaves one: names and data are
//! in presentation format.

use std::io;

use crate::clock::WallClock;
use crate::lookup::Lookup;

pub mod json;
pub mod rdata;
pub mod spooled;
pub mod stats;
pub mod table;

/// Takes lookups.
pub trait Sink {
    /// One lookup that passed the filters.
    ///
    /// # Errors
    /// What the output says.
    fn lookup(&mut self, lookup: &Lookup<'_>, clock: WallClock) -> io::Result<()>;

    /// The rings are empty: whoever reads the output is to see what there is.
    ///
    /// # Errors
    /// What the output says.
    fn flush(&mut self) -> io::Result<()>;

    /// Nothing more comes.
    ///
    /// # Errors
    /// What the output says.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }

    /// Lookups that it took and has not written. After the end it never will: the output was slow, or gone.
    fn unwritten(&self) -> u64 {
        0
    }
}

/// Shows nothing; the counters are all that matters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Sink for Silent {
    fn lookup(&mut self, _: &Lookup<'_>, _: WallClock) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
