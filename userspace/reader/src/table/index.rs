//! From a hash to places in a table. Open addressing with the hash beside the place: what is looked for lies in
//! one cache line, which can be [fetched early](Index::prefetch), and the table itself is touched only
//! for what is found. hashbrown keeps its tags apart from the places, two lines, and fetches nothing
//! early; with a hundred thousand queries pending, waiting for those lines took as long as all other matching.

/// A place in a table and the hash of what is there.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    place: u32,
}

/// No place.
const NONE: u32 = u32::MAX;
const EMPTY: Entry = Entry {
    hash: 0,
    place: NONE,
};
/// Entries at first; a power of two, as all lengths are.
const LEN_MIN: usize = 16;

/// Places by hash. The caller has the table, and compares.
#[derive(Debug)]
pub(crate) struct Index {
    /// Each at its hash modulo the length or, where that is taken, at the next one that is empty.
    entries: Box<[Entry]>,
    used: usize,
}

impl Index {
    /// One that does not grow before it holds more than so many places.
    pub(crate) fn with_capacity(places: usize) -> Self {
        let len = (places + places / 3 + 1).next_power_of_two();
        Self {
            entries: vec![EMPTY; len.max(LEN_MIN)].into(),
            used: 0,
        }
    }

    /// Entries that there is room for.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Begins to fetch what [`Self::places`] will read, where stable Rust knows how.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        #[cfg(target_arch = "x86_64")]
        if let Some(entry) = self.entries.get(self.home(hash)) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint, which reads nothing, of an address that is valid.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(entry).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = hash;
    }

    /// Places of what has this hash.
    #[inline]
    pub(crate) fn places(&self, hash: u32) -> impl Iterator<Item = u32> {
        let used = self.run(self.home(hash)).map(|at| self.entries[at]);
        used.filter(move |entry| entry.hash == hash)
            .map(|entry| entry.place)
    }

    /// Adds a place, which must not be the greatest number.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, place: u32) {
        // Three quarters: runs stay short.
        if 4 * (self.used + 1) > 3 * self.entries.len() {
            self.grow();
        }
        self.put(Entry { hash, place });
        self.used += 1;
    }

    /// Takes out a place that was added with this hash.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u32, place: u32) {
        let home = self.home(hash);
        let Some(at) = self.run(home).find(|&at| self.entries[at].place == place) else {
            return;
        };
        self.used -= 1;
        // What follows moves up, as far as it is not before its home then: no gap stays in a run.
        let mut gap = at;
        let mask = self.entries.len() - 1;
        let mut next = (at + 1) & mask;
        while self.entries[next].place != NONE {
            let home = self.home(self.entries[next].hash);
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(gap) & mask {
                self.entries[gap] = self.entries[next];
                gap = next;
            }
            next = (next + 1) & mask;
        }
        self.entries[gap] = EMPTY;
    }

    /// Where the search for a hash begins.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.entries.len() - 1)
    }

    /// From there to the first empty entry.
    #[inline]
    fn run(&self, home: usize) -> impl Iterator<Item = usize> {
        let mask = self.entries.len() - 1;
        let all = (0..=mask).map(move |step| (home + step) & mask);
        all.take_while(|&at| self.entries[at].place != NONE)
    }

    fn put(&mut self, entry: Entry) {
        let mask = self.entries.len() - 1;
        let mut at = self.home(entry.hash);
        while self.entries[at].place != NONE {
            at = (at + 1) & mask;
        }
        self.entries[at] = entry;
    }

    #[cold]
    fn grow(&mut self) {
        let twice = vec![EMPTY; 2 * self.entries.len()].into();
        for entry in std::mem::replace(&mut self.entries, twice) {
            if entry.place != NONE {
                self.put(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32),
        Remove(usize),
    }

    /// Few hashes, so that runs are long, at the end of the array as well, whatever its length.
    fn step() -> impl Strategy<Value = Step> {
        let hash = prop_oneof![0..8_u32, 0xffff_fff8..=u32::MAX, any::<u32>()];
        prop_oneof![
            3 => hash.prop_map(Step::Insert),
            2 => any::<usize>().prop_map(Step::Remove),
        ]
    }

    proptest! {
        #[test]
        fn what_was_added_is_found_until_it_is_taken_out(
            steps in prop::collection::vec(step(), 0..400),
        ) {
            let mut index = Index::with_capacity(0);
            let mut model = BTreeMap::new();
            for (place, step) in (0_u32..).zip(steps) {
                match step {
                    Step::Insert(hash) => {
                        index.insert(hash, place);
                        model.insert(place, hash);
                    }
                    Step::Remove(number) if !model.is_empty() => {
                        let (&place, &hash) = model.iter().nth(number % model.len()).unwrap();
                        index.remove(hash, place);
                        model.remove(&place);
                    }
                    Step::Remove(_) => {}
                }
                prop_assert_eq!(index.used, model.len());
            }
            for hash in model.values() {
                index.prefetch(*hash);
                let mut found: Vec<u32> = index.places(*hash).collect();
                found.sort_unstable();
                let same = model.iter().filter(|(_, other)| *other == hash);
                let expected: Vec<u32> = same.map(|(place, _)| *place).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn what_there_is_room_for_needs_no_more() {
        for places in [0, 12, 13, 96, 97, 8192] {
            let mut index = Index::with_capacity(places);
            let len = index.entries.len();
            (0..places as u32).for_each(|place| index.insert(place, place));
            assert_eq!(index.entries.len(), len, "{places}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_taken_out() {
        let mut index = Index::with_capacity(0);
        index.insert(7, 1);
        index.remove(7, 2);
        index.remove(8, 1);
        assert_eq!(index.places(7).collect::<Vec<_>>(), [1]);
        assert_eq!(index.places(8).count(), 0);
    }
}
