//! The keys that occur most, in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient
//! computation of frequent and top-k elements in data streams", 2005).
//!
//! While no more keys come than there are slots, everything is exact. After that a new key takes the slot
//! of the one with the lowest count, and that count becomes what the new one may have [`Slot::missed`]: it may
//! have come so often before, unseen. Of `n` occurrences and `k` slots:
//!
//! ```text
//! counted <= true count <= counted + missed,   missed <= n / k
//! ```
//!
//! and every key that makes up more than `n / k` of them has a slot.

use std::borrow::Borrow;
use std::hash::{BuildHasher as _, Hash};

use hashbrown::DefaultHashBuilder;

use crate::table::index::Index;

/// A key and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Slot<K, V> {
    /// The key.
    pub key: K,
    /// How often it came while it had the slot.
    pub counted: u64,
    /// How often it may have come before that, at most.
    pub missed: u64,
    /// What was collected while it had the slot.
    pub value: V,
    /// Where it stands in the heap.
    place: u32,
}

impl<K, V> Slot<K, V> {
    /// The upper bound, by which slots are given away.
    const fn bound(&self) -> u64 {
        self.counted + self.missed
    }
}

/// The table. It allocates when it is made, and not after that.
#[derive(Debug)]
pub struct Heavy<K, V> {
    slots: Vec<Slot<K, V>>,
    /// Indices of slots; none has a higher bound than those below it.
    heap: Vec<u32>,
    index: Index,
    hasher: DefaultHashBuilder,
    most: usize,
    evicted: u64,
}

impl<K, V: Default> Heavy<K, V> {
    /// A table of so many slots, at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.clamp(1, u32::MAX as usize);
        Self {
            slots: Vec::with_capacity(most),
            heap: Vec::with_capacity(most),
            index: Index::with_capacity(most),
            hasher: DefaultHashBuilder::default(),
            most,
            evicted: 0,
        }
    }

    /// The slots in use, in no order.
    #[must_use]
    pub fn slots(&self) -> &[Slot<K, V>] {
        &self.slots
    }

    /// How often a key had to make room.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Counts a key, and gives what belongs to it. `own` makes a key of what is borrowed.
    pub fn count<Q>(&mut self, key: &Q, own: impl FnOnce(&Q) -> K) -> &mut V
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key) as u32;
        let slots = &self.slots;
        let is = |at: &u32| slots[*at as usize].key.borrow() == key;
        let known = self.index.places(hash).find(is);
        let at = match known {
            Some(at) => at as usize,
            None => self.take_slot(hash, own(key)),
        };
        self.slots[at].counted += 1;
        self.sink(self.slots[at].place as usize);
        &mut self.slots[at].value
    }

    /// A slot for a new key: a free one, or that with the lowest bound.
    fn take_slot<Q>(&mut self, hash: u32, key: K) -> usize
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut slot = Slot {
            key,
            counted: 0,
            missed: 0,
            value: V::default(),
            place: 0,
        };
        let at = if self.slots.len() < self.most {
            // A bound of 0 is the lowest there is: it belongs at the top.
            slot.place = self.heap.len() as u32;
            self.heap.push(self.slots.len() as u32);
            self.slots.push(slot);
            self.rise(self.heap.len() - 1);
            self.slots.len() - 1
        } else {
            let at = self.heap[0];
            let old = &mut self.slots[at as usize];
            let old_hash = self.hasher.hash_one(old.key.borrow()) as u32;
            self.index.remove(old_hash, at);
            slot.missed = old.bound();
            *old = slot;
            self.evicted += 1;
            at as usize
        };
        self.index.insert(hash, at as u32);
        at
    }

    fn bound(&self, place: usize) -> u64 {
        self.slots[self.heap[place] as usize].bound()
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        for place in [one, other] {
            self.slots[self.heap[place] as usize].place = place as u32;
        }
    }

    /// Moves down what has grown.
    fn sink(&mut self, mut place: usize) {
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.heap.len() && self.bound(child) < self.bound(least) {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }

    /// Moves up what is new.
    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.bound(parent) <= self.bound(place) {
                return;
            }
            self.swap(place, parent);
            place = parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn check(most: usize, keys: &[u8]) {
        let mut heavy = Heavy::<u8, u64>::new(most);
        let mut exact: HashMap<u8, u64> = HashMap::new();
        for key in keys {
            *heavy.count(key, |key| *key) += 1;
            *exact.entry(*key).or_default() += 1;
        }
        let n = keys.len() as u64;
        let share = n / most as u64;
        for slot in heavy.slots() {
            let known = exact[&slot.key];
            assert!(slot.counted <= known && known <= slot.counted + slot.missed);
            assert!(slot.missed <= share);
            // What is collected is collected while it had the slot.
            assert_eq!(slot.value, slot.counted);
        }
        let has = |key| heavy.slots().iter().any(|slot| slot.key == key);
        let unique = exact.keys().filter(|key| has(**key)).count();
        assert_eq!(unique, heavy.slots().len());
        for (key, count) in &exact {
            assert!(has(*key) || *count <= share, "{key} of {count} is missing");
        }
        let sum: u64 = heavy.slots().iter().map(Slot::bound).sum();
        assert_eq!(sum, n);
        if exact.len() <= most {
            assert_eq!(heavy.evicted(), 0);
            assert!(heavy.slots().iter().all(|slot| slot.missed == 0));
        }
    }

    proptest! {
        #[test]
        fn bounds_hold_against_exact_counting(
            most in 1_usize..20,
            keys in prop::collection::vec(prop_oneof![0_u8..4, 0_u8..40, any::<u8>()], 0..2000),
        ) {
            check(most, &keys);
        }
    }

    #[test]
    fn a_flood_of_keys_does_not_hide_the_frequent_one() {
        let mut heavy = Heavy::<u32, ()>::new(64);
        for i in 0..100_000_u32 {
            heavy.count(&(1000 + i), |key| *key);
            if i % 10 == 0 {
                heavy.count(&7, |key| *key);
            }
        }
        let slot = heavy.slots().iter().find(|slot| slot.key == 7).unwrap();
        assert_eq!((slot.counted, slot.missed), (10_000, 0));
        assert_eq!(heavy.slots().len(), 64);
        assert_eq!(heavy.evicted(), 100_000 - 63);
    }
}
