//! Our own way through a message against that of `domain`: whatever the message, both see the same.

use dns_trace::message::{Bit, Decoded, Record, plain_class};
use dns_trace::name::{NAME_MAX, PresentedParsed, WireName};
use domain::base::iana::{Class, OptRcode, Rtype};
use domain::base::name::{ParsedName, ToName as _};
use domain::base::{Message, ParsedRecord, UnknownRecordData};
use domain::rdata::AllRecordData;
use proptest::prelude::*;

/// What is to be the same.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    name: Vec<u8>,
    qtype: Rtype,
    qclass: Class,
    unicast_response: bool,
    complete: bool,
    answers: u16,
    addresses: u16,
    wrong_data: bool,
    cache_flush: bool,
    rcode: OptRcode,
    edns: Option<(u8, u16, bool, Vec<u8>)>,
    header: [bool; 7],
    records: Vec<Answer>,
}

/// Owner, type, class, time to live, data.
type Answer = (String, Rtype, Class, u32, Vec<u8>);

fn by_us(payload: &[u8], mdns: bool) -> Option<Seen> {
    let mut name = WireName::new();
    let decoded = Decoded::decode(payload, mdns, &mut name).ok()?;
    let flags = decoded.flags();
    assert_eq!(flags.has(Bit::Broken), !decoded.complete);
    assert_eq!(flags.has(Bit::Edns), decoded.edns.is_some());
    let edns = |e: dns_trace::message::edns::Edns<'_>| {
        let options = e.options.to_vec();
        (e.version, e.udp_size, e.dnssec_ok, options)
    };
    Some(Seen {
        name: decoded.name.to_vec(),
        qtype: decoded.qtype,
        qclass: decoded.qclass,
        unicast_response: flags.has(Bit::UnicastResponse),
        complete: decoded.complete,
        answers: decoded.answers,
        addresses: decoded.addresses,
        wrong_data: decoded.wrong_data,
        cache_flush: decoded.cache_flush,
        rcode: decoded.rcode,
        edns: decoded.edns.map(edns),
        header: [
            Bit::Aa,
            Bit::Tc,
            Bit::Rd,
            Bit::Ra,
            Bit::Reserved,
            Bit::Ad,
            Bit::Cd,
        ]
        .map(|bit| flags.has(bit)),
        records: decoded
            .answer_records()
            .map(|record| ours(&record))
            .collect(),
    })
}

fn ours(record: &Record<'_>) -> Answer {
    let parsed = record.parsed().unwrap();
    assert_eq!(parsed.rtype(), record.rtype);
    let owner = record.owner.to_string();
    let data = record.data.to_vec();
    (owner, record.rtype, record.class, record.ttl, data)
}

fn theirs(record: &ParsedRecord<'_, [u8]>) -> Answer {
    let owner = PresentedParsed(record.owner()).to_string();
    let data = record.to_record::<UnknownRecordData<&[u8]>>();
    let data = data.unwrap().unwrap().data().data().to_vec();
    let (rtype, class) = (record.rtype(), record.class());
    (owner, rtype, class, record.ttl().as_secs(), data)
}

fn by_domain(payload: &[u8], mdns: bool) -> Option<Seen> {
    let message = Message::from_slice(payload).ok()?;
    let header = message.header();
    if message.header_counts().qdcount() > 1 && !mdns {
        return None;
    }
    let class = |class| if mdns { plain_class(class) } else { class };
    let mut seen = Seen {
        name: Vec::new(),
        qtype: Rtype::from_int(0),
        qclass: Class::from_int(0),
        unicast_response: false,
        complete: false,
        answers: 0,
        addresses: 0,
        wrong_data: false,
        cache_flush: false,
        rcode: header.rcode().into(),
        edns: None,
        header: [
            header.aa(),
            header.tc(),
            header.rd(),
            header.ra(),
            header.z(),
            header.ad(),
            header.cd(),
        ],
        records: Vec::new(),
    };
    if let Some(question) = message.question().next() {
        let question = question.ok()?;
        seen.name = question.qname().to_vec().as_slice().to_ascii_lowercase();
        seen.qtype = question.qtype();
        seen.qclass = class(question.qclass());
        seen.unicast_response = seen.qclass != question.qclass();
    }
    seen.complete = seen.records(message, class).is_some();
    Some(seen)
}

impl Seen {
    fn records(&mut self, message: &Message<[u8]>, class: impl Fn(Class) -> Class) -> Option<()> {
        let counts = message.header_counts();
        if (counts.ancount(), counts.nscount(), counts.arcount()) == (0, 0, 0) {
            return Some(());
        }
        let mut section = message.answer().ok()?;
        for record in &mut section {
            let record = record.ok()?;
            self.answers += 1;
            self.records.push(theirs(&record));
            let plain = class(record.class());
            self.cache_flush |= plain != record.class();
            if plain == Class::IN {
                let fits = fits(&record);
                let address = matches!(record.rtype(), Rtype::A | Rtype::AAAA);
                self.addresses += u16::from(fits && address);
                self.wrong_data |= !fits;
            }
        }
        let mut section = section.next_section().ok()??;
        for record in &mut section {
            record.ok()?;
        }
        let mut section = section.next_section().ok()??;
        for record in &mut section {
            let record = record.ok()?;
            if record.rtype() == Rtype::OPT && self.edns.is_none() {
                let [extended, version, flags, _] = record.ttl().as_secs().to_be_bytes();
                self.rcode = OptRcode::from_parts(message.header().rcode(), extended);
                let data = record.to_record::<UnknownRecordData<&[u8]>>().ok()??;
                let options = data.data().data().to_vec();
                let size = record.class().to_int();
                self.edns = Some((version, size, flags & 0x80 != 0, options));
            }
        }
        Some(())
    }
}

