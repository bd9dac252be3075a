//! Truncated answers over UDP, which the client follows up over TCP (RFC 1035, section 4.2.1): both
//! are one story, and the second is marked as its continuation.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};

use hashbrown::DefaultHashBuilder;

use crate::matcher::{Pending, Question, Tuple};

/// Most answers remembered; the oldest makes room.
const MAX: usize = 256;
/// How long they are, nanoseconds of kernel time.
const LAST_NS: u64 = 5_000_000_000;

/// Answers by a hash of client, server and question.
#[derive(Debug)]
pub(super) struct Truncated {
    answers: VecDeque<(u64, u64)>,
    hasher: DefaultHashBuilder,
}

impl Truncated {
    pub(super) fn new() -> Self {
        Self {
            // All at once: noting one allocates nothing.
            answers: VecDeque::with_capacity(MAX),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Remembers that a query got a truncated answer.
    pub(super) fn note(&mut self, pending: &Pending, time_ns: u64) {
        if self.answers.len() >= MAX {
            self.answers.pop_front();
        }
        let hash = self.hash(&pending.tuple, &pending.question());
        self.answers.push_back((hash, time_ns));
    }

    /// Whether a query follows a truncated answer, which it does once.
    pub(super) fn take(&mut self, tuple: &Tuple, question: &Question<'_>, time_ns: u64) -> bool {
        if self.answers.is_empty() {
            return false;
        }
        let hash = self.hash(tuple, question);
        let fits = |&(answer, at): &(u64, u64)| {
            answer == hash && (at..=at.saturating_add(LAST_NS)).contains(&time_ns)
        };
        let Some(at) = self.answers.iter().rposition(fits) else {
            return false;
        };
        self.answers.remove(at);
        true
    }

    /// Without what differs from transport to transport: port of the client and id.
    fn hash(&self, tuple: &Tuple, question: &Question<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u128(u128::from_ne_bytes(tuple.client));
        hasher.write_u128(u128::from_ne_bytes(tuple.server));
        hasher.write_u64(tuple.netns_cookie);
        hasher.write_u64(
            u64::from(tuple.server_port)
                | u64::from(question.qtype) << 16
                | u64::from(question.qclass) << 32
                | u64::from(tuple.host_wide) << 48,
        );
        hasher.write_u32(tuple.ifindex);
        hasher.write(question.name);
        hasher.finish()
    }
}
