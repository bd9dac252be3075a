//! What came of it, in words.

use std::fmt;
use std::thread;

use landlock::LandlockStatus;

use super::{Error, Mode, Needs, Threads, limit};

/// What confines the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confined {
    /// What the kernel has of Landlock.
    pub landlock: LandlockStatus,
    /// Number of system calls that are left, or why all are.
    pub calls: Result<usize, String>,
}

impl Confined {
    /// One line if a means is missing.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let landlock = landlock(self.landlock).err();
        let landlock = landlock.map(|why| format!("Landlock ({why})"));
        let calls = self.calls.as_ref().err();
        let calls = calls.map(|why| format!("seccomp ({why})"));
        let missing: Vec<String> = landlock.into_iter().chain(calls).collect();
        (!missing.is_empty()).then(|| format!("not confined by {}", missing.join(" nor by ")))
    }
}

impl fmt::Display for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  no_new_privs  yes")?;
        match landlock(self.landlock) {
            Ok(what) => writeln!(f, "  Landlock      yes, {what}")?,
            Err(why) => writeln!(f, "  Landlock      no, {why}")?,
        }
        match &self.calls {
            Ok(number) => write!(f, "  seccomp       yes, {number} system calls are left"),
            Err(why) => write!(f, "  seccomp       no, {why}"),
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folders = [
            ("reading", &self.reads),
            ("listing", &self.lists),
            ("writing", &self.writes),
        ];
        for (what, paths) in folders {
            for path in paths {
                writeln!(f, "  {what}       {}", path.display())?;
            }
        }
        for port in &self.connects {
            writeln!(f, "  connecting    to TCP port {port}")?;
        }
        let rest = [
            (self.local, "  connecting    to sockets in the file system"),
            (self.accepts, "  accepting     connections"),
            (
                self.terminal,
                "  keys          of the terminal, and its settings",
            ),
        ];
        for (_, text) in rest.iter().filter(|(needed, _)| *needed) {
            writeln!(f, "{text}")?;
        }
        Ok(())
    }
}

/// What there is of Landlock, or why there is none.
fn landlock(status: LandlockStatus) -> Result<String, &'static str> {
    match status {
        LandlockStatus::NotImplemented => Err("this kernel has none; Linux 5.13 brought it"),
        LandlockStatus::NotEnabled => Err("switched off: add landlock to the kernel's option lsm="),
        LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        } => {
            let abi = kernel_abi.unwrap_or(effective_abi as i32);
            let what = match abi {
                4.. => "paths, TCP ports",
                _ => "paths; TCP ports from Linux 6.7 on",
            };
            Ok(format!("ABI {abi}: {what}"))
        }
    }
}

/// Confines a thread that ends at once, to learn what this kernel can do.
///
/// # Errors
/// As [`super::apply`].
pub fn trial(needs: &Needs) -> Result<Confined, Error> {
    let trial = thread::scope(|scope| {
        let thread = scope.spawn(|| limit(needs, Mode::On, Threads::This));
        thread.join()
    });
    trial.unwrap_or(Err(Error::Panic))
}

#[cfg(test)]
mod tests {
    use landlock::ABI;

    use super::*;

    #[test]
    fn what_is_missing_is_said_with_its_reason() {
        let whole = Confined {
            landlock: LandlockStatus::Available {
                effective_abi: ABI::V3,
                kernel_abi: None,
            },
            calls: Ok(80),
        };
        assert_eq!(whole.missing(), None);
        let text = whole.to_string();
        assert!(
            text.contains("yes, ABI 3: paths; TCP ports from Linux 6.7 on\n"),
            "{text}"
        );
        let nothing = Confined {
            landlock: LandlockStatus::NotEnabled,
            calls: Err("there is no list for s390x".to_owned()),
        };
        assert_eq!(
            nothing.missing().unwrap(),
            "not confined by Landlock (switched off: add landlock to the kernel's option lsm=) \
             nor by seccomp (there is no list for s390x)"
        );
    }
}
