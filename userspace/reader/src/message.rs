//! DNS messages, decoded in place: the header, the question and the shape of what follows. Record
//! data is checked here and read only by a sink that shows it. `domain` parses what is not plain (see `walk.rs`);
//! this room decides what is a message at all.

use domain::base::iana::{Class, Opcode, OptRcode, Rtype};
use domain::base::name::ParsedName;
use domain::base::{Message, ParsedRecord};
use domain::rdata::AllRecordData;
use thiserror::Error;

use crate::matcher::Question;
use crate::name::WireName;

pub mod edns;
pub mod fault;
mod flags;
mod walk;

use edns::Edns;
pub use flags::{Bit, Flags};
use walk::Walk;
pub use walk::{Name, Record};

/// The top bit of a class is no part of it in mDNS: a question that may be answered by unicast, a
/// record that replaces what is known (RFC 6762, sections 5.4 and 10.2).
const MDNS_BIT: u16 = 0x8000;

/// The class without the bit that mDNS puts there.
#[must_use]
pub const fn plain_class(class: Class) -> Class {
    Class::from_int(class.to_int() & !MDNS_BIT)
}

/// Why a payload is no DNS message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MessageError {
    /// Fewer than the 12 bytes of a header (RFC 1035, section 4.1.1).
    #[error("shorter than a DNS header")]
    Header,
    /// More questions than one. Only mDNS asks several (RFC 6762, section 5.3; RFC 9619).
    #[error("{0} questions")]
    Questions(u16),
    /// The question cannot be parsed.
    #[error("the question cannot be parsed")]
    Question,
}

/// Message id and QR bit (RFC 1035, section 4.1.1), without a look at the rest.
#[must_use]
pub fn head(payload: &[u8]) -> Option<(u16, bool)> {
    let [id @ .., flags] = payload.first_chunk::<3>()?;
    Some((u16::from_be_bytes(*id), flags & 0x80 != 0))
}

/// A decoded message. Borrows the payload.
#[derive(Debug)]
pub struct Decoded<'a> {
    message: &'a Message<[u8]>,
    /// Where the answers begin, if there are any.
    answer_section: Walk<'a>,
    /// Name of the (first) question in wire format, lower case; empty if there is no question.
    pub name: &'a [u8],
    /// Type of the question; 0 if there is none.
    pub qtype: Rtype,
    /// Class of the question, without the bit of mDNS; 0 if there is none.
    pub qclass: Class,
    /// All records up to the end of the additional section could be walked.
    pub complete: bool,
    /// Answer records that can be read.
    pub answers: u16,
    /// Those of them that are addresses (A or AAAA of class IN, of the right length).
    pub addresses: u16,
    /// The data of an answer record of class IN contradicts its type, as an A of three bytes does.
    pub wrong_data: bool,
    /// Response code, the extended bits of EDNS included (RFC 6891, section 6.1.3).
    pub rcode: OptRcode,
    /// The first OPT record of the additional section.
    pub edns: Option<Edns<'a>>,
    /// By mDNS, whose classes have another meaning of their top bit.
    mdns: bool,
    /// The question had that bit.
    unicast_response: bool,
    /// An answer record had it.
    pub cache_flush: bool,
}

impl<'a> Decoded<'a> {
    /// Decodes a payload, by the rules of mDNS where `mdns`: several questions, and classes with a bit
    /// of their own. The question's name is folded into `name`, for which the caller has room on its
    /// stack.
    ///
    /// Broken records after the question do not make a message unreadable; they clear
    /// [`Decoded::complete`].
    ///
    /// # Errors
    /// [`MessageError`] if there is no header, or a question that cannot be parsed.
    pub fn decode(
        payload: &'a [u8],
        mdns: bool,
        name: &'a mut WireName,
    ) -> Result<Self, MessageError> {
        let message = Message::from_slice(payload).map_err(|_| MessageError::Header)?;
        let questions = message.header_counts().qdcount();
        if questions > 1 && !mdns {
            return Err(MessageError::Questions(questions));
        }
        let mut decoded = Self::new(message, mdns);
        let mut walk = Walk::new(payload);
        decoded
            .read_question(&mut walk, name)
            .ok_or(MessageError::Question)?;
        decoded.complete = decoded.read_records(&mut walk).is_some();
        Ok(decoded)
    }

    /// What can be read of a payload that is no message: the header, and the first question if it is
    /// one. `None` without a header.
    #[must_use]
    pub fn remains(payload: &'a [u8], mdns: bool, name: &'a mut WireName) -> Option<Self> {
        let message = Message::from_slice(payload).ok()?;
        let mut decoded = Self::new(message, mdns);
        // Without one there is nothing more to say.
        let _ = decoded.read_question(&mut Walk::new(payload), name);
        Some(decoded)
    }

    fn new(message: &'a Message<[u8]>, mdns: bool) -> Self {
        Self {
            message,
            answer_section: Walk::new(message.as_slice()),
            name: &[],
            qtype: Rtype::from_int(0),
            qclass: Class::from_int(0),
            complete: false,
            answers: 0,
            addresses: 0,
            wrong_data: false,
            rcode: message.header().rcode().into(),
            edns: None,
            mdns,
            unicast_response: false,
            cache_flush: false,
        }
    }

