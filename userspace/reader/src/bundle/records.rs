//! The ring's memory, as its one consumer sees it. aya's consumer shows one record at a time, and gives its
//! room back before it shows the next. Here a few are seen at once: what will be looked up for the later ones
//! can be fetched while the first is taken in, and room is given back for all of them by one store, which
//! costs the producers' processors the line of memory that they look at.
//!
//! The layout is the kernel's (`kernel/bpf/ringbuf.c`, Linux 5.8; `BPF_RINGBUF_*` of `linux/bpf.h`): a page with
//! the consumer's position, one with the producers', then the data, mapped twice one behind the other, so that no
//! record is broken at the end. Positions only ever grow.

use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Records that are seen at once, at most.
pub const FEW: usize = 8;

/// In the first word of a record, beside its length: it is being written; it is not to be read.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// The words before a record.
const HEADER: usize = 8;

/// A ring, mapped.
#[derive(Debug)]
pub(super) struct Memory {
    /// The consumer's page, which only we write.
    consumer: Pages,
    /// The producers' page and the data, read-only.
    producer: Pages,
    page: usize,
    /// Octets of data; a power of two.
    size: usize,
}

impl Memory {
    /// Maps a ring of so many octets.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn map(fd: impl AsFd, size: u32) -> io::Result<Self> {
        let (page, size) = (rustix::param::page_size(), size as usize);
        let write = ProtFlags::READ | ProtFlags::WRITE;
        let memory = Self {
            consumer: Pages::map(&fd, page, write, 0)?,
            producer: Pages::map(&fd, page + 2 * size, ProtFlags::READ, page)?,
            page,
            size,
        };
        // Whoever may read the ring may write the consumer's position, too.
        let consumer = memory.consumer.load();
        let waiting = memory.producer.load().wrapping_sub(consumer);
        if !consumer.is_multiple_of(8) || waiting > size {
            let error = "the ring's positions contradict each other (run: sudo dns-tracectl unload, and load anew)";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(memory)
    }

    /// How full it is: 0 to 1.
    pub(super) fn fill(&self) -> f64 {
        // In this order: what is written meanwhile makes it look fuller, never negative.
        let (consumer, producer) = (self.consumer.load(), self.producer.load());
        let used = producer.wrapping_sub(consumer);
        (used as f64 / self.size.max(1) as f64).min(1.0)
    }

    /// The records that come next, up to one that is being written.
    #[inline]
    pub(super) fn few(&mut self) -> Few<'_> {
        let mut few = Few {
            memory: self,
            records: [&[]; FEW],
            ends: [0; FEW],
            len: 0,
            // Only we write it.
            end: self.consumer.load(),
        };
        // What was reserved before it, and whatever was committed of that, is seen by then.
        let producer = self.producer.load();
        while few.len < FEW && few.end != producer {
            let at = few.end & self.size.wrapping_sub(1);
            let word = self.word(at);
            let len = (word & !(BUSY | DISCARDED)) as usize;
            if word & BUSY != 0 || len > self.size {
                break;
            }
            few.end = few.end.wrapping_add((HEADER + len).next_multiple_of(8));
            if word & DISCARDED == 0 {
                few.records[few.len] = self.data(at + HEADER, len);
                few.ends[few.len] = few.end;
                few.len += 1;
            }
        }
        few
    }

    /// The first word of a record at an offset within the data.
    #[inline]
    fn word(&self, at: usize) -> u32 {
        debug_assert!(at < self.size && at.is_multiple_of(8));
        // SAFETY: records begin at multiples of 8 octets, and `at` is less than the size, so the word lies
        // within the mapping; it is only loaded. The kernel stores it last, by an exchange.
        let word = unsafe {
            let word = self.producer.at.as_ptr().add(self.page + at);
            AtomicU32::from_ptr(word.cast())
        };
        let word = word.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        word
    }

    /// Octets that have been committed.
    #[inline]
    fn data(&self, at: usize, len: usize) -> &[u8] {
        debug_assert!(at + len <= 2 * self.size);
        // SAFETY: `at` is at most the size and `len`, too, so all lies within the two copies of the data.
        // Nobody writes there before the consumer's position has passed it, which takes `Few::release`;
        // that consumes what borrows this.
        unsafe { slice::from_raw_parts(self.producer.at.as_ptr().add(self.page + at), len) }
    }
}

/// A few records, which lie in the ring until they are released.
#[derive(Debug)]
pub struct Few<'r> {
    memory: &'r Memory,
    records: [&'r [u8]; FEW],
    /// The position behind each.
    ends: [usize; FEW],
    len: usize,
    /// The position behind all, and behind what was discarded.
    end: usize,
}

impl Few<'_> {
    /// The records.
    #[must_use]
    pub fn records(&self) -> &[&[u8]] {
        &self.records[..self.len]
    }

    /// Gives back the room of the first so many, and of what was discarded before them.
    pub fn release(self, records: usize) {
        let end = match records {
            all if all >= self.len => self.end,
            0 => return,
            some => self.ends[some - 1],
        };
        // After all reading of the records, before the kernel writes there again.
        let position = self.memory.consumer.position();
        position.store(end, Ordering::Release);
    }
}

/// A mapping that begins with a position.
#[derive(Debug)]
struct Pages {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: the pages belong to the process. Positions and first words are only accessed atomically, data only
// where nobody writes.
unsafe impl Send for Pages {}

impl Pages {
    fn map(fd: impl AsFd, len: usize, access: ProtFlags, offset: usize) -> io::Result<Self> {
        let (nowhere, offset) = (ptr::null_mut(), offset as u64);
        // SAFETY: a new mapping at a place of the kernel's choice.
        let at = unsafe { mmap(nowhere, len, access, MapFlags::SHARED, fd, offset)? };
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { at, len })
    }

