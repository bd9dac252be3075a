//! Messages out of a stream: each follows its length in two octets (RFC 1035, section 4.2.2). Bytes
//! that no record holds are known by their number, so that the length prefix still tells where the
//! next message begins.

use std::io;

use super::start;

/// Octets of the length prefix.
const PREFIX: usize = 2;
/// A buffer that has grown beyond this is given back after its message.
const KEEP: usize = 1024;

/// Why framing stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody knows where the next message begins.
    Lost,
    /// What took the message failed.
    Output(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Takes a message, and whether bytes of it are missing.
pub(super) type Take<'t> = dyn FnMut(&[u8], bool) -> io::Result<()> + 't;

/// The message that is being put together.
#[derive(Debug, Default)]
pub(super) struct Framer {
    /// Prefix and message, up to the first byte that is missing.
    buffer: Vec<u8>,
    /// Octets of prefix and message that have passed, the missing ones included.
    passed: usize,
    /// Its start was guessed from a prefix alone; the header has still to bear it out.
    guessed: bool,
}

impl Framer {
    /// A framer whose first message has yet to prove that it is one.
    pub(super) fn guessed() -> Self {
        Self {
            guessed: true,
            ..Self::default()
        }
    }

    /// Whether a message has begun and not ended.
    pub(super) const fn is_inside(&self) -> bool {
        self.passed > 0
    }

    /// Bytes of memory.
    pub(super) const fn size(&self) -> usize {
        self.buffer.capacity()
    }

    /// Octets of prefix and message, once the prefix is there.
    fn frame(&self) -> Option<usize> {
        length(&self.buffer)
    }

    /// Takes in the next bytes of the stream. A message that lies whole in them is not copied.
    pub(super) fn bytes(&mut self, mut data: &[u8], take: &mut Take<'_>) -> Result<(), Stop> {
        while !data.is_empty() {
            if !self.is_inside()
                && let Some(frame) = length(data)
                && let Some((message, rest)) = data.split_at_checked(frame)
            {
                self.verify(message)?;
                self.guessed = false;
                take(&message[PREFIX..], false)?;
                data = rest;
                continue;
            }
            let wanted = self.frame().unwrap_or(PREFIX) - self.passed;
            let (part, rest) = data.split_at(wanted.min(data.len()));
            if self.buffer.len() == self.passed {
                self.buffer.extend_from_slice(part);
            }
            self.passed += part.len();
            data = rest;
            self.verify(&self.buffer)?;
            self.complete(take)?;
        }
        Ok(())
    }

    /// Takes in bytes of the stream that no record holds.
    pub(super) fn missing(&mut self, mut number: usize, take: &mut Take<'_>) -> Result<(), Stop> {
        while number > 0 {
            let frame = self.frame().ok_or(Stop::Lost)?;
            let part = number.min(frame - self.passed);
            self.passed += part;
            number -= part;
            self.complete(take)?;
        }
        Ok(())
    }

    fn complete(&mut self, take: &mut Take<'_>) -> Result<(), Stop> {
        if self.frame() != Some(self.passed) {
            return Ok(());
        }
        let cut = self.buffer.len() < self.passed;
        let result = take(&self.buffer[PREFIX..], cut);
        self.passed = 0;
        self.guessed = false;
        self.buffer.clear();
        if self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
        Ok(result?)
    }

    /// Looks at a guessed start as soon as there is a header.
    fn verify(&self, frame: &[u8]) -> Result<(), Stop> {
        if self.guessed && !start::may_be(frame) {
            return Err(Stop::Lost);
        }
        Ok(())
    }
}

fn length(buffer: &[u8]) -> Option<usize> {
    let (prefix, _) = buffer.split_first_chunk()?;
    Some(PREFIX + usize::from(u16::from_be_bytes(*prefix)))
}
