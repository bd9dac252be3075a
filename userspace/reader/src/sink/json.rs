//! One JSON object a line, with the field names of the Elastic Common Schema. What ECS has no name
//! for stands under `dns_trace`; docs/JSON.md has all fields.

mod edns;
pub(crate) mod line;
pub(crate) mod out;
mod own;
mod path;

use std::io::{self, Write};

use super::Sink;
use crate::clock::{StampWriter, WallClock};
use crate::interface::Interfaces;
use crate::lookup::Lookup;
use out::Out;

/// Bytes kept back until the rings are empty, at most; a line more. They fit the margin of a spool's chunk.
const BUFFER: usize = 56 * 1024;

/// Writes lookups as JSON lines.
#[derive(Debug)]
pub struct JsonSink<W: Write> {
    writer: W,
    /// Lines, whole ones.
    lines: Out,
    interfaces: Interfaces,
    stamps: StampWriter,
    idna: bool,
}

impl<W: Write> JsonSink<W> {
    /// A sink into a writer.
    pub fn new(writer: W, interfaces: Interfaces) -> Self {
        Self {
            writer,
            lines: Out::with_capacity(BUFFER + 8 * 1024),
            interfaces,
            stamps: StampWriter::new(),
            idna: false,
        }
    }

    /// Whether to add names in Unicode to those in ASCII.
    #[must_use]
    pub fn with_idna(mut self, idna: bool) -> Self {
        self.idna = idna;
        self
    }

    fn write_lines(&mut self) -> io::Result<()> {
        // What could not be written is not tried again: the session ends with the error.
        let result = self.writer.write_all(self.lines.as_bytes());
        self.lines.clear();
        result?;
        // Also without lines: the writer may keep some back.
        self.writer.flush()
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn lookup(&mut self, lookup: &Lookup<'_>, clock: WallClock) -> io::Result<()> {
        let timestamp = self.stamps.write(clock.unix_ns(lookup.time_ns));
        line::write(
            &mut self.lines,
            lookup,
            timestamp,
            &mut self.interfaces,
            self.idna,
        );
        if self.lines.as_bytes().len() >= BUFFER {
            self.write_lines()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_lines()
    }
}
