//! Where a message may begin in a stream whose beginning was not seen. Senders write a message with
//! its prefix at once, so that the start of a segment is nearly always the start of a message; what
//! follows has to look like one.

/// Octets of prefix and header.
const HEAD: usize = 14;

/// Whether a segment may begin with a message: a prefix with a plausible header behind it, or a
/// prefix alone, which some senders write by itself.
pub(super) fn of_segment(bytes: &[u8]) -> bool {
    (bytes.len() == 2 || bytes.len() >= HEAD) && may_be(bytes)
}

/// Whether bytes may be a length prefix and a message; what is not there is believed.
///
/// A header is plausible if the length covers it, the opcode is assigned, the reserved bit is clear
/// (RFC 1035, section 4.1.1; RFC 6895, section 2.1), a query has one question, no answers and no error,
/// and a response has one question, or none and either answers (the further messages of a zone
/// transfer, RFC 5936, section 2.2.1) or an error. The question has to be an uncompressed name with
/// a class that exists.
pub(super) fn may_be(frame: &[u8]) -> bool {
    let Some((length, rest)) = word(frame) else {
        return true;
    };
    if length < 12 {
        return false;
    }
    let Some((header, rest)) = rest.split_first_chunk::<12>() else {
        return true;
    };
    let [_, _, flags, codes, qd0, qd1, an0, an1, ..] = *header;
    let (response, opcode, rcode) = (flags & 0x80 != 0, (flags >> 3) & 0xf, codes & 0xf);
    let questions = u16::from_be_bytes([qd0, qd1]);
    let answers = u16::from_be_bytes([an0, an1]);
    if !matches!(opcode, 0 | 1 | 2 | 4 | 5 | 6) || codes & 0x40 != 0 {
        return false;
    }
    // An UPDATE counts its prerequisites there, a NOTIFY may bring the new SOA (RFC 2136, RFC 1996).
    let asks = questions == 1 && rcode == 0 && (answers == 0 || matches!(opcode, 4 | 5));
    let tells = questions == 1 || (questions == 0 && (answers > 0 || rcode != 0));
    if !(if response { tells } else { asks }) {
        return false;
    }
    let inside = usize::from(length) - 12;
    let body = &rest[..rest.len().min(inside)];
    questions == 0 || question(body, inside)
}

/// Whether a question may begin here; `whole` octets are announced, of which the first are there.
fn question(body: &[u8], whole: usize) -> bool {
    let mut at = 0;
    loop {
        if at >= whole || at > 255 {
            return false;
        }
        match body.get(at) {
            None => return true,
            Some(0) => break,
            Some(label @ 1..=63) => at += 1 + usize::from(*label),
            Some(_) => return false,
        }
    }
    if at + 5 > whole {
        return false;
    }
    match body.get(at + 3..at + 5) {
        // IN, CH, HS, NONE, ANY.
        Some(&[high, low]) => matches!((high, low), (0, 1 | 3 | 4 | 254 | 255)),
        _ => true,
    }
}

fn word(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*word), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: [u8; 21] = [
        0, 19, 0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1,
    ];

    fn with(at: usize, byte: u8) -> [u8; 21] {
        let mut bytes = QUERY;
        bytes[at] = byte;
        bytes
    }

    #[test]
    fn a_query_is_one_wherever_it_is_cut() {
        for end in 0..=QUERY.len() {
            assert!(may_be(&QUERY[..end]), "{end}");
        }
        assert!(of_segment(&QUERY[..2]));
        assert!(!of_segment(&QUERY[..1]));
        assert!(!of_segment(&QUERY[..13]));
    }

    #[test]
    fn what_contradicts_itself_is_none() {
        for (at, byte) in [
            (1, 11),   // shorter than a header
            (1, 15),   // shorter than its question
            (4, 0x79), // opcode 15
            (5, 0x40), // reserved bit
            (5, 3),    // a query with an error
            (7, 2),    // two questions
            (9, 1),    // a query with an answer
            (14, 0xc0),
            (20, 2),
        ] {
            assert!(!may_be(&with(at, byte)), "{at}");
        }
        // A message without its prefix.
        assert!(!may_be(&QUERY[2..]));
        assert!(!may_be(b"GET / HTTP/1.1\r\n\r\n"));
    }

    #[test]
    fn a_further_message_of_a_transfer_is_one() {
        assert!(may_be(&[0, 99, 0, 7, 0x84, 0, 0, 0, 0, 5, 0, 0, 0, 0, 1]));
        assert!(!may_be(&[0, 99, 0, 7, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
    }
}
