//! Messages, octet by octet: what a library refuses to build is wanted here.

/// The QR bit.
pub(crate) const QR: u16 = 0x8000;
/// The AA bit.
pub(crate) const AA: u16 = 0x0400;
/// The TC bit.
pub(crate) const TC: u16 = 0x0200;
/// The RD bit.
pub(crate) const RD: u16 = 0x0100;
/// The RA bit.
pub(crate) const RA: u16 = 0x0080;

/// Class IN.
pub(crate) const IN: u16 = 1;
/// A pointer to the name of the first question.
pub(crate) const QNAME: [u8; 2] = [0xc0, 12];

/// Offsets of the counts in the header.
const COUNTS: [usize; 4] = [4, 6, 8, 10];

/// Parts of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Section {
    Question,
    Answer,
    Authority,
    Additional,
}

/// A message under construction; counts go up with what is added.
#[derive(Clone, Debug)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn new(id: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 12];
        bytes[..2].copy_from_slice(&id.to_be_bytes());
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        Self(bytes)
    }

    /// A query for a name.
    pub(crate) fn query(id: u16, name: &[u8], rtype: u16) -> Self {
        Self::new(id, RD).question(name, rtype, IN)
    }

    /// The response to such a query, without answers.
    pub(crate) fn response(id: u16, name: &[u8], rtype: u16) -> Self {
        Self::new(id, QR | RD | RA).question(name, rtype, IN)
    }

    pub(crate) fn count(&self, section: Section) -> u16 {
        let at = COUNTS[section as usize];
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    pub(crate) fn with_count(mut self, section: Section, count: u16) -> Self {
        let at = COUNTS[section as usize];
        self.0[at..at + 2].copy_from_slice(&count.to_be_bytes());
        self
    }

    /// Changes the bits of the second header word.
    pub(crate) fn with_flags(mut self, set: u16) -> Self {
        let flags = u16::from_be_bytes([self.0[2], self.0[3]]) | set;
        self.0[2..4].copy_from_slice(&flags.to_be_bytes());
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn question(self, name: &[u8], rtype: u16, class: u16) -> Self {
        let count = self.count(Section::Question) + 1;
        self.with_count(Section::Question, count)
            .raw(name)
            .raw(&rtype.to_be_bytes())
            .raw(&class.to_be_bytes())
    }

    pub(crate) fn record(
        self,
        section: Section,
        owner: &[u8],
        (rtype, class, ttl): (u16, u16, u32),
        data: &[u8],
    ) -> Self {
        let count = self.count(section) + 1;
        self.with_count(section, count)
            .raw(owner)
            .raw(&rtype.to_be_bytes())
            .raw(&class.to_be_bytes())
            .raw(&ttl.to_be_bytes())
            .raw(&(data.len() as u16).to_be_bytes())
            .raw(data)
    }

    pub(crate) fn answer(self, owner: &[u8], rtype: u16, ttl: u32, data: &[u8]) -> Self {
        self.record(Section::Answer, owner, (rtype, IN, ttl), data)
    }

    /// An address of the question's name.
    pub(crate) fn address(self, address: [u8; 4]) -> Self {
        self.answer(&QNAME, 1, 300, &address)
    }

    /// An OPT record: size of datagrams, extended rcode, version, flags, options.
    pub(crate) fn opt(
        self,
        size: u16,
        (extended, version, flags): (u8, u8, u16),
        options: &[u8],
    ) -> Self {
        let [high, low] = flags.to_be_bytes();
        let ttl = u32::from_be_bytes([extended, version, high, low]);
        self.record(Section::Additional, &[0], (41, size, ttl), options)
    }

    pub(crate) fn cut(mut self, octets: usize) -> Self {
        self.0.truncate(self.0.len().saturating_sub(octets));
        self
    }
}

/// A name in wire format from its labels.
pub(crate) fn labels(labels: &[&[u8]]) -> Vec<u8> {
    let mut name: Vec<u8> = labels
        .iter()
        .flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied()))
        .collect();
    name.push(0);
    name
}

/// A name in wire format from text without escapes.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let parts: Vec<&[u8]> = text
        .split('.')
        .filter(|l| !l.is_empty())
        .map(str::as_bytes)
        .collect();
    labels(&parts)
}
