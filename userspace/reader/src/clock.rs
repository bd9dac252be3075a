//! The kernel stamps records with `CLOCK_BOOTTIME`; output wants the time of day.

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_BOOTTIME`.
#[must_use]
pub fn boot_now() -> u64 {
    u64::try_from(nanoseconds(ClockId::Boottime)).unwrap_or(0)
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

/// Turns boot time into time of day.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    offset_ns: i64,
}

impl WallClock {
    /// Reads both clocks now.
    #[must_use]
    pub fn sample() -> Self {
        let before = nanoseconds(ClockId::Boottime);
        let real = nanoseconds(ClockId::Realtime);
        let after = nanoseconds(ClockId::Boottime);
        Self {
            offset_ns: real.saturating_sub(before + (after - before) / 2),
        }
    }

    /// A clock that is off by a known amount, for tests.
    #[must_use]
    pub const fn with_offset(offset_ns: i64) -> Self {
        Self { offset_ns }
    }

    /// Nanoseconds since 1970 of a boot time.
    #[must_use]
    pub fn unix_ns(self, boot_ns: u64) -> i64 {
        i64::try_from(boot_ns)
            .unwrap_or(i64::MAX)
            .saturating_add(self.offset_ns)
    }

    /// Time of day of a boot time.
    #[must_use]
    pub fn at(self, boot_ns: u64) -> Timestamp {
        let nanoseconds = i128::from(self.unix_ns(boot_ns));
        Timestamp::from_nanosecond(nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Octets of a time stamp: RFC 3339 in UTC with nine digits of a second: `2026-01-02T03:04:05.000000000Z`.
pub const STAMP: usize = 30;
/// Where those nine digits begin.
const FRACTION: usize = 20;

/// Writes time stamps, and remembers the second of the last one, which the next mostly shares.
#[derive(Clone, Debug)]
pub struct StampWriter {
    second: i64,
    text: [u8; STAMP],
}

impl StampWriter {
    /// Remembers the start of 1970.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            second: 0,
            text: *b"1970-01-01T00:00:00.000000000Z",
        }
    }

    /// The stamp of a time in nanoseconds since 1970, in ASCII.
    pub fn write(&mut self, unix_ns: i64) -> &[u8; STAMP] {
        let second = unix_ns.div_euclid(1_000_000_000);
        let mut fraction = unix_ns.rem_euclid(1_000_000_000);
        if second != self.second {
            let time = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
            let text = format!("{time:.9}");
            if let Ok(text) = text.into_bytes().try_into() {
                self.second = second;
                self.text = text;
            }
        }
        for digit in self.text[FRACTION..STAMP - 1].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        &self.text
    }
}

impl Default for StampWriter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_agree_with_the_library() {
        let mut writer = StampWriter::new();
        for ns in [
            0,
            1,
            999_999_999,
            1_000_000_000,
            1_767_323_045_001_000_000,
            1_767_323_044_999_999_999,
            -1,
        ] {
            let time = Timestamp::from_nanosecond(i128::from(ns)).unwrap();
            assert_eq!(writer.write(ns), format!("{time:.9}").as_bytes());
        }
    }
}
