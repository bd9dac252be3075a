//! DNS messages, decoded in place: the header, the question and the shape of what follows. Record
//! data is checked here and read only by a sink that shows it. `domain` does the parsing; this room decides what is
//! a message at all.

use domain::base::iana::{Class, Opcode, OptRcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::name::ParsedName;
use domain::base::{Message, ParsedRecord};
use domain::rdata::AllRecordData;
use thiserror::Error;

use crate::matcher::Question;
use crate::name::WireName;

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

/// A decoded message. Borrows the payload.
#[derive(Debug)]
pub struct Decoded<'a> {
    message: &'a Message<[u8]>,
    /// Name of the (first) question in wire format, lower case; empty if there is no question.
    pub name: &'a [u8],
    /// Type of the question; 0 if there is none.
    pub qtype: Rtype,
    /// Class of the question; 0 if there is none.
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
    /// The DO bit of EDNS (RFC 3225).
    pub dnssec_ok: bool,
}

impl<'a> Decoded<'a> {
    /// Decodes a payload. `several_questions` for mDNS. The question's name is folded into `name`,
    /// for which the caller has room on its stack.
    ///
    /// Broken records after the question do not make a message unreadable; they clear
    /// [`Decoded::complete`].
    ///
    /// # Errors
    /// [`MessageError`] if there is no header, or a question that cannot be parsed.
    pub fn decode(
        payload: &'a [u8],
        several_questions: bool,
        name: &'a mut WireName,
    ) -> Result<Self, MessageError> {
        let message = Message::from_slice(payload).map_err(|_| MessageError::Header)?;
        let questions = message.header_counts().qdcount();
        if questions > 1 && !several_questions {
            return Err(MessageError::Questions(questions));
        }
        let mut decoded = Self {
            message,
            name: &[],
            qtype: Rtype::from_int(0),
            qclass: Class::from_int(0),
            complete: false,
            answers: 0,
            addresses: 0,
            wrong_data: false,
            rcode: message.header().rcode().into(),
            dnssec_ok: false,
        };
        match message.question().next() {
            Some(Ok(question)) => {
                decoded.name = name.fill(question.qname());
                decoded.qtype = question.qtype();
                decoded.qclass = question.qclass();
            }
            Some(Err(_)) => return Err(MessageError::Question),
            None => {}
        }
        decoded.complete = decoded.walk().is_some();
        Ok(decoded)
    }

    /// Looks whether an answer's data is what its type says.
    fn data(&mut self, record: &ParsedRecord<'_, [u8]>) {
        let right = match record.rtype() {
            Rtype::A => record.rdlen() == 4,
            Rtype::AAAA => record.rdlen() == 16,
            _ => return self.wrong_data |= !is_readable(record),
        };
        self.addresses += u16::from(right);
        self.wrong_data |= !right;
    }

    /// Walks all sections; of record data only the answers' is looked at. `None` where that fails.
    fn walk(&mut self) -> Option<()> {
        let counts = self.message.header_counts();
        if counts.ancount() == 0 && counts.nscount() == 0 && counts.arcount() == 0 {
            return Some(());
        }
        let mut section = self.message.answer().ok()?;
        for record in &mut section {
            let record = record.ok()?;
            self.answers += 1;
            // Other classes have data of their own, UPDATE's have none (RFC 2136, section 2.4).
            if record.class() == Class::IN {
                self.data(&record);
            }
        }
        let mut section = section.next_section().ok()??;
        for record in &mut section {
            record.ok()?;
        }
        let mut section = section.next_section().ok()??;
        for record in &mut section {
            self.edns(&record.ok()?);
        }
        Some(())
    }

    /// Takes the bits of an OPT record, which stand where others have their TTL (RFC 6891, section
    /// 6.1.3); other records are left alone.
    fn edns(&mut self, record: &ParsedRecord<'_, [u8]>) {
        if record.rtype() == Rtype::OPT {
            let [extended, _version, flags, _] = record.ttl().as_secs().to_be_bytes();
            self.rcode = OptRcode::from_parts(self.message.header().rcode(), extended);
            self.dnssec_ok = flags & 0x80 != 0;
        }
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

    /// The flags of header and EDNS.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let header = self.message.header();
        Flags::new([
            header.aa(),
            header.tc(),
            header.rd(),
            header.ra(),
            header.ad(),
            header.cd(),
            self.dnssec_ok,
        ])
    }

    /// The answer records that can be read, in order.
    pub fn answer_records(&self) -> impl Iterator<Item = ParsedRecord<'a, [u8]>> + use<'a> {
        let section: Option<RecordSection<'a, [u8]>> = self.message.answer().ok();
        section.into_iter().flatten().map_while(Result::ok)
    }
}

/// Whether the library can read a record's data.
fn is_readable(record: &ParsedRecord<'_, [u8]>) -> bool {
    let record = record.to_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>();
    record.is_ok()
}

/// Names of the flags, as ECS `dns.header_flags` spells them, in the order of [`Flags`].
pub const FLAG_NAMES: [&str; 7] = ["AA", "TC", "RD", "RA", "AD", "CD", "DO"];

/// Header flags and the DO bit, one bit each in the order of [`FLAG_NAMES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    fn new(set: [bool; 7]) -> Self {
        Self((0..7).fold(0, |bits, i| bits | (u8::from(set[i]) << i)))
    }

    /// Names of the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..7)
            .filter(move |i| self.0 & (1 << i) != 0)
            .map(|i| FLAG_NAMES[i])
    }
}
