//! The way through a message, octet by octet. Names that stand in place whole, and pointers to the
//! question's, which is nearly all there is, are passed here; what else there is `domain` reads, which knows
//! every rule of names. Going through it for every name took three tenths of the instructions of decoding
//! and matching.

use std::fmt;
use std::net::IpAddr;

use domain::base::iana::{Class, Rtype};
use domain::base::name::ParsedName;
use domain::base::{ParsedRecord, Question};
use domain::dep::octseq::Parser;

use super::plain_class;
use crate::name::{NAME_MAX, Presented, PresentedParsed};

/// Octets of a header (RFC 1035, section 4.1.1).
const HEADER: usize = 12;
/// A pointer to the octet after the header (RFC 1035, section 4.1.4).
const TO_QUESTION: [u8; 2] = [0xc0, HEADER as u8];
/// Longest label (RFC 1035, section 2.3.4).
const LABEL_MAX: u8 = 63;

/// A name as it stands in a message.
#[derive(Clone, Copy, Debug)]
pub enum Name<'a> {
    /// Its octets, which stand somewhere in the message.
    Plain(&'a [u8]),
    /// Found by pointers, maybe in pieces.
    Parsed(ParsedName<&'a [u8]>),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(octets) => fmt::Display::fmt(&Presented(octets), f),
            Self::Parsed(name) => fmt::Display::fmt(&PresentedParsed(*name), f),
        }
    }
}

/// A resource record (RFC 1035, section 4.1.3).
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    message: &'a [u8],
    start: usize,
    /// Whose it is.
    pub owner: Name<'a>,
    /// Type.
    pub rtype: Rtype,
    /// Class.
    pub class: Class,
    /// Time to live, seconds, or what OPT has there.
    pub ttl: u32,
    /// Data.
    pub data: &'a [u8],
}

impl<'a> Record<'a> {
    /// The same record as `domain` has it, which knows the data of every type.
    #[must_use]
    pub fn parsed(&self) -> Option<ParsedRecord<'a, [u8]>> {
        let mut parser = Parser::from_ref(self.message);
        parser.seek(self.start).ok()?;
        ParsedRecord::parse(&mut parser).ok()
    }

    /// The address of an A or AAAA record of class IN, in mDNS too.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        if plain_class(self.class) != Class::IN {
            return None;
        }
        match self.rtype {
            Rtype::A => Some(IpAddr::from(*self.data.as_array::<4>()?)),
            Rtype::AAAA => Some(IpAddr::from(*self.data.as_array::<16>()?)),
            _ => None,
        }
    }
}

/// A place in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    message: &'a [u8],
    at: usize,
    /// The whole name behind the header, if there is one.
    question: Option<&'a [u8]>,
}

impl<'a> Walk<'a> {
    /// Begins behind the header.
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self {
            message,
            at: HEADER,
            question: None,
        }
    }

    /// Passes the first question: name, type and class.
    #[inline]
    pub(super) fn question(&mut self) -> Option<(Name<'a>, Rtype, Class)> {
        self.question = self.plain_name();
        let name = match self.question {
            Some(name) => Name::Plain(name),
            None => self.parsed_name()?,
        };
        let [t, u, c, d] = self.take()?;
        let (rtype, class) = (u16::from_be_bytes([t, u]), u16::from_be_bytes([c, d]));
        Some((name, Rtype::from_int(rtype), Class::from_int(class)))
    }

    /// Passes a further question, whose name is not looked at.
    pub(super) fn skip_question(&mut self) -> Option<()> {
        self.parse(Question::skip)
    }

    /// Passes a record.
    #[inline]
    pub(super) fn record(&mut self) -> Option<Record<'a>> {
        let start = self.at;
        let owner = self.owner()?;
        let [t, u, c, d, ttl @ .., l, m]: [u8; 10] = self.take()?;
        let len = usize::from(u16::from_be_bytes([l, m]));
        let data = self.message.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(Record {
            message: self.message,
            start,
            owner,
            rtype: Rtype::from_int(u16::from_be_bytes([t, u])),
            class: Class::from_int(u16::from_be_bytes([c, d])),
            ttl: u32::from_be_bytes(ttl),
            data,
        })
    }

    #[inline]
    fn owner(&mut self) -> Option<Name<'a>> {
        let pointer = self.message.get(self.at..)?.first_chunk();
        if let Some(question) = self.question
            && pointer == Some(&TO_QUESTION)
        {
            self.at += TO_QUESTION.len();
            return Some(Name::Plain(question));
        }
        match self.plain_name() {
            Some(name) => Some(Name::Plain(name)),
            None => self.parsed_name(),
        }
    }

    fn parsed_name(&mut self) -> Option<Name<'a>> {
        self.parse(ParsedName::parse).map(Name::Parsed)
    }

    /// Passes a name that stands in place whole; `None`, and nothing passed, if there is none.
    #[inline]
    fn plain_name(&mut self) -> Option<&'a [u8]> {
        let rest = self.message.get(self.at..)?;
        let mut end = 0;
        while let Some(&len) = rest.get(end)
            && end < NAME_MAX
        {
            end += 1 + usize::from(len);
            if len == 0 {
                self.at += end;
                return rest.get(..end);
            }
            if len > LABEL_MAX {
                break;
            }
        }
        None
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let octets = self.message.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(*octets)
    }

    /// Passes what `domain` parses.
    #[cold]
    fn parse<T, E>(
        &mut self,
        parse: impl FnOnce(&mut Parser<'a, [u8]>) -> Result<T, E>,
    ) -> Option<T> {
        let mut parser = Parser::from_ref(self.message);
        parser.seek(self.at).ok()?;
        let parsed = parse(&mut parser).ok()?;
        self.at = parser.pos();
        Some(parsed)
    }
}