    /// The position, and whatever was written before it was. Not by an acquiring load: on memory that cannot be
    /// written, Rust promises relaxed ones only.
    fn load(&self) -> usize {
        let position = self.position().load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        position
    }

    fn position(&self) -> &AtomicUsize {
        // SAFETY: an aligned `unsigned long` at the start, mapped until the drop, and only accessed atomically.
        unsafe { AtomicUsize::from_ptr(self.at.as_ptr().cast()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made; nothing refers to it any more. It fails for a wrong
        // address only.
        let _ = unsafe { munmap(self.at.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    const SIZE: u32 = 4096;

    /// A file with the layout of a ring.
    struct Ring {
        file: File,
        page: u64,
        produced: u64,
    }

    impl Ring {
        /// Empty, with both positions there.
        fn at(position: u64) -> (Self, Memory) {
            let file = tempfile::tempfile().unwrap();
            let page = rustix::param::page_size() as u64;
            file.set_len(2 * page + 2 * u64::from(SIZE)).unwrap();
            file.write_at(&position.to_ne_bytes(), 0).unwrap();
            let ring = Self {
                file,
                page,
                produced: position,
            };
            ring.publish();
            let memory = Memory::map(&ring.file, SIZE).unwrap();
            (ring, memory)
        }

        fn publish(&self) {
            let bytes = self.produced.to_ne_bytes();
            self.file.write_at(&bytes, self.page).unwrap();
        }

        /// As in the kernel's mapping, what is beyond the end of the data is at its beginning.
        fn write(&self, position: u64, bytes: &[u8]) {
            for (i, byte) in bytes.iter().enumerate() {
                let at = (position + i as u64) % u64::from(SIZE);
                for copy in [0, u64::from(SIZE)] {
                    let offset = 2 * self.page + copy + at;
                    self.file.write_at(&[*byte], offset).unwrap();
                }
            }
        }

        /// Adds a record; gives its position.
        fn add(&mut self, flags: u32, data: &[u8]) -> u64 {
            let at = self.produced;
            self.write(at, &(data.len() as u32 | flags).to_ne_bytes());
            self.write(at + 8, data);
            self.produced += (8 + data.len() as u64).next_multiple_of(8);
            self.publish();
            at
        }

        fn consumed(&self) -> u64 {
            let mut bytes = [0; 8];
            self.file.read_at(&mut bytes, 0).unwrap();
            u64::from_ne_bytes(bytes)
        }
    }

    fn seen(memory: &mut Memory) -> Vec<Vec<u8>> {
        let few = memory.few();
        few.records().iter().map(|record| record.to_vec()).collect()
    }

    #[test]
    fn records_come_in_order_and_their_room_is_given_back_together() {
        let (mut ring, mut memory) = Ring::at(0);
        assert_eq!((seen(&mut memory).len(), memory.fill()), (0, 0.0));
        for number in 0..=FEW as u8 {
            ring.add(0, &[number; 24]);
        }
        assert_eq!(memory.fill(), 9.0 * 32.0 / f64::from(SIZE));
        let few = memory.few();
        assert_eq!(few.records().len(), FEW);
        few.release(3);
        assert_eq!(ring.consumed(), 3 * 32);
        let few = memory.few();
        assert_eq!(few.records()[0], [3; 24]);
        few.release(0);
        assert_eq!(ring.consumed(), 3 * 32);
        let few = memory.few();
        assert_eq!(few.records().last(), Some(&&[FEW as u8; 24][..]));
        few.release(6);
        assert_eq!(ring.consumed(), ring.produced);
    }

    #[test]
    fn what_was_discarded_is_passed_over() {
        let (mut ring, mut memory) = Ring::at(0);
        ring.add(DISCARDED, &[1; 8]);
        ring.add(0, &[2; 5]);
        ring.add(DISCARDED, &[3; 8]);
        let few = memory.few();
        assert_eq!(few.records(), [[2; 5]]);
        few.release(1);
        assert_eq!(ring.consumed(), ring.produced);
        ring.add(DISCARDED, &[4; 8]);
        memory.few().release(0);
        assert_eq!(ring.consumed(), ring.produced);
    }

    #[test]
    fn what_is_being_written_holds_up_what_follows() {
        let (mut ring, mut memory) = Ring::at(0);
        ring.add(0, &[1; 8]);
        let busy = ring.add(BUSY, &[2; 8]);
        ring.add(0, &[3; 8]);
        let few = memory.few();
        assert_eq!(few.records(), [[1; 8]]);
        few.release(1);
        assert_eq!(ring.consumed(), busy);
        ring.write(busy, &8_u32.to_ne_bytes());
        assert_eq!(seen(&mut memory), [[2; 8], [3; 8]]);
    }

    #[test]
    fn a_record_across_the_end_is_whole() {
        // Positions do not begin anew with the data.
        let (mut ring, mut memory) = Ring::at(5 * u64::from(SIZE) - 16);
        let data: Vec<u8> = (0..100).collect();
        ring.add(0, &data);
        ring.add(0, &[7; 3]);
        assert_eq!(seen(&mut memory), [data, vec![7; 3]]);
    }

    #[test]
    fn a_length_beyond_the_ring_is_not_believed() {
        let (mut ring, mut memory) = Ring::at(0);
        ring.add(0, &[1; 8]);
        let at = ring.add(0, &[2; 8]);
        ring.write(at, &(SIZE + 1).to_ne_bytes());
        assert_eq!(seen(&mut memory), [[1; 8]]);
    }

    #[test]
    fn positions_that_contradict_each_other_are_refused() {
        let (mut ring, _) = Ring::at(64);
        ring.produced = 64 + u64::from(SIZE) + 8;
        ring.publish();
        let error = Memory::map(&ring.file, SIZE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
