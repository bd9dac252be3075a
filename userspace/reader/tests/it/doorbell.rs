//! The doorbell's protocol in every order in which two programs and the reader can take their steps:
//! whenever all come to rest, the reader has read everything. Each step is one access to memory that
//! all see in one order, which the full barriers of both sides provide.

use std::collections::HashSet;

use dns_trace_event::{READER_ASLEEP, READER_AWAKE, READER_NAPPING};

/// Messages of each of the two programs.
const MESSAGES: u8 = 3;

/// What the reader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reader {
    StoreAwake,
    Drain,
    StoreNapping,
    Nap,
    StoreAsleep,
    LookAgain,
    Sleep,
}

/// What a program does next for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Program {
    Commit,
    ReadWord,
    StoreAwake,
    Ring,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    word: u32,
    waiting: u8,
    /// A wake-up that epoll has not reported yet.
    rung: bool,
    reader: Reader,
    programs: [Producer; 2],
}

/// A program that has messages left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Producer {
    step: Program,
    left: u8,
    saw_asleep: bool,
}

/// A way to get it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The reader does not look again before it sleeps.
    NoSecondLook,
    /// The program reads the word before it commits.
    WordFirst,
    /// The program stores `READER_AWAKE` after it has rung.
    StoreLate,
}

impl State {
    const START: Self = Self {
        word: READER_AWAKE,
        waiting: 0,
        rung: false,
        reader: Reader::StoreAwake,
        programs: [Producer {
            step: Program::Commit,
            left: MESSAGES,
            saw_asleep: false,
        }; 2],
    };

    /// Nothing has happened yet.
    fn start(fault: Fault) -> Self {
        let mut state = Self::START;
        for program in &mut state.programs {
            program.step = first(fault);
        }
        state
    }

    /// Every state that one step of one of them leads to.
    fn next(self, fault: Fault) -> Vec<Self> {
        let mut states = Vec::new();
        states.extend(self.reader_step(fault));
        for program in 0..2 {
            states.extend(self.program_step(program, fault));
        }
        states
    }

    fn reader_step(mut self, fault: Fault) -> Option<Self> {
        let reader = self.reader;
        self.reader = match reader {
            Reader::StoreAwake => {
                self.word = READER_AWAKE;
                Reader::Drain
            }
            Reader::Drain if self.take() => Reader::StoreNapping,
            Reader::Drain => Reader::StoreAsleep,
            Reader::StoreNapping => {
                self.word = READER_NAPPING;
                Reader::Nap
            }
            // Its own timer ends it.
            Reader::Nap => {
                self.rung = false;
                Reader::StoreAwake
            }
            Reader::StoreAsleep => {
                self.word = READER_ASLEEP;
                if fault == Fault::NoSecondLook {
                    Reader::Sleep
                } else {
                    Reader::LookAgain
                }
            }
            Reader::LookAgain if self.take() => Reader::StoreAwake,
            Reader::LookAgain => Reader::Sleep,
            Reader::Sleep if self.rung => {
                self.rung = false;
                Reader::StoreAwake
            }
            Reader::Sleep => return None,
        };
        Some(self)
    }

    fn take(&mut self) -> bool {
        std::mem::take(&mut self.waiting) > 0
    }

    fn program_step(mut self, index: usize, fault: Fault) -> Option<Self> {
        let mut program = self.programs[index];
        if program.left == 0 {
            return None;
        }
        let answer = match fault {
            Fault::StoreLate => Program::Ring,
            _ => Program::StoreAwake,
        };
        let next = match program.step {
            Program::Commit => {
                self.waiting += 1;
                match fault {
                    Fault::WordFirst => program.saw_asleep.then_some(answer),
                    _ => Some(Program::ReadWord),
                }
            }
            Program::ReadWord => {
                program.saw_asleep = self.word == READER_ASLEEP;
                match fault {
                    Fault::WordFirst => Some(Program::Commit),
                    _ => program.saw_asleep.then_some(answer),
                }
            }
            Program::StoreAwake => {
                self.word = READER_AWAKE;
                (fault != Fault::StoreLate).then_some(Program::Ring)
            }
            Program::Ring => {
                self.rung = true;
                (fault == Fault::StoreLate).then_some(Program::StoreAwake)
            }
        };
        program.left -= u8::from(next.is_none());
        program.step = next.unwrap_or(first(fault));
        self.programs[index] = program;
        Some(self)
    }
}

/// The first step of a program for a message.
const fn first(fault: Fault) -> Program {
    match fault {
        Fault::WordFirst => Program::ReadWord,
        _ => Program::Commit,
    }
}

/// A state in which all rest, and something waits.
fn stuck(fault: Fault) -> Option<State> {
    let start = State::start(fault);
    let mut seen = HashSet::from([start]);
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        let next = state.next(fault);
        if next.is_empty() && state.waiting > 0 {
            return Some(state);
        }
        open.extend(next.into_iter().filter(|state| seen.insert(*state)));
    }
    assert!(seen.len() > 500, "only {} states", seen.len());
    None
}

#[test]
fn no_order_leaves_a_record_lying() {
    assert_eq!(stuck(Fault::None), None);
}

#[test]
fn each_half_of_the_protocol_is_needed() {
    for fault in [Fault::NoSecondLook, Fault::WordFirst, Fault::StoreLate] {
        assert!(stuck(fault).is_some(), "{fault:?} does no harm");
    }
}
