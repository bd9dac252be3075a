//! Exit codes, and errors that carry one. The table in `--help` is made from here.

use std::{fmt, process::ExitCode};

/// What the exit code says. The numbers are documented and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Anything that has no code of its own.
    Runtime = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Something named does not exist.
    Missing = 3,
    /// Not allowed.
    Permission = 4,
    /// The bpfman daemon.
    Daemon = 5,
    /// The object or image.
    Object = 6,
    /// The kernel.
    Kernel = 7,
    /// The registry.
    Registry = 8,
}

/// The table for `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
  0  done, or already so
  1  it failed for a reason that has no code of its own
  2  the command line makes no sense
  3  not loaded, detached by somebody else, or an interface, namespace, group or file does not exist
  4  not permitted: run as root
  5  no bpfman daemon, or it refused
  6  the object or image is damaged, not of dns-trace, or of another ABI
  7  the kernel lacks something that is needed
  8  the registry refused or cannot be reached";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// An error for [`anyhow`] with its exit code.
    #[expect(clippy::new_ret_no_self, reason = "nobody wants the bare failure")]
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> anyhow::Error {
        Self {
            exit,
            message: message.into(),
        }
        .into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Exit code of an error: that of the outermost cause which has one.
pub(crate) fn code_of(error: &anyhow::Error) -> Exit {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit;
    }
    error
        .chain()
        .find_map(code_of_cause)
        .unwrap_or(Exit::Runtime)
}

fn code_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.exit);
    }
    if let Some(error) = cause.downcast_ref::<dns_trace_bpfman::Error>() {
        return Some(match error {
            dns_trace_bpfman::Error::PermissionDenied { .. } => Exit::Permission,
            _ => Exit::Daemon,
        });
    }
    let io = cause.downcast_ref::<std::io::Error>()?;
    (io.kind() == std::io::ErrorKind::PermissionDenied).then_some(Exit::Permission)
}

/// The chain of causes as one line, without control characters; a cause that the line already ends
/// with is not said twice.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = clean(&cause.to_string());
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

/// Text on one line, cut to a length that a person reads; control characters become spaces.
pub(crate) fn clean(text: &str) -> String {
    const MAX: usize = 600;
    let flat: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|p| !p.is_empty())
        .collect();
    let flat = flat.join(" ");
    match flat.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &flat[..end]),
        None => flat,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_code_survives_context() {
        let error = Err::<(), _>(Failure::new(Exit::Kernel, "no BTF"))
            .context("load")
            .unwrap_err();
        assert_eq!(code_of(&error), Exit::Kernel);
        assert_eq!(one_line(&error), "load: no BTF");
    }

    #[test]
    fn the_kernels_refusal_is_a_permission() {
        let refusal = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert_eq!(
            code_of(&anyhow::Error::from(refusal).context("pin")),
            Exit::Permission
        );
        assert_eq!(code_of(&anyhow::anyhow!("x")), Exit::Runtime);
    }

    #[test]
    fn errors_are_one_line_without_control_characters() {
        let error = anyhow::anyhow!("a\n\tb\u{1b}[31m").context("c");
        assert_eq!(one_line(&error), "c: a b [31m");
        assert!(clean(&"x".repeat(601)).ends_with('…'));
        assert!(!clean(&"x".repeat(600)).ends_with('…'));
    }

    #[test]
    fn every_code_is_in_the_table() {
        for code in 0..=Exit::Registry as u8 {
            assert!(TABLE.contains(&format!("\n  {code}  ")), "{code}");
        }
    }
}
