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

    /// Time of day of a boot time.
    #[must_use]
    pub fn at(self, boot_ns: u64) -> Timestamp {
        let nanoseconds = i128::from(boot_ns) + i128::from(self.offset_ns);
        Timestamp::from_nanosecond(nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
