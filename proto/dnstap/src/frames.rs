//! Frame Streams, the transport of dnstap, after the reference implementation (fstrm 0.6,
//! <https://farsightsec.github.io/fstrm/>). Integers are in network byte order.
//!
//! ```text
//! data frame      length (4 octets, not 0), bytes
//! control frame   0 (4 octets), length (4), type (4), fields: type (4), length (4), bytes
//! file            START, data frames, STOP
//! connection      READY >, < ACCEPT, START >, data frames >, STOP >, < FINISH
//! ```

use std::io::{self, Read, Write};

use thiserror::Error;

/// Content type of a stream of dnstap events.
pub const CONTENT_TYPE: &str = "protobuf:dnstap.Dnstap";

/// Types of control frames.
const ACCEPT: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 3;
const READY: u32 = 4;
const FINISH: u32 = 5;
/// Type of the only field, a content type.
const FIELD_CONTENT_TYPE: u32 = 1;
/// Longest control frame that the reference implementation takes (`FSTRM_CONTROL_FRAME_LENGTH_MAX`).
const CONTROL_MAX: u32 = 512;
/// Octets of a length.
const LENGTH: usize = 4;

/// Why a collector is none.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It sends something else than Frame Streams.
    #[error("the other side does not speak Frame Streams")]
    Protocol,
    /// It sends another control frame than is its turn to.
    #[error("the other side sent control frame {got} instead of {wanted}")]
    Unexpected {
        /// What came.
        got: u32,
        /// What it should have been.
        wanted: u32,
    },
    /// It wants another content.
    #[error("the other side does not take {CONTENT_TYPE}")]
    ContentType,
}

/// Appends what a file begins with: START.
pub fn start(out: &mut Vec<u8>) {
    control(START, true, out);
}

/// Appends what a file ends with: STOP.
pub fn stop(out: &mut Vec<u8>) {
    control(STOP, false, out);
}

/// Agrees with a collector, up to START; data frames may follow. Time-outs are the connection's.
///
/// # Errors
/// [`HandshakeError`].
pub fn open<S: Read + Write>(connection: &mut S) -> Result<(), HandshakeError> {
    let mut frame = Vec::new();
    control(READY, true, &mut frame);
    connection.write_all(&frame)?;
    let answer = receive(connection, ACCEPT)?;
    if !takes(&answer) {
        return Err(HandshakeError::ContentType);
    }
    frame.clear();
    start(&mut frame);
    Ok(connection.write_all(&frame)?)
}

/// Ends a stream, and waits until the collector has taken all of it.
///
/// # Errors
/// [`HandshakeError`].
pub fn close<S: Read + Write>(connection: &mut S) -> Result<(), HandshakeError> {
    let mut frame = Vec::new();
    stop(&mut frame);
    connection.write_all(&frame)?;
    receive(connection, FINISH).map(drop)
}

/// Octets of the whole frames at the start of `bytes`, and data frames among them.
#[must_use]
pub fn whole(bytes: &[u8]) -> (usize, u64) {
    let (mut rest, mut frames) = (bytes, 0);
    loop {
        let mut tail = rest;
        let mut length = word(&mut tail);
        let is_data = length != Some(0);
        if !is_data {
            length = word(&mut tail);
        }
        let Some(tail) = length.and_then(|length| tail.get(length as usize..)) else {
            return (bytes.len() - rest.len(), frames);
        };
        rest = tail;
        frames += u64::from(is_data);
    }
}

fn control(kind: u32, content: bool, out: &mut Vec<u8>) {
    let field = if content {
        2 * LENGTH + CONTENT_TYPE.len()
    } else {
        0
    };
    for word in [0, (LENGTH + field) as u32, kind] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    if content {
        for word in [FIELD_CONTENT_TYPE, CONTENT_TYPE.len() as u32] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(CONTENT_TYPE.as_bytes());
    }
}

