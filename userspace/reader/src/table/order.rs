//! Order of arrival: a linked list over the slots of the table. It stands apart from what is pending,
//! because to take out an entry is to write to both its neighbours: eight bytes that share their
//! cache lines with others, rather than two more entries.

/// End of the list.
const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    older: u32,
    newer: u32,
}

/// Slots from the oldest to the newest.
#[derive(Debug)]
pub(crate) struct Order {
    links: Vec<Link>,
    oldest: u32,
    newest: u32,
}

impl Order {
    pub(crate) const fn new() -> Self {
        Self {
            links: Vec::new(),
            oldest: NIL,
            newest: NIL,
        }
    }

    /// Room for that many slots from the start.
    pub(crate) fn with_capacity(slots: usize) -> Self {
        Self {
            links: Vec::with_capacity(slots),
            ..Self::new()
        }
    }

    /// The slot that came first.
    pub(crate) const fn oldest(&self) -> Option<u32> {
        if self.oldest == NIL {
            None
        } else {
            Some(self.oldest)
        }
    }

    /// Takes in a slot that is not in the list. Slots are dense, of all lists over the same table together.
    pub(crate) fn push(&mut self, slot: u32) {
        let link = Link {
            older: self.newest,
            newer: NIL,
        };
        match self.links.get_mut(slot as usize) {
            Some(old) => *old = link,
            None => {
                let unused = Link {
                    older: NIL,
                    newer: NIL,
                };
                self.links.resize(slot as usize, unused);
                self.links.push(link);
            }
        }
        match self.links.get_mut(link.older as usize) {
            Some(older) => older.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }

    /// Takes out a slot that is in the list.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(&Link { older, newer }) = self.links.get(slot as usize) else {
            return;
        };
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_leave_from_anywhere_and_come_back_last() {
        let mut order = Order::new();
        for slot in 0..4 {
            order.push(slot);
        }
        order.remove(1);
        order.remove(3);
        order.push(1);
        let mut left = Vec::new();
        while let Some(slot) = order.oldest() {
            left.push(slot);
            order.remove(slot);
        }
        assert_eq!(left, [0, 2, 1]);
        order.push(2);
        assert_eq!(order.oldest(), Some(2));
    }

    #[test]
    fn a_slot_may_come_before_those_below_it() {
        let mut order = Order::new();
        order.push(5);
        order.push(2);
        order.remove(5);
        assert_eq!(order.oldest(), Some(2));
        order.remove(2);
        assert_eq!(order.oldest(), None);
    }
}