fn fits(record: &ParsedRecord<'_, [u8]>) -> bool {
    match record.rtype() {
        Rtype::A => record.rdlen() == 4,
        Rtype::AAAA => record.rdlen() == 16,
        _ => record
            .to_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>()
            .is_ok(),
    }
}

/// Names in place, with pointers to anywhere near, and what is no name.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let label = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 1..8),
        1 => prop::collection::vec(any::<u8>(), 60..=63),
    ];
    let labels = prop::collection::vec(label, 0..6).prop_map(|labels| {
        let with_length = |label: &Vec<u8>| [&[label.len() as u8], &label[..]].concat();
        labels.iter().flat_map(with_length).collect::<Vec<u8>>()
    });
    let end = prop_oneof![
        5 => Just(vec![0]),
        4 => Just(vec![0xc0, 12]),
        2 => (0xc0..=0xc1_u8, any::<u8>()).prop_map(|(high, low)| vec![high, low]),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop_oneof![
        3 => Just(vec![0xc0, 12]),
        4 => (labels, end).prop_map(|(labels, end)| [labels, end].concat()),
    ]
}

fn type_and_class() -> impl Strategy<Value = [u8; 4]> {
    let rtype = prop_oneof![
        prop::sample::select(vec![1_u16, 28, 5, 15, 16, 41, 65]),
        any::<u16>(),
    ];
    let class = prop_oneof![
        8 => prop::sample::select(vec![1_u16, 0x8001]),
        1 => any::<u16>(),
    ];
    (rtype, class).prop_map(|(rtype, class)| {
        let [t, u] = rtype.to_be_bytes();
        let [c, d] = class.to_be_bytes();
        [t, u, c, d]
    })
}

fn question() -> impl Strategy<Value = Vec<u8>> {
    (name(), type_and_class()).prop_map(|(name, rest)| [&name[..], &rest].concat())
}

fn record() -> impl Strategy<Value = Vec<u8>> {
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 4),
        prop::collection::vec(any::<u8>(), 16),
        prop::collection::vec(any::<u8>(), 0..40),
        name(),
    ];
    let more = prop_oneof![9 => Just(0_u16), 1 => any::<u16>()];
    let parts = (name(), type_and_class(), any::<[u8; 4]>(), data, more);
    parts.prop_map(|(name, kind, ttl, data, more)| {
        let len = (data.len() as u16).wrapping_add(more).to_be_bytes();
        [&name[..], &kind, &ttl, &len, &data].concat()
    })
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let section = || prop::collection::vec(record(), 0..3);
    let wrong = prop_oneof![9 => Just(0_u16), 1 => 0..3_u16];
    (
        any::<[u8; 4]>(),
        prop::collection::vec(question(), 0..3),
        [section(), section(), section()],
        [wrong.clone(), wrong.clone(), wrong.clone(), wrong],
        prop::option::weighted(0.2, any::<prop::sample::Index>()),
    )
        .prop_map(|(head, questions, records, wrong, end)| {
            let lens = [questions.len()]
                .into_iter()
                .chain(records.iter().map(Vec::len));
            let counts = lens.zip(wrong).map(|(len, wrong)| len as u16 + wrong);
            let mut bytes = head.to_vec();
            bytes.extend(counts.flat_map(u16::to_be_bytes));
            bytes.extend(questions.concat());
            bytes.extend(records.concat().concat());
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len()));
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn we_see_what_domain_sees(payload in message(), mdns: bool) {
        prop_assert_eq!(by_us(&payload, mdns), by_domain(&payload, mdns));
    }
}

/// The longest name there may be, and names that are an octet longer: in place, and by a pointer.
#[test]
fn names_of_every_length_near_the_longest() {
    for last in 50..=63 {
        let labels = [63, 63, 63, last].map(|len: u8| [vec![len], vec![b'X'; len.into()]].concat());
        let name = [labels.concat(), vec![0]].concat();
        let kind = [0, 1, 0, 1];
        let head = [0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        let data = [0, 0, 0, 9, 0, 4, 192, 0, 2, 1];
        let owners = [vec![0xc0, 12], vec![1, b'a', 0xc0, 12], name.clone()];
        for owner in owners {
            let payload = [&head[..], &name, &kind, &owner, &kind, &data].concat();
            let seen = by_us(&payload, false);
            assert_eq!(seen, by_domain(&payload, false), "{last}");
            assert_eq!(seen.is_some(), name.len() <= NAME_MAX, "{last}");
        }
    }
}
