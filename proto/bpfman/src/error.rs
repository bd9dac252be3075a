//! What can go wrong between a caller and the daemon. Every message is one line.

use std::{error::Error as StdError, io, path::PathBuf, time::Duration};

/// Longest text of the daemon's that an error repeats, in characters. Verifier logs are longer.
const MESSAGE_MAX: usize = 2000;

/// Error of the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No daemon listens at the socket.
    #[error(
        "cannot {operation}: no bpfman daemon at {}: {source} (run: sudo systemctl start bpfman.socket)",
        socket.display()
    )]
    NotRunning {
        /// What was asked for.
        operation: String,
        /// Path of the socket.
        socket: PathBuf,
        /// Why the connection did not come about.
        source: io::Error,
    },
    /// The socket is there, but not for this user.
    #[error(
        "cannot {operation}: no access to the bpfman socket {}: {source} (the daemon serves root only; run the command with sudo)",
        socket.display()
    )]
    PermissionDenied {
        /// What was asked for.
        operation: String,
        /// Path of the socket.
        socket: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// The connection came about and broke before the answer. Whether the daemon did what it was
    /// asked for is unknown.
    #[error(
        "cannot {operation}: the bpfman daemon at {} ended the connection without an answer: {cause} (see: journalctl -u bpfman)",
        socket.display()
    )]
    Died {
        /// What was asked for.
        operation: String,
        /// Path of the socket.
        socket: PathBuf,
        /// What the transport saw.
        cause: String,
    },
    /// No answer in time. The daemon may still do what it was asked for.
    #[error(
        "cannot {operation}: no answer from the bpfman daemon at {} in {} s (see: journalctl -u bpfman)",
        socket.display(), limit.as_secs()
    )]
    TimedOut {
        /// What was asked for.
        operation: String,
        /// Path of the socket.
        socket: PathBuf,
        /// How long the client waited.
        limit: Duration,
    },
    /// The daemon answered with an error.
    #[error("cannot {operation}: bpfman refused: {message}{}", hint.map(|h| format!(" ({h})")).unwrap_or_default())]
    Refused {
        /// What was asked for.
        operation: String,
        /// The daemon's text on one line, at most 2000 characters of it. 0.6.0 gives only the
        /// outermost cause; the others are in its journal.
        message: String,
        /// What to do about it, where it is known.
        hint: Option<&'static str>,
    },
    /// The daemon answered, but not what the contract promises.
    #[error(
        "cannot {operation}: the answer of bpfman lacks {missing} (is the daemon release 0.6 or later? see: bpfman --version)"
    )]
    Incomplete {
        /// What was asked for.
        operation: String,
        /// What the answer lacks.
        missing: &'static str,
    },
    /// A request to load without programs.
    #[error("cannot load: the request names no program")]
    NoPrograms,
    /// A path that protobuf cannot carry.
    #[error("cannot send the path {} to bpfman: it is not UTF-8", .0.display())]
    PathNotUtf8(PathBuf),
    /// Text that names no action.
    #[error("unknown proceed-on action {action:?} (known: {known})")]
    UnknownAction {
        /// The text.
        action: String,
        /// Every name, separated by spaces.
        known: &'static str,
    },
}

const NO_LABELS: &str = "the image has no labels of a bytecode image, or not all; make one with: dns-tracectl image build";

/// Texts of 0.6.0 whose remedy is known: a part of the text, and what to do.
const HINTS: &[(&str, &str)] = &[
    (
        "Invalid Interface",
        "there is no such interface in that network namespace; see: ip link",
    ),
    (
        "certificate verify failed",
        "bpfman does not trust the registry's CA; give its service the environment SSL_CERT_FILE=/path/to/ca.pem",
    ),
    (
        "Unable to initialize ImageManager",
        "checking signatures needs the Internet; without it set verify_enabled = false under [signing] in /etc/bpfman/bpfman.toml",
    ),
    ("Labels not found", NO_LABELS),
    ("missing field `io.ebpf.", NO_LABELS),
    (
        "Not authorized",
        "give the registry's user name and password with the request",
    ),
    (
        "Authentication failure",
        "give the registry's user name and password with the request",
    ),
    (
        "No room to attach program",
        "bpfman chains at most ten programs per hook; detach one",
    ),
    (
        "database lock",
        "another bpfman command is at work; try again",
    ),
    (
        "panicked",
        "bpfman failed internally; see: journalctl -u bpfman",
    ),
    (
        "target netns",
        "the path of the network namespace must exist for the daemon too",
    ),
    ("memory lock limits", "the daemon needs CAP_SYS_RESOURCE"),
];

