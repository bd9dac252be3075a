//! Responses that came before their query, which several rings can cause: each is read on its own.
//! With one ring nothing is ever held.

use std::collections::VecDeque;

use crate::matcher::{Question, Tuple};
use crate::message::Decoded;
use crate::record::Packet;

/// Most responses held; one more is an orphan at once.
const HELD_MAX: usize = 1024;
/// Most bytes of them; a message over TCP may have 64 KiB.
const BYTES_MAX: usize = 4 << 20;

/// A response kept with its payload.
#[derive(Debug)]
pub(super) struct Record {
    packet: Packet<'static>,
    payload: Box<[u8]>,
    tuple: Tuple,
    name: Box<[u8]>,
    qtype: u16,
    qclass: u16,
}

impl Record {
    /// The packet as it came.
    pub(super) fn packet(&self) -> Packet<'_> {
        Packet {
            payload: &self.payload,
            ..self.packet
        }
    }
}

/// Responses in order of arrival.
#[derive(Debug)]
pub(super) struct Held {
    records: VecDeque<Record>,
    bytes: usize,
    hold_ns: u64,
}

impl Held {
    pub(super) const fn new(hold_ns: u64) -> Self {
        Self {
            records: VecDeque::new(),
            bytes: 0,
            hold_ns,
        }
    }

    /// Holds for another time from now on.
    pub(super) const fn hold_for(&mut self, hold_ns: u64) {
        self.hold_ns = hold_ns;
    }

    /// Responses that are held.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Keeps a response; `false` if it is not to be kept.
    pub(super) fn hold(
        &mut self,
        packet: &Packet<'_>,
        tuple: &Tuple,
        message: &Decoded<'_>,
    ) -> bool {
        let bytes = self.bytes + packet.payload.len();
        let full = self.records.len() >= HELD_MAX || bytes > BYTES_MAX;
        if self.hold_ns == 0 || full || !message.has_question() {
            return false;
        }
        self.bytes = bytes;
        let question = message.question();
        self.records.push_back(Record {
            packet: Packet {
                payload: &[],
                ..*packet
            },
            payload: packet.payload.into(),
            tuple: *tuple,
            name: question.name.into(),
            qtype: question.qtype,
            qclass: question.qclass,
        });
        true
    }

    /// Takes out the response to a query sent at `time_ns`.
    pub(super) fn take(
        &mut self,
        tuple: &Tuple,
        question: &Question<'_>,
        time_ns: u64,
    ) -> Option<Record> {
        let at = self.records.iter().position(|record| {
            let held = Question {
                name: &record.name,
                qtype: record.qtype,
                qclass: record.qclass,
            };
            record.packet.time_ns >= time_ns && record.tuple == *tuple && held == *question
        })?;
        let record = self.records.remove(at);
        self.release(record)
    }

    /// Takes out a response that has been held long enough at `now_ns`.
    pub(super) fn expire(&mut self, now_ns: u64) -> Option<Record> {
        if self.next_due()? > now_ns {
            return None;
        }
        let record = self.records.pop_front();
        self.release(record)
    }

    fn release(&mut self, record: Option<Record>) -> Option<Record> {
        self.bytes -= record.as_ref().map_or(0, |record| record.payload.len());
        record
    }

    /// Boot time at which the next one has been held long enough.
    pub(super) fn next_due(&self) -> Option<u64> {
        let record = self.records.front()?;
        Some(record.packet.time_ns.saturating_add(self.hold_ns))
    }
}
