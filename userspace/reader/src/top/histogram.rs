//! How long lookups took, in octaves of a microsecond: each bucket is twice as wide as the one before it.

/// Octaves: below 1 us, 1 to 2 us, … and the last from some 8 s on.
pub const OCTAVES: usize = 25;

/// A histogram of which each octave has so many buckets of equal width.
#[derive(Clone, Copy, Debug)]
pub struct Histogram<const SUB: usize>([[u64; SUB]; OCTAVES]);

impl<const SUB: usize> Histogram<SUB> {
    /// Counts a time in nanoseconds.
    pub fn add(&mut self, ns: u64) {
        let us = ns / 1000;
        let octave = (u64::BITS - us.leading_zeros()) as usize;
        let octave = octave.min(OCTAVES - 1);
        let (start, width) = bounds(octave);
        let sub = (ns.saturating_sub(start)).saturating_mul(SUB as u64) / width;
        let sub = usize::try_from(sub).unwrap_or(usize::MAX).min(SUB - 1);
        self.0[octave][sub] += 1;
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.as_flattened().iter().sum()
    }

    /// Below which time so many percent are, nanoseconds; right to the width of a bucket. `None` if there are none.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let total = self.total();
        let rank = total.saturating_mul(percent).div_ceil(100).max(1);
        let mut before = 0;
        for (octave, buckets) in self.0.iter().enumerate() {
            let (start, width) = bounds(octave);
            for (sub, count) in buckets.iter().enumerate() {
                if before + count >= rank && *count > 0 {
                    let part = width / SUB as u64;
                    let within = u128::from(part) * u128::from(rank - before) / u128::from(*count);
                    return Some(start + part * sub as u64 + within as u64);
                }
                before += count;
            }
        }
        None
    }

    /// Counts from octave `first` on, so many columns an octave, of which there are `octaves`; what is below
    /// or above goes to the first or last column.
    #[must_use]
    pub fn columns(&self, first: usize, octaves: usize, each: usize) -> Vec<u64> {
        let mut columns = vec![0; octaves * each];
        let last = columns.len().saturating_sub(1);
        for (octave, buckets) in self.0.iter().enumerate() {
            for (sub, count) in buckets.iter().enumerate() {
                let column = if octave < first {
                    0
                } else {
                    (octave - first) * each + sub * each / SUB
                };
                if let Some(place) = columns.get_mut(column.min(last)) {
                    *place += count;
                }
            }
        }
        columns
    }
}

impl<const SUB: usize> Default for Histogram<SUB> {
    fn default() -> Self {
        Self([[0; SUB]; OCTAVES])
    }
}

/// Start and width of an octave, nanoseconds.
const fn bounds(octave: usize) -> (u64, u64) {
    if octave == 0 {
        return (0, 1000);
    }
    let start = 1000 << (octave - 1);
    (start, start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn octaves_have_their_bounds() {
        let mut histogram = Histogram::<1>::default();
        for ns in [0, 999, 1000, 1999, 2000, 3999, 4000, u64::MAX] {
            histogram.add(ns);
        }
        let columns = histogram.columns(0, OCTAVES, 1);
        assert_eq!(columns[..4], [2, 2, 2, 1]);
        assert_eq!((columns[OCTAVES - 1], histogram.total()), (1, 8));
        assert_eq!(histogram.columns(1, 2, 1), [4, 4]);
    }

    proptest! {
        #[test]
        fn percentiles_are_right_to_a_bucket(
            mut times in prop::collection::vec(2000_u64..8_000_000_000, 1..300),
            percent in 1_u64..=100,
        ) {
            let mut histogram = Histogram::<4>::default();
            for ns in &times {
                histogram.add(*ns);
            }
            times.sort_unstable();
            let rank = (times.len() as u64 * percent).div_ceil(100).max(1);
            let exact = times[rank as usize - 1] as f64;
            let found = histogram.percentile(percent).unwrap() as f64;
            prop_assert!((found / exact - 1.0).abs() <= 0.26, "{found} for {exact}");
        }
    }
}
