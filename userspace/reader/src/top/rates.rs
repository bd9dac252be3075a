//! Lookups by the second, of the last few minutes.

/// Seconds kept: more than a wide terminal shows.
const SECONDS: usize = 256;

/// Counts of seconds, counted from the start.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    counts: [u64; SECONDS],
    /// The second that is running.
    now: u64,
}

impl Rates {
    /// Adds to the second that is running; time does not go back.
    pub fn add(&mut self, second: u64, count: u64) {
        let passed = second.saturating_sub(self.now).min(SECONDS as u64);
        for _ in 0..passed {
            self.counts.rotate_left(1);
            self.counts[SECONDS - 1] = 0;
        }
        self.now = self.now.max(second);
        self.counts[SECONDS - 1] += count;
    }

    /// The seconds that are over, the last one last.
    #[must_use]
    pub fn whole_seconds(&self) -> &[u64] {
        &self.counts[..SECONDS - 1]
    }

    /// Count of the last whole second.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.counts[SECONDS - 2]
    }

    /// The second that is running.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Whether a further second changes the picture.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.counts.iter().any(|count| *count > 0)
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            counts: [0; SECONDS],
            now: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_pass() {
        let mut rates = Rates::default();
        assert!(!rates.is_moving());
        rates.add(0, 5);
        rates.add(0, 2);
        assert_eq!(rates.last(), 0);
        rates.add(1, 3);
        assert_eq!(rates.last(), 7);
        rates.add(3, 1);
        let seconds = rates.whole_seconds();
        assert_eq!(seconds[seconds.len() - 3..], [7, 3, 0]);
        rates.add(10_000, 0);
        assert!(!rates.is_moving());
    }
}
