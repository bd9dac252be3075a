//! Who holds a lock, by `/proc/locks` (proc(5)).

use std::fs::{self, File};

/// Process that holds an exclusive `flock` on what the file is; `None` where it cannot be told (no
/// procfs, or a process of another pid namespace).
pub(super) fn holder(file: &File) -> Option<u32> {
    let stat = rustix::fs::fstat(file).ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    find(
        &locks,
        rustix::fs::major(stat.st_dev),
        rustix::fs::minor(stat.st_dev),
        stat.st_ino,
    )
}

/// Lines read `1: FLOCK  ADVISORY  WRITE 1234 08:02:5678 0 EOF`, the device in hexadecimal.
fn find(locks: &str, major: u32, minor: u32, inode: u64) -> Option<u32> {
    let wanted = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields[..] {
            [_, "FLOCK", _, "WRITE", pid, place, ..] if place == wanted => {
                pid.parse().ok().filter(|pid| *pid != 0)
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    const LOCKS: &str = "\
1: POSIX  ADVISORY  WRITE 11 00:1f:42 0 EOF
2: FLOCK  ADVISORY  WRITE 1234 00:1f:42 0 EOF
2: -> FLOCK  ADVISORY  WRITE 99 00:1f:42 0 EOF
3: FLOCK  ADVISORY  WRITE 0 00:1f:43 0 EOF
";

    #[test]
    fn finds_the_holder_and_nobody_else() {
        assert_eq!(find(LOCKS, 0, 0x1f, 42), Some(1234));
        assert_eq!(find(LOCKS, 0, 0x1f, 43), None);
        assert_eq!(find(LOCKS, 8, 0x1f, 42), None);
    }
}
