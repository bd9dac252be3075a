//! The program of a process, by procfs (proc(5)). Read once a process, never once a message.
//!
//! The kernel shows it to the same user and to root only, and process ids of records are those of the
//! initial namespace: a reader in another one would look at somebody else.

use std::fs;
use std::path::Path;

use super::escaped;
use crate::process::Comm;

/// Inode of the initial pid namespace (`PROC_PID_INIT_INO`, `include/linux/proc_ns.h`).
const INITIAL: &str = "pid:[4026531836]";

/// A process, as procfs names it: its id alone may have been used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Started {
    /// Clock ticks from boot to its start.
    pub(super) ticks: u64,
    name: Comm,
}

/// procfs of the initial pid namespace.
#[derive(Debug)]
pub(super) struct Procfs {
    ns_per_tick: u64,
}

impl Procfs {
    /// `None` where process ids mean something else to this process.
    pub(super) fn new() -> Option<Self> {
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        if namespace != Path::new(INITIAL) {
            return None;
        }
        // SAFETY: a question without pointers.
        let ticks = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok()?;
        Some(Self {
            ns_per_tick: 1_000_000_000_u64.checked_div(ticks)?,
        })
    }

    /// Path of the program of the process that had this id and this name at a boot time, escaped, and
    /// when the process started.
    pub(super) fn executable(&self, pid: u32, name: Comm, time_ns: u64) -> Option<(Box<str>, u64)> {
        // First, as this is what most readers may not see.
        let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let started = started(pid)?;
        // Began before the announcement and lives: nobody else had the id in between.
        let same = started.ticks.saturating_mul(self.ns_per_tick) <= time_ns;
        // The path is the one's that was looked at, not of whoever took over its id meanwhile.
        let again = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        (same && started.name == name && again == path).then(|| (escaped(&path), started.ticks))
    }
}

/// When the process with this id started, and its name now.
pub(super) fn started(pid: u32) -> Option<Started> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `4711 (name) S 1 …`: the name may hold anything, parentheses too; the start is the 22nd field.
fn parse(stat: &[u8]) -> Option<Started> {
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let name = stat.get(open + 1..close)?;
    let rest = str::from_utf8(stat.get(close + 1..)?).ok()?;
    Some(Started {
        ticks: rest.split_ascii_whitespace().nth(19)?.parse().ok()?,
        name: Comm::cut(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::boot_now;

    #[test]
    fn the_name_may_hold_anything() {
        let stat = b"42 (a) R (b)) S 1 42 42 0 -1 4194304 9 0 0 0 0 0 0 0 20 0 1 0 777 9 9\n";
        let started = parse(stat).unwrap();
        assert_eq!((started.ticks, started.name), (777, Comm::cut(b"a) R (b)")));
        assert_eq!(parse(b"42 (a S 1"), None);
        assert_eq!(parse(b"42 (a) S 1 2 3"), None);
    }

    #[test]
    fn a_process_is_itself_and_nobody_else() {
        let procfs = Procfs {
            ns_per_tick: 10_000_000,
        };
        let pid = std::process::id();
        let own = started(pid).unwrap();
        let (path, ticks) = procfs.executable(pid, own.name, boot_now()).unwrap();
        let want = std::env::current_exe().unwrap();
        assert_eq!((Path::new(&*path), ticks), (want.as_path(), own.ticks));
        // Another name, and an announcement from before the process began.
        assert_eq!(procfs.executable(pid, Comm::cut(b"else"), boot_now()), None);
        let before = (own.ticks - 1) * 10_000_000;
        assert_eq!(procfs.executable(pid, own.name, before), None);
    }
}