    /// Reads the first question, if there is one; `None` if it cannot be read.
    fn read_question(&mut self, walk: &mut Walk<'a>, name: &'a mut WireName) -> Option<()> {
        if !self.has_question() {
            return Some(());
        }
        let (parsed, qtype, class) = walk.question()?;
        self.name = match parsed {
            Name::Plain(octets) => name.fill(octets),
            Name::Parsed(parsed) => name.fill_parsed(&parsed),
        };
        self.qtype = qtype;
        self.qclass = self.class(class);
        self.unicast_response = self.qclass != class;
        Some(())
    }

    /// A class as the protocol reads it.
    #[must_use]
    pub const fn class(&self, class: Class) -> Class {
        if self.mdns { plain_class(class) } else { class }
    }

    /// Looks at an answer: counts addresses, and whether its data is what its type says.
    fn answer(&mut self, record: &Record<'_>) {
        self.answers += 1;
        let class = self.class(record.class);
        self.cache_flush |= class != record.class;
        // Other classes have data of their own, UPDATE's have none (RFC 2136, section 2.4).
        if class == Class::IN {
            let address = address_len(record.rtype);
            let fits = match address {
                Some(len) => record.data.len() == usize::from(len),
                None => record.parsed().is_some_and(|record| fits(&record)),
            };
            self.addresses += u16::from(fits && address.is_some());
            self.wrong_data |= !fits;
        }
    }

    /// Walks all sections; of record data only the answers' is looked at. `None` where that fails.
    fn read_records(&mut self, walk: &mut Walk<'a>) -> Option<()> {
        let [questions, answers, authority, additional] = self.announced();
        if answers | authority | additional == 0 {
            return Some(());
        }
        for _ in 1..questions {
            walk.skip_question()?;
        }
        self.answer_section = *walk;
        for _ in 0..answers {
            self.answer(&walk.record()?);
        }
        for _ in 0..authority {
            walk.record()?;
        }
        for _ in 0..additional {
            let record = walk.record()?;
            self.edns(&record);
        }
        Some(())
    }

    /// Takes the first OPT record; other records are left alone.
    fn edns(&mut self, record: &Record<'a>) {
        if record.rtype != Rtype::OPT || self.edns.is_some() {
            return;
        }
        // Class and TTL have another meaning there (RFC 6891, section 6.1.3).
        let [extended, version, flags, _] = record.ttl.to_be_bytes();
        self.rcode = OptRcode::from_parts(self.message.header().rcode(), extended);
        self.edns = Some(Edns {
            version,
            udp_size: record.class.to_int(),
            dnssec_ok: flags & 0x80 != 0,
            options: record.data,
            left_out: 0,
        });
    }

    /// The question as the matcher compares it.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        Question {
            name: self.name,
            qtype: self.qtype.to_int(),
            qclass: self.qclass.to_int(),
        }
    }

    /// The message id.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.message.header().id()
    }

    /// Whether the QR bit says response.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.message.header().qr()
    }

    /// Whether the TC bit says that the answer is longer than the transport allows.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.message.header().tc()
    }

    /// Whether the question is for a zone transfer.
    #[must_use]
    pub const fn is_of_transfer(&self) -> bool {
        matches!(self.qtype, Rtype::AXFR | Rtype::IXFR)
    }

    /// Whether a further message of a zone transfer can look like this: its question may be left out
    /// (RFC 5936, section 2.2.1).
    #[must_use]
    pub fn may_be_of_transfer(&self) -> bool {
        self.is_of_transfer() || !self.has_question()
    }

    /// The opcode.
    #[must_use]
    pub fn opcode(&self) -> Opcode {
        self.message.header().opcode()
    }

    /// Whether there is a question.
    #[must_use]
    pub fn has_question(&self) -> bool {
        self.message.header_counts().qdcount() > 0
    }

    /// The flags of header and EDNS, and what else is one bit.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let [_, _, high, low, ..] = *self.message.header_section().as_slice() else {
            return Flags::default();
        };
        Flags::of_header(u16::from_be_bytes([high, low]))
            .with(Bit::Do, self.edns.is_some_and(|edns| edns.dnssec_ok))
            .with(Bit::UnicastResponse, self.unicast_response)
            .with(Bit::Edns, self.edns.is_some())
            .with(Bit::Broken, !self.complete)
    }

    /// Numbers of questions, answers, authority and additional records that the header announces.
    #[must_use]
    pub fn announced(&self) -> [u16; 4] {
        let counts = self.message.header_counts();
        [
            counts.qdcount(),
            counts.ancount(),
            counts.nscount(),
            counts.arcount(),
        ]
    }

    /// Where the message stops to make sense; walks it again.
    #[must_use]
    pub fn fault(&self) -> Option<fault::Fault> {
        fault::find(self.message.as_slice(), self.mdns)
    }

    /// The answer records that can be read, in order.
    pub fn answer_records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let mut walk = self.answer_section;
        (0..self.answers).map_while(move |_| walk.record())
    }
}

/// Octets of the address that is the data of a type.
const fn address_len(rtype: Rtype) -> Option<u16> {
    match rtype {
        Rtype::A => Some(4),
        Rtype::AAAA => Some(16),
        _ => None,
    }
}

/// Whether a record's data is what its type says.
fn fits(record: &ParsedRecord<'_, [u8]>) -> bool {
    match address_len(record.rtype()) {
        Some(len) => record.rdlen() == len,
        None => record
            .to_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>()
            .is_ok(),
    }
}