/// The daemon's text on one line, without control characters, cut to [`MESSAGE_MAX`].
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MESSAGE_MAX));
    let mut length = 0;
    for part in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|p| !p.is_empty())
    {
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        for c in part.chars() {
            if length == MESSAGE_MAX {
                line.push('…');
                return line;
            }
            line.push(c);
            length += 1;
        }
    }
    line
}

/// An error and its causes, outermost first.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&e| StdError::source(e))
}

/// The chain of causes on one line, repetitions left out.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let text = one_line(&cause.to_string());
        if !text.is_empty() && parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// What a request was about, for the errors that may come of it.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) operation: String,
    pub(crate) socket: PathBuf,
}

impl Context {
    /// The connection did not come about.
    pub(crate) fn connect(self, error: io::Error) -> Error {
        let Self { operation, socket } = self;
        match error.kind() {
            io::ErrorKind::PermissionDenied => Error::PermissionDenied {
                operation,
                socket,
                source: error,
            },
            _ => Error::NotRunning {
                operation,
                socket,
                source: error,
            },
        }
    }

    /// The connection broke.
    pub(crate) fn broken(self, error: &(dyn StdError + 'static)) -> Error {
        Error::Died {
            operation: self.operation,
            socket: self.socket,
            cause: chain(error),
        }
    }

    /// The call ended with a status. One with a source was made on this side, by the transport.
    pub(crate) fn status(self, status: &tonic::Status) -> Error {
        if let Some(source) = status.source() {
            return self.broken(source);
        }
        let message = one_line(status.message());
        let hint = HINTS
            .iter()
            .find(|(part, _)| message.contains(part))
            .map(|(_, hint)| *hint);
        let message = if message.is_empty() {
            status.code().to_string()
        } else {
            message
        };
        Error::Refused {
            operation: self.operation,
            message,
            hint,
        }
    }

    pub(crate) fn timed_out(self, limit: Duration) -> Error {
        Error::TimedOut {
            operation: self.operation,
            socket: self.socket,
            limit,
        }
    }

    pub(crate) fn incomplete(self, missing: &'static str) -> Error {
        Error::Incomplete {
            operation: self.operation,
            missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            operation: "attach program 7 to eth0".into(),
            socket: "/s".into(),
        }
    }

    #[test]
    fn refusals_are_one_line_with_a_remedy() {
        let status = tonic::Status::aborted("Invalid\n\n  Interface\u{1b}[31m");
        assert_eq!(
            context().status(&status).to_string(),
            "cannot attach program 7 to eth0: bpfman refused: Invalid Interface [31m (there is no \
             such interface in that network namespace; see: ip link)"
        );
    }

    #[test]
    fn unknown_refusals_have_no_remedy_and_empty_ones_the_code() {
        let plain = context().status(&tonic::Status::aborted("x")).to_string();
        assert_eq!(plain, "cannot attach program 7 to eth0: bpfman refused: x");
        let empty = context()
            .status(&tonic::Status::unimplemented(""))
            .to_string();
        assert!(empty.contains("not implemented"), "{empty}");
    }

    #[test]
    fn long_texts_are_cut() {
        for (length, cut) in [
            (MESSAGE_MAX - 1, false),
            (MESSAGE_MAX, false),
            (MESSAGE_MAX + 1, true),
        ] {
            let line = one_line(&"é".repeat(length));
            assert_eq!(line.ends_with('…'), cut, "{length}");
            assert_eq!(
                line.chars().filter(|c| *c == 'é').count(),
                length.min(MESSAGE_MAX)
            );
        }
    }

    #[test]
    fn repeated_causes_are_said_once() {
        let inner = io::Error::other("broken pipe");
        let outer = io::Error::other(inner);
        assert_eq!(chain(&outer), "broken pipe");
    }
}
