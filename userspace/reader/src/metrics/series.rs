//! Series: what is counted under one set of labels. There is room for a fixed number of them, made at the
//! start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;

/// Upper bounds of the buckets of durations, nanoseconds: from what a cache on this host takes up to the
/// time after which a query is given up by default.
pub const BOUNDS_NS: [u64; 15] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
];

/// The labels of a series, each as the index of its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    pub(super) qtype: u8,
    /// Response code or error.
    pub(super) outcome: u8,
    pub(super) transport: u8,
    pub(super) server: u16,
    pub(super) name: u16,
}

/// What only one thread changes: no other can have changed it between load and store.
fn bump(word: &AtomicU64, by: u64) {
    let sum = word.load(Ordering::Relaxed).wrapping_add(by);
    word.store(sum, Ordering::Relaxed);
}

/// A number of lookups.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self) {
        bump(&self.0, 1);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations of lookups.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

impl Durations {
    pub(super) fn add(&self, duration_ns: u64) {
        let bucket = BOUNDS_NS.partition_point(|bound| *bound < duration_ns);
        bump(&self.buckets[bucket], 1);
        bump(&self.sum_ns, duration_ns);
    }

    /// Lookups in each bucket, not those in the ones below; the last has no bound.
    #[must_use]
    pub fn buckets(&self) -> [u64; BOUNDS_NS.len() + 1] {
        self.buckets
            .each_ref()
            .map(|word| word.load(Ordering::Relaxed))
    }

    /// Sum of the durations, seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9
    }
}

/// Series, for those who read them.
#[derive(Debug)]
pub struct Store<V>(Box<[OnceLock<(Labels, V)>]>);

impl<V> Store<V> {
    /// Those that there are so far.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &V)> {
        let cells = self.0.iter().filter_map(OnceLock::get);
        cells.map(|(labels, value)| (labels, value))
    }
}

/// Series, for the one who adds to them.
#[derive(Debug)]
pub(super) struct Writer<V> {
    indexes: HashMap<Labels, usize>,
    store: Arc<Store<V>>,
}

impl<V: Default> Writer<V> {
    /// Room for so many, and for one more that takes all the others in.
    pub(super) fn new(most: usize) -> Self {
        Self {
            indexes: HashMap::with_capacity(most),
            store: Arc::new(Store((0..=most).map(|_| OnceLock::new()).collect())),
        }
    }

    pub(super) fn store(&self) -> Arc<Store<V>> {
        Arc::clone(&self.store)
    }

    /// The series of these labels, or the one that takes the others in: all its labels are `other`, also
    /// the transport, which no real series has.
    #[inline]
    pub(super) fn cell(&mut self, labels: Labels) -> &V {
        let most = self.store.0.len() - 1;
        let taken = self.indexes.len();
        let (labels, index) = match self.indexes.get(&labels) {
            Some(index) => (labels, *index),
            None if taken < most => {
                self.indexes.insert(labels, taken);
                (labels, taken)
            }
            None => (Labels::default(), most),
        };
        &self.store.0[index].get_or_init(|| (labels, V::default())).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let durations = Durations::default();
        for duration in [0, 100_000, 100_001, 5_000_000_000, u64::MAX / 4] {
            durations.add(duration);
        }
        let buckets = durations.buckets();
        assert_eq!(buckets[..3], [2, 1, 0]);
        assert_eq!(buckets[14..], [1, 1]);
        assert_eq!(buckets.iter().sum::<u64>(), 5);
    }

    #[test]
    fn what_has_no_room_is_counted_together() {
        let mut writer: Writer<Count> = Writer::new(2);
        for name in [1, 2, 1, 3, 4, 2] {
            let labels = Labels {
                transport: 1,
                name,
                ..Labels::default()
            };
            writer.cell(labels).add();
        }
        let store = writer.store();
        let counts: Vec<_> = store
            .iter()
            .map(|(l, count)| (l.name, count.get()))
            .collect();
        assert_eq!(counts, [(1, 2), (2, 2), (0, 2)]);
    }
}
