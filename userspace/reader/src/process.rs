//! Who asked: a process as it was when it sent. Its name is hostile, since every process chooses its own.

use std::fmt;

use dns_trace_event::COMM_LEN;

/// Name of a process, at most 15 bytes of any value but 0 (`TASK_COMM_LEN`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Comm([u8; COMM_LEN]);

impl Comm {
    /// The name in the field of a record; what follows the first 0 is no part of it.
    #[must_use]
    pub fn new(mut field: [u8; COMM_LEN]) -> Self {
        let end = field.iter().position(|byte| *byte == 0);
        field[end.unwrap_or(COMM_LEN - 1)..].fill(0);
        Self(field)
    }

    /// The name that the kernel would make of a program's: cut to 15 bytes.
    #[must_use]
    pub fn cut(name: &[u8]) -> Self {
        let mut field = [0; COMM_LEN];
        for (to, from) in field.iter_mut().zip(name) {
            *to = *from;
        }
        Self::new(field)
    }

    /// The bytes as they are.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0);
        &self.0[..end.unwrap_or(COMM_LEN)]
    }
}

impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.as_bytes())
    }
}

/// Writes printable ASCII as it is, a backslash twice and every other byte as `\DDD`, as names are
/// written (RFC 1035, section 5.1).
///
/// # Errors
/// The writer's.
pub fn write_escaped(f: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    for &byte in bytes {
        match byte {
            b'\\' => f.write_str("\\\\")?,
            b' '..=b'~' => f.write_char(char::from(byte))?,
            _ => write!(f, "\\{byte:03}")?,
        }
    }
    Ok(())
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id, in the initial namespace.
    pub pid: u32,
    /// Real user id, likewise.
    pub uid: u32,
    /// Name.
    pub name: Comm,
    /// Cgroup v2 id, 0 if unknown.
    pub cgroup_id: u64,
    /// Path of its program, escaped; where this user may read it.
    pub executable: Option<Box<str>>,
}

/// Which process `--process` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one with this id.
    Pid(u32),
    /// Every one of this name.
    Name(Comm),
}

impl Which {
    /// Digits are an id, everything else is a name, cut as the kernel cuts names.
    ///
    /// # Errors
    /// For nothing at all.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(pid) => Ok(Self::Pid(pid)),
            Err(_) if text.is_empty() => Err("must be a name or a process id".to_owned()),
            Err(_) => Ok(Self::Name(Comm::cut(text.as_bytes()))),
        }
    }

    /// Whether it means that one.
    #[must_use]
    pub fn is(&self, process: &Process) -> bool {
        match self {
            Self::Pid(pid) => process.pid == *pid,
            Self::Name(name) => process.name == *name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_where_the_kernel_ends_them() {
        assert_eq!(Comm::new(*b"dig\0old name\0\0\0\0").as_bytes(), b"dig");
        assert_eq!(Comm::new(*b"dig\0old name\0\0\0\0"), Comm::cut(b"dig"));
        // Without an end, which the kernel never writes.
        assert_eq!(Comm::new([b'x'; 16]).as_bytes(), [b'x'; 15]);
        assert_eq!(Comm::new([0; 16]).as_bytes(), b"");
    }

    #[test]
    fn hostile_names_are_escaped() {
        let name = Comm::cut(b"\x1b[2J\\\"\xff\n");
        assert_eq!(name.to_string(), r#"\027[2J\\"\255\010"#);
    }

    #[test]
    fn digits_are_a_pid_and_long_names_are_cut() {
        assert_eq!(Which::parse("4242"), Ok(Which::Pid(4242)));
        assert_eq!(
            Which::parse("systemd-resolved"),
            Ok(Which::Name(Comm::cut(b"systemd-resolve")))
        );
        assert!(Which::parse("").is_err());
        // More than a process id can be: a name.
        assert!(matches!(Which::parse("99999999999"), Ok(Which::Name(_))));
    }
}