/// Fields of the control frame that comes, which must be of a type.
fn receive(connection: &mut impl Read, wanted: u32) -> Result<Vec<u8>, HandshakeError> {
    let mut head = [0; 2 * LENGTH];
    connection.read_exact(&mut head)?;
    let mut words = head.as_slice();
    let (escape, length) = (word(&mut words), word(&mut words));
    let Some(length @ 4..=CONTROL_MAX) = length.filter(|_| escape == Some(0)) else {
        return Err(HandshakeError::Protocol);
    };
    let mut frame = vec![0; length as usize];
    connection.read_exact(&mut frame)?;
    let mut fields = frame.as_slice();
    match word(&mut fields) {
        Some(got) if got == wanted => Ok(fields.to_vec()),
        got => Err(HandshakeError::Unexpected {
            got: got.unwrap_or(0),
            wanted,
        }),
    }
}

/// Whether the fields name our content type; none at all takes everything.
fn takes(mut fields: &[u8]) -> bool {
    if fields.is_empty() {
        return true;
    }
    while let (Some(kind), Some(length)) = (word(&mut fields), word(&mut fields)) {
        let Some((value, rest)) = fields.split_at_checked(length as usize) else {
            return false;
        };
        if kind == FIELD_CONTENT_TYPE && value == CONTENT_TYPE.as_bytes() {
            return true;
        }
        fields = rest;
    }
    false
}

fn word(bytes: &mut &[u8]) -> Option<u32> {
    let (word, rest) = bytes.split_first_chunk::<LENGTH>()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection whose other side has said all that it will say.
    struct Scripted {
        says: &'static [u8],
        heard: Vec<u8>,
    }

    impl Read for Scripted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.says.read(buffer)
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn says(says: &'static [u8]) -> Scripted {
        let heard = Vec::new();
        Scripted { says, heard }
    }

    /// As `fstrm_capture -ddddd` shows both sides.
    #[test]
    fn the_handshake_is_that_of_the_reference() {
        let mut other =
            says(b"\0\0\0\0\0\0\0\x22\0\0\0\x01\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap");
        open(&mut other).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(
            other.heard,
            b"\0\0\0\0\0\0\0\x22\0\0\0\x04\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap\
              \0\0\0\0\0\0\0\x22\0\0\0\x02\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap"
        );
        let mut other = says(b"\0\0\0\0\0\0\0\x04\0\0\0\x05");
        close(&mut other).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(other.heard, b"\0\0\0\0\0\0\0\x04\0\0\0\x03");
    }

    #[test]
    fn what_is_no_collector_is_told() {
        for (answer, error) in [
            (
                &b"HTTP/1.1 400 Bad Request"[..],
                "the other side does not speak Frame Streams",
            ),
            (
                b"\0\0\0\0\xff\xff\xff\xff",
                "the other side does not speak Frame Streams",
            ),
            (
                b"\0\0\0\0\0\0\0\x02\0\0",
                "the other side does not speak Frame Streams",
            ),
            (
                b"\0\0\0\0\0\0\0\x04\0\0\0\x05",
                "the other side sent control frame 5 instead of 1",
            ),
            (
                b"\0\0\0\0\0\0\0\x0d\0\0\0\x01\0\0\0\x01\0\0\0\x01x",
                "the other side does not take protobuf:dnstap.Dnstap",
            ),
            (
                b"\0\0\0\0\0\0\0\x0d\0\0\0\x01\0\0\0\x01\0\0\0\x09x",
                "the other side does not take protobuf:dnstap.Dnstap",
            ),
            (b"\0\0\0\0\0\0", "failed to fill whole buffer"),
        ] {
            let told = open(&mut says(answer)).map_err(|error| error.to_string());
            assert_eq!(told, Err(error.to_owned()));
        }
    }

    #[test]
    fn whole_frames_are_counted() {
        let frames = b"\0\0\0\x02ab\0\0\0\x01c";
        for (bytes, wanted) in [
            (&frames[..], (11, 2)),
            (&frames[..10], (6, 1)),
            (&frames[..8], (6, 1)),
            (&frames[..5], (0, 0)),
            (b"", (0, 0)),
            (b"\0\0\0\0\0\0\0\x04\0\0\0\x03\0\0\0\x01c", (17, 1)),
            (b"\0\0\0\0\0\0\0\x04\0\0\0", (0, 0)),
        ] {
            assert_eq!(whole(bytes), wanted);
        }
    }
}
