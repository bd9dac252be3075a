//! Record data as zone files have it, in one line.

use dns_trace::message::Decoded;
use dns_trace::name::WireName;
use dns_trace::sink::rdata::Data;
use domain::base::Rtype;
use domain::base::iana::Rcode;

use crate::records::response;

fn shown(rtype: u16, data: &[u8]) -> String {
    let rtype = Rtype::from_int(rtype);
    let mut message = response(7, "a.example", rtype, Rcode::NOERROR, &[]);
    message[7] = 1;
    message.extend([0xc0, 12]);
    message.extend(rtype.to_int().to_be_bytes());
    message.extend([0, 1, 0, 0, 0, 9]);
    message.extend((data.len() as u16).to_be_bytes());
    message.extend(data);
    let mut name = WireName::new();
    let decoded = Decoded::decode(&message, false, &mut name).unwrap();
    assert!(!decoded.wrong_data);
    let record = decoded.answer_records().next().unwrap();
    Data(record).to_string()
}

#[test]
fn data_is_as_in_a_zone_file() {
    let target = b"\x01t\x07example\x00";
    let with = |head: &[u8]| [head, target].concat();
    let key = b"\x01\x02\x03";
    for (rtype, data, wanted) in [
        (2, target.to_vec(), "t.example."),
        (15, with(&[0, 10]), "10 t.example."),
        // No mail at all (RFC 7505).
        (15, vec![0, 0, 0], "0 ."),
        (33, with(&[0, 1, 0, 2, 0, 53]), "1 2 53 t.example."),
        (44, [&[4, 2][..], key].concat(), "4 2 010203"),
        (45, [&[10, 0, 2][..], key].concat(), "10 0 2 . AQID"),
        (
            45,
            [with(&[10, 3, 2]), key.to_vec()].concat(),
            "10 3 2 t.example. AQID",
        ),
        (52, [&[3, 1, 1][..], key].concat(), "3 1 1 010203"),
        // The owner itself (RFC 9460, section 2.5).
        (65, b"\0\x01\0\0\x01\0\x03\x02h2".to_vec(), "1 . alpn=h2"),
        (65, with(&[0, 0]), "0 t.example."),
        (39, target.to_vec(), "t.example."),
        (16, b"\x03a\"\x1b".to_vec(), r#""a\"\027""#),
        (10, key.to_vec(), r"\# 3 01 02 03"),
    ] {
        assert_eq!(shown(rtype, &data), wanted, "{rtype}");
    }
}
