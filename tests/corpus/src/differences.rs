//! Where the two do not agree, and why that is as it should be. An entry explains as little as it can,
//! and one that explains nothing fails the test.

use crate::compare::Difference;

/// One explanation.
pub(crate) struct Explained {
    /// The fields that differ.
    pub(crate) fields: &'static [&'static str],
    /// Why.
    pub(crate) reason: &'static str,
    /// Whether it is this.
    pub(crate) holds: fn(&Difference) -> bool,
}

/// Further messages of a zone transfer: the reader counts as many.
pub const TRANSFER: &str = "further messages of a zone transfer are counted, not shown";

/// Fields of EDNS options.
const OPTIONS: &[&str] = &[
    "client_subnet.address",
    "client_subnet.source_prefix",
    "client_subnet.scope_prefix",
    "cookie.client",
    "cookie.server",
    "nsid",
    "edns.errors",
    "edns.options",
];

/// Fields of a response.
const RESPONSE: &[&str] = &[
    "line",
    "dns.type",
    "dns.header_flags",
    "dns.response_code",
    "dns_trace.counts",
    "dns_trace.retransmissions",
    "dns.answers",
    "dns.question.name",
    "event.duration",
];

/// All of them.
pub(crate) const EXPLAINED: &[Explained] = &[
    Explained {
        fields: &["dns.question.name"],
        reason: "the reader shows questions in lower case, tshark as they were spelled",
        holds: |d| d.tshark.eq_ignore_ascii_case(&d.ours),
    },
    Explained {
        fields: &["dns.question.name", "dns.answers.name", "dns.answers.data"],
        reason: "the reader escapes octets of a name as RFC 1035 says, tshark as C does or not at all",
        holds: |d| {
            d.ours.contains('\\')
                && as_tshark(&d.ours).is_some_and(|name| name.eq_ignore_ascii_case(&d.tshark))
        },
    },
    Explained {
        fields: OPTIONS,
        reason: "options of a query that are too long are not kept until its response",
        holds: |d| d.scene.options_left_out && d.ours == "-",
    },
    Explained {
        fields: OPTIONS,
        reason: "the reader shows an option that contradicts itself as octets, tshark takes it apart",
        holds: |d| d.scene.bad_option && (d.ours == "-" || d.field == "edns.options"),
    },
    Explained {
        fields: &["error.type"],
        reason: "tshark calls a message malformed for an option that is cut off, the reader the option",
        holds: |d| d.scene.bad_option && d.tshark == "true",
    },
    Explained {
        fields: &["event.duration"],
        reason: "tshark relates no response to what it calls malformed, the reader does",
        holds: |d| d.scene.tshark_malformed && d.tshark == "-",
    },
    Explained {
        fields: &["event.duration"],
        reason: "tshark relates no response of a member to a query that was sent to its group",
        holds: |d| d.scene.protocol != "dns" && d.scene.paired && d.tshark == "-",
    },
    Explained {
        fields: RESPONSE,
        reason: "the reader relates no messages with several questions, which DNS does not have",
        holds: |d| d.scene.fault.contains("a second question"),
    },
    Explained {
        fields: &["error.type"],
        reason: "tshark does not hold the length of data against its type",
        holds: |d| d.scene.fault.contains("data contradicts the type") && d.ours == "true",
    },
    Explained {
        fields: &["dns.answers.data"],
        reason: "data that contradicts its type is shown as octets, tshark shows what it can",
        holds: |d| {
            d.scene.fault.contains("data contradicts the type") && d.ours.starts_with("\\# ")
        },
    },
    Explained {
        fields: &["error.type"],
        reason: "tshark shows a name that loops or is too long as a text, the reader calls it malformed",
        holds: |d| {
            let faults = ["too many compression pointers", "long domain name"];
            d.ours == "true" && faults.iter().any(|fault| d.scene.fault.ends_with(fault))
        },
    },
    Explained {
        fields: &["error.type"],
        reason: "tshark reads several questions, which DNS does not have (RFC 9619)",
        holds: |d| d.ours == "true" && d.scene.fault.contains("a second question"),
    },
    Explained {
        fields: &["line"],
        reason: "tshark reads what there is of a header, the reader all of it or nothing",
        holds: |d| {
            let cut = |side: &str| side == "-" && d.scene.payload < 12 && !d.scene.tcp;
            cut(&d.ours) || (cut(&d.tshark) && d.scene.fault == "header: ends before")
        },
    },
    Explained {
        fields: &["line"],
        reason: TRANSFER,
        holds: |d| d.ours == "-" && d.scene.tcp && d.scene.response && d.scene.questions == 0,
    },
    Explained {
        fields: &["dns.answers"],
        reason: "a record of the ring holds 4096 octets of a datagram",
        holds: |d| d.scene.cut && d.ours.parse::<u64>().ok() < d.tshark.parse::<u64>().ok(),
    },
    Explained {
        fields: RESPONSE,
        reason: "tshark relates messages by their id alone, the reader by the question, too",
        holds: |d| d.scene.ambiguous,
    },
    Explained {
        fields: &[
            "dns.question.name",
            "dns.question.type",
            "dns.question.class",
        ],
        reason: "tshark reads on after a name that cannot be read, the reader stops there",
        holds: |d| d.scene.ours_malformed && d.ours == "-",
    },
    Explained {
        fields: &["dns.answers"],
        reason: "tshark counts the record that is broken, the reader those before it",
        holds: |d| d.scene.ours_malformed && one_more(&d.tshark, &d.ours),
    },
];

fn one_more(tshark: &str, ours: &str) -> bool {
    let [tshark, ours] = [tshark, ours].map(|text| text.parse::<usize>().ok());
    tshark.is_some() && tshark == ours.map(|number| number + 1)
}

/// A name in presentation format as tshark writes it: what is not printable in octal, but not what is not
/// ASCII; separators and quotes as they are.
fn as_tshark(name: &str) -> Option<String> {
    let mut text = Vec::new();
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        let octet = match byte {
            b'\\' => match rest.next()? {
                first @ b'0'..=b'9' => {
                    let digits = [first, rest.next()?, rest.next()?];
                    str::from_utf8(&digits).ok()?.parse().ok()?
                }
                other => other,
            },
            other => other,
        };
        match octet {
            7..=13 => text.extend([b'\\', b"abtnvfr"[usize::from(octet) - 7]]),
            0..b' ' | 0x7f => text.extend(format!("\\{octet:03o}").into_bytes()),
            _ => text.push(octet),
        }
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_tshark_writes_them() {
        assert_eq!(
            as_tshark(r"a\027\.\255\195\188").as_deref(),
            Some("a\\033.\u{fffd}\u{fc}")
        );
        assert_eq!(as_tshark(r"a\25"), None);
    }
}
