//! A handful of counted keys in place, by the rule of [`super::heavy`], and the last few of anything.

/// A key and how often it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<K> {
    /// The key.
    pub key: K,
    /// How often it came since it is here.
    pub counted: u64,
    /// How often it may have come before, at most.
    pub missed: u64,
}

/// The most frequent of a few keys.
#[derive(Clone, Copy, Debug)]
pub struct Few<K, const N: usize>([Option<Counted<K>>; N]);

impl<K: Copy + PartialEq, const N: usize> Few<K, N> {
    /// Counts a key.
    pub fn count(&mut self, key: K) {
        for entry in &mut self.0 {
            match entry {
                Some(known) if known.key == key => {
                    known.counted += 1;
                    return;
                }
                Some(_) => {}
                None => {
                    *entry = Some(Counted {
                        key,
                        counted: 1,
                        missed: 0,
                    });
                    return;
                }
            }
        }
        let bound = |entry: &&mut Counted<K>| entry.counted + entry.missed;
        if let Some(least) = self.0.iter_mut().flatten().min_by_key(bound) {
            *least = Counted {
                key,
                counted: 1,
                missed: least.counted + least.missed,
            };
        }
    }

    /// What there is, the most frequent first.
    #[must_use]
    pub fn sorted(&self) -> Vec<Counted<K>> {
        let mut entries: Vec<_> = self.0.iter().flatten().copied().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.counted));
        entries
    }
}

impl<K: Copy, const N: usize> Default for Few<K, N> {
    fn default() -> Self {
        Self([None; N])
    }
}

/// The last few of something.
#[derive(Clone, Copy, Debug)]
pub struct Recent<T, const N: usize> {
    places: [Option<T>; N],
    next: usize,
}

impl<T: Copy, const N: usize> Recent<T, N> {
    /// Adds one, for which the oldest makes room.
    pub fn push(&mut self, value: T) {
        if let Some(place) = self.places.get_mut(self.next) {
            *place = Some(value);
        }
        self.next = (self.next + 1) % N.max(1);
    }

    /// All of them, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &T> {
        let (newer, older) = self.places.split_at(self.next);
        newer.iter().rev().chain(older.iter().rev()).flatten()
    }
}

impl<T: Copy, const N: usize> Default for Recent<T, N> {
    fn default() -> Self {
        Self {
            places: [None; N],
            next: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_makes_room() {
        let mut few = Few::<u8, 2>::default();
        for key in [1, 1, 1, 2, 3] {
            few.count(key);
        }
        let [one, three] = few.sorted()[..] else {
            panic!("two places");
        };
        assert_eq!((one.key, one.counted, one.missed), (1, 3, 0));
        assert_eq!((three.key, three.counted, three.missed), (3, 1, 1));
    }

    #[test]
    fn the_newest_comes_first() {
        let mut recent = Recent::<u8, 3>::default();
        assert_eq!(recent.newest_first().count(), 0);
        for value in 1..=5 {
            recent.push(value);
        }
        assert!(recent.newest_first().eq(&[5, 4, 3]));
    }
}
