//! Where a message stops to make sense. Walks it once more, so only those ask who show it.

use std::fmt;

use domain::base::Message;
use domain::base::iana::Class;
use domain::base::message::{RecordSection, Section};
use domain::base::wire::ParseError;

use super::{fits, plain_class};

/// The first thing in a message that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Part of the message: `header`, `question`, `answer`, `authority` or `additional`.
    pub section: &'static str,
    /// Which entry of that section, from 0.
    pub index: u16,
    /// Octet of the message at which the entry begins.
    pub offset: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The message ends before the entry does.
    Short,
    /// The entry breaks a rule of the format; the words are the library's.
    Form(ParseError),
    /// The data of a record contradicts its type.
    Data,
    /// More questions than one, which only mDNS has.
    Questions,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("ends before"),
            Self::Form(error) => fmt::Display::fmt(error, f),
            Self::Data => f.write_str("data contradicts the type"),
            Self::Questions => f.write_str("a second question"),
        }
    }
}

impl From<ParseError> for Reason {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::ShortInput => Self::Short,
            error => Self::Form(error),
        }
    }
}

/// Looks for the first fault of a message; `None` if there is none.
#[must_use]
pub fn find(payload: &[u8], mdns: bool) -> Option<Fault> {
    let Ok(message) = Message::from_slice(payload) else {
        return Some(Fault {
            section: "header",
            index: 0,
            offset: payload.len(),
            reason: Reason::Short,
        });
    };
    questions(message, mdns).or_else(|| records(message))
}

fn questions(message: &Message<[u8]>, mdns: bool) -> Option<Fault> {
    let mut section = message.question();
    let mut index = 0;
    loop {
        let fault = |reason| Fault {
            section: "question",
            index,
            offset: section.pos(),
            reason,
        };
        let at = fault(Reason::Questions);
        match section.next()? {
            Err(error) => {
                return Some(Fault {
                    reason: error.into(),
                    ..at
                });
            }
            Ok(_) if index > 0 && !mdns => return Some(at),
            Ok(_) => index += 1,
        }
    }
}

fn records(message: &Message<[u8]>) -> Option<Fault> {
    let mut section = message.answer().ok()?;
    for name in [Section::Answer, Section::Authority, Section::Additional] {
        let fault = entries(&mut section, name);
        if fault.is_some() {
            return fault;
        }
        section = section.next_section().ok()??;
    }
    None
}

fn entries(section: &mut RecordSection<'_, [u8]>, name: Section) -> Option<Fault> {
    let mut index = 0;
    loop {
        let fault = Fault {
            section: match name {
                Section::Answer => "answer",
                Section::Authority => "authority",
                Section::Additional => "additional",
            },
            index,
            offset: section.pos(),
            reason: Reason::Data,
        };
        match section.next()? {
            Err(error) => {
                return Some(Fault {
                    reason: error.into(),
                    ..fault
                });
            }
            // As [`super::Decoded`] does, which looks at no other data.
            Ok(record)
                if name == Section::Answer
                    && plain_class(record.class()) == Class::IN
                    && !fits(&record) =>
            {
                return Some(fault);
            }
            Ok(_) => index += 1,
        }
    }
}
