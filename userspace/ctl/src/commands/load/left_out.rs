//! Interfaces at which attaching failed, and when to try them again: soon at first, then less and less often.

use std::{collections::BTreeSet, future, time::Duration};

use tokio::time::{Instant, sleep_until};

/// Until the first try.
const FIRST: Duration = Duration::from_secs(1);
/// Between two tries at most.
const MOST: Duration = Duration::from_secs(60);

/// Those interfaces, by index. While there are none, nothing is waited for.
#[derive(Debug)]
pub(super) struct LeftOut {
    indexes: BTreeSet<u32>,
    wait: Duration,
    next: Instant,
}

impl LeftOut {
    pub(super) fn none() -> Self {
        Self {
            indexes: BTreeSet::new(),
            wait: FIRST,
            next: Instant::now(),
        }
    }

    /// Adds one. Whether it is new; then all are tried again soon.
    pub(super) fn add(&mut self, index: u32) -> bool {
        let is_new = self.indexes.insert(index);
        if is_new {
            self.wait = FIRST;
            self.next = Instant::now() + FIRST;
        }
        is_new
    }

    /// Takes one out; whether it was there.
    pub(super) fn remove(&mut self, index: u32) -> bool {
        self.indexes.remove(&index)
    }

    /// Keeps those that are meant.
    pub(super) fn retain(&mut self, is_meant: impl FnMut(&u32) -> bool) {
        self.indexes.retain(is_meant);
    }

    /// Those whose time has come; the next time comes later than this one did.
    pub(super) fn take_turn(&mut self) -> BTreeSet<u32> {
        if !self.is_due() {
            return BTreeSet::new();
        }
        self.wait = (2 * self.wait).min(MOST);
        self.next = Instant::now() + self.wait;
        self.indexes.clone()
    }

    /// Whether one should be tried now.
    pub(super) fn is_due(&self) -> bool {
        !self.indexes.is_empty() && self.next <= Instant::now()
    }

    /// Waits until one should be tried: for ever if there is none.
    pub(super) async fn due(&self) {
        if self.indexes.is_empty() {
            return future::pending().await;
        }
        sleep_until(self.next).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits until the next so many turns, in seconds.
    async fn waits(left_out: &mut LeftOut, turns: usize) -> Vec<u64> {
        let mut waits = Vec::new();
        for _ in 0..turns {
            let before = Instant::now();
            left_out.due().await;
            waits.push(before.elapsed().as_secs());
            assert!(left_out.take_turn().contains(&7));
            assert!(left_out.take_turn().is_empty(), "two turns at once");
        }
        waits
    }

    #[tokio::test(start_paused = true)]
    async fn tries_become_rare_and_never_end() {
        let mut left_out = LeftOut::none();
        assert!(left_out.add(7));
        assert!(!left_out.add(7));
        let found = waits(&mut left_out, 9).await;
        assert_eq!(found, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(left_out.add(8), "another one is new");
        assert_eq!(waits(&mut left_out, 2).await, [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_while_nothing_is_left_out() {
        let mut left_out = LeftOut::none();
        left_out.add(7);
        assert!(left_out.remove(7));
        let never = tokio::time::timeout(100 * MOST, left_out.due()).await;
        assert!(never.is_err());
        assert!(left_out.take_turn().is_empty());
    }
}
