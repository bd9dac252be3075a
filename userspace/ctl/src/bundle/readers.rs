//! Who holds an exclusive `flock` on a folder: readers do on that of their ring. Looked up in
//! `/proc/locks`, since probing with a lock of our own could turn a reader away that starts just then.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Process id of the holder; `None` if there is none. 0 or less where it lives in another pid namespace.
pub(crate) fn holder_of(folder: &Path) -> Option<i32> {
    let meta = fs::metadata(folder).ok()?;
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let locks = fs::read_to_string("/proc/locks").ok()?;
    holder(&locks, &format!("{major:02x}:{minor:02x}:{}", meta.ino()))
}

/// Finds the holder of an exclusive flock (proc_locks(5)); `->` marks one that still waits.
fn holder(locks: &str, file: &str) -> Option<i32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields.as_slice() {
            [_, "FLOCK", _, "WRITE", pid, at, ..] if *at == file => pid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "\
1: POSIX  ADVISORY  WRITE 77 00:2f:12 0 EOF
2: FLOCK  ADVISORY  READ 78 00:2f:12 0 EOF
3: FLOCK  ADVISORY  WRITE 4242 00:34:1055 0 EOF
3: -> FLOCK  ADVISORY  WRITE 4243 00:34:1056 0 EOF
";

    #[test]
    fn only_an_exclusive_flock_is_a_reader() {
        assert_eq!(holder(LOCKS, "00:34:1055"), Some(4242));
        for other in ["00:2f:12", "00:34:1056", "00:34:105", ""] {
            assert_eq!(holder(LOCKS, other), None, "{other}");
        }
    }
}
