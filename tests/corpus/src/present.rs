//! Record data in presentation format from tshark's fields: what the reader should print for it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::tshark::{Field, Record};

/// The text, or `None` for types that the reader prints as octets (RFC 3597, section 5).
pub(crate) fn data(record: &Record) -> Option<String> {
    let fields = Fields(&record.data);
    Some(match record.rtype {
        1 => fields.show("dns.a")?,
        28 => fields.show("dns.aaaa")?,
        2 => fields.name("dns.ns")?,
        3 => fields.name("dns.md")?,
        4 => fields.name("dns.mf")?,
        5 => fields.name("dns.cname")?,
        7 => fields.name("dns.mb")?,
        8 => fields.name("dns.mg")?,
        9 => fields.name("dns.mr")?,
        12 => fields.name("dns.ptr.domain_name")?,
        39 => fields.name("dns.dname")?,
        6 => {
            let numbers = [
                "serial_number",
                "refresh_interval",
                "retry_interval",
                "expire_limit",
                "minimum_ttl",
            ];
            let numbers: Option<Vec<String>> = numbers
                .iter()
                .map(|n| fields.number(&format!("dns.soa.{n}")))
                .collect();
            let (mname, rname) = (fields.name("dns.soa.mname")?, fields.name("dns.soa.rname")?);
            format!("{mname} {rname} {}", numbers?.join(" "))
        }
        13 => [
            fields.quoted("dns.hinfo.cpu")?,
            fields.quoted("dns.hinfo.os")?,
        ]
        .join(" "),
        14 => [fields.name("dns.minfo.r")?, fields.name("dns.minfo.e")?].join(" "),
        15 => [
            fields.number("dns.mx.preference")?,
            fields.name("dns.mx.mail_exchange")?,
        ]
        .join(" "),
        16 => {
            let texts = Field::all(&record.data, "dns.txt");
            texts
                .iter()
                .map(|t| quoted(&t.octets()))
                .collect::<Vec<_>>()
                .join(" ")
        }
        17 => [
            fields.name("dns.rp.mailbox")?,
            fields.name("dns.rp.txt_rr")?,
        ]
        .join(" "),
        33 => {
            let numbers =
                ["priority", "weight", "port"].map(|n| fields.number(&format!("dns.srv.{n}")));
            let numbers: Option<Vec<String>> = numbers.into_iter().collect();
            format!("{} {}", numbers?.join(" "), fields.name("dns.srv.target")?)
        }
        35 => {
            let strings =
                ["flags", "service", "regex"].map(|n| fields.quoted(&format!("dns.naptr.{n}")));
            let strings: Option<Vec<String>> = strings.into_iter().collect();
            let (order, preference) = (
                fields.number("dns.naptr.order")?,
                fields.number("dns.naptr.preference")?,
            );
            let replacement = fields.name("dns.naptr.replacement")?;
            format!("{order} {preference} {} {replacement}", strings?.join(" "))
        }
        _ => return security(record),
    })
}

fn security(record: &Record) -> Option<String> {
    let fields = Fields(&record.data);
    Some(match record.rtype {
        43 | 59 => fields.join(
            &["dns.ds.key_id", "dns.ds.algorithm", "dns.ds.digest_type"],
            "dns.ds.digest",
        )?,
        10 => unknown(&fields.get("dns.null")?.octets()),
        45 => {
            let head = ["precedence", "type", "algorithm"]
                .map(|n| fields.number(&format!("dns.ipseckey.gateway_{n}")));
            let head: Option<Vec<String>> = head.into_iter().collect();
            let gateway = fields
                .show("dns.ipseckey.gateway_ipv4")
                .or_else(|| fields.show("dns.ipseckey.gateway_ipv6"))
                .or_else(|| fields.name("dns.ipseckey.gateway_dns"))
                .unwrap_or_else(|| ".".to_owned());
            format!(
                "{} {gateway} {}",
                head?.join(" "),
                fields.base64("dns.ipseckey.public_key")?
            )
        }
        47 => format!(
            "{} {}",
            fields.name("dns.nsec.next_domain_name")?,
            bitmap(&record.data)
        ),
        50 => {
            let head =
                ["algo", "flags", "iterations"].map(|n| fields.number(&format!("dns.nsec3.{n}")));
            let head: Option<Vec<String>> = head.into_iter().collect();
            let salt = fields.get("dns.nsec3.salt_value");
            let salt = salt
                .map(|salt| salt.value.as_str())
                .filter(|salt| !salt.is_empty());
            let salt = salt.unwrap_or("-");
            let hash = fields.show("dns.nsec3.hash_value")?;
            format!("{} {salt} {hash} {}", head?.join(" "), bitmap(&record.data))
        }
        64 | 65 => service(record)?,
        44 => fields.join(
            &["dns.sshfp.algorithm", "dns.sshfp.fingerprint.type"],
            "dns.sshfp.fingerprint",
        )?,
        46 => {
            let head = [
                "algorithm",
                "labels",
                "original_ttl",
                "signature_expiration",
                "signature_inception",
                "key_tag",
            ];
            let head: Option<Vec<String>> = head
                .iter()
                .map(|n| fields.raw(&format!("dns.rrsig.{n}")))
                .collect();
            let covered = type_name(fields.raw("dns.rrsig.type_covered")?.parse().ok()?);
            let signer = fields.name("dns.rrsig.signers_name")?;
            let signature = fields.base64("dns.rrsig.signature")?;
            format!("{covered} {} {signer} {signature}", head?.join(" "))
        }
        48 | 60 => {
            let head = ["flags", "protocol", "algorithm"]
                .map(|n| fields.number(&format!("dns.dnskey.{n}")));
            let head: Option<Vec<String>> = head.into_iter().collect();
            format!(
                "{} {}",
                head?.join(" "),
                fields.base64("dns.dnskey.public_key")?
            )
        }
        51 => {
            let head = ["dns.nsec3.algo", "dns.nsec3.flags", "dns.nsec3.iterations"];
            fields.join(&head, "dns.nsec3.salt_value")?
        }
        52 => {
            let head =
                ["certificate_usage", "selector", "matching_type"].map(|n| format!("dns.tlsa.{n}"));
            let head: Vec<&str> = head.iter().map(String::as_str).collect();
            fields.join(&head, "dns.tlsa.certificate_association_data")?
        }
        61 => fields.base64("dns.openpgpkey")?,
        63 => fields.join(
            &[
                "dns.zonemd.serial",
                "dns.zonemd.scheme",
                "dns.zonemd.hash_algo",
            ],
            "dns.zonemd.digest",
        )?,
        257 => {
            let (flags, tag) = (fields.number("dns.caa.flags")?, fields.show("dns.caa.tag")?);
            format!("{flags} {tag} {}", fields.quoted("dns.caa.value")?)
        }
        _ => return None,
    })
}

/// Types of a bitmap.
fn bitmap(fields: &[Field]) -> String {
    let types = Field::all(fields, "dns.resp.type");
    let names = types.iter().map(|t| type_name(t.number() as u16));
    names.collect::<Vec<_>>().join(" ")
}

/// SVCB and HTTPS (RFC 9460, section 2.1).
fn service(record: &Record) -> Option<String> {
    let fields = Fields(&record.data);
    let mut text = format!(
        "{} {}",
        fields.number("dns.svcb.svcpriority")?,
        fields.name("dns.svcb.targetname")?
    );
    for parameter in Field::all(&record.data, "dns.svcb.svcparam") {
        let inside = Fields(&parameter.children);
        let list = |name| {
            let values = Field::all(&parameter.children, name);
            values
                .iter()
                .map(|v| v.show.clone())
                .collect::<Vec<_>>()
                .join(",")
        };
        let key = inside.get("dns.svcb.svcparam.key")?.number();
        text += &match key {
            1 => format!(" alpn={}", list("dns.svcb.svcparam.alpn")),
            3 => format!(" port={}", list("dns.svcb.svcparam.port")),
            4 => format!(" ipv4hint={}", list("dns.svcb.svcparam.ipv4hint.ip")),
            5 => format!(" ech={}", inside.base64("dns.svcb.svcparam.echconfig")?),
            6 => format!(" ipv6hint={}", list("dns.svcb.svcparam.ipv6hint.ip")),
            key => {
                let value = inside.get("dns.svcb.svcparam.value")?.octets();
                format!(" key{key}={}", quoted(&value).trim_matches('"'))
            }
        };
    }
    Some(text)
}

/// Fields by name.
struct Fields<'a>(&'a [Field]);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Field> {
        Field::all(self.0, name).first().copied()
    }

    fn show(&self, name: &str) -> Option<String> {
        Some(self.get(name)?.show.clone())
    }

    /// A name as zone files have it, with the last dot.
    fn name(&self, name: &str) -> Option<String> {
        let name = self.get(name)?.name();
        Some(if name == "." { name } else { name + "." })
    }

    fn number(&self, name: &str) -> Option<String> {
        Some(self.get(name)?.number().to_string())
    }

    /// A number from its octets: tshark shows times of day.
    fn raw(&self, name: &str) -> Option<String> {
        Some(
            u64::from_str_radix(&self.get(name)?.value, 16)
                .ok()?
                .to_string(),
        )
    }

    fn quoted(&self, name: &str) -> Option<String> {
        Some(quoted(&self.get(name)?.octets()))
    }

    fn base64(&self, name: &str) -> Option<String> {
        Some(STANDARD.encode(self.get(name)?.octets()))
    }

    /// Numbers, and octets in hexadecimal.
    fn join(&self, numbers: &[&str], octets: &str) -> Option<String> {
        let numbers: Option<Vec<String>> = numbers.iter().map(|name| self.number(name)).collect();
        let octets = self.get(octets)?.value.to_ascii_uppercase();
        Some(format!("{} {octets}", numbers?.join(" ")))
    }
}

/// A character string (RFC 1035, section 5.1).
fn quoted(octets: &[u8]) -> String {
    let mut text = "\"".to_owned();
    for &octet in octets {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(octet)]),
            b' '..=b'~' => text.push(char::from(octet)),
            _ => text.push_str(&format!("\\{octet:03}")),
        }
    }
    text.push('"');
    text
}

/// Name of a type, for those that the corpus covers with signatures and bitmaps.
pub(crate) fn type_name(number: u16) -> String {
    match number {
        1 => "A".to_owned(),
        2 => "NS".to_owned(),
        6 => "SOA".to_owned(),
        15 => "MX".to_owned(),
        46 => "RRSIG".to_owned(),
        47 => "NSEC".to_owned(),
        257 => "CAA".to_owned(),
        other => format!("TYPE{other}"),
    }
}

/// Octets of a type that is not taken apart (RFC 3597, section 5), as the reader groups them.
pub(crate) fn unknown(octets: &[u8]) -> String {
    let mut text = format!("\\# {}", octets.len());
    for octet in octets {
        text.push_str(&format!(" {octet:02x}"));
    }
    text
}

/// Number of a type by its name.
pub(crate) fn type_number(name: &str) -> Option<u16> {
    if let Some(number) = name.strip_prefix("TYPE") {
        return number.parse().ok();
    }
    TYPES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

/// The registry, as far as the corpus asks for it.
const TYPES: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("MD", 3),
    ("MF", 4),
    ("CNAME", 5),
    ("SOA", 6),
    ("MB", 7),
    ("MG", 8),
    ("MR", 9),
    ("NULL", 10),
    ("WKS", 11),
    ("PTR", 12),
    ("HINFO", 13),
    ("MINFO", 14),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AFSDB", 18),
    ("AAAA", 28),
    ("LOC", 29),
    ("SRV", 33),
    ("NAPTR", 35),
    ("KX", 36),
    ("CERT", 37),
    ("DNAME", 39),
    ("OPT", 41),
    ("DS", 43),
    ("SSHFP", 44),
    ("IPSECKEY", 45),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("DHCID", 49),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("ZONEMD", 63),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("SPF", 99),
    ("UINFO", 100),
    ("EUI48", 108),
    ("TKEY", 249),
    ("AXFR", 252),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
];

/// Fields of EDNS options.
pub(crate) const OPTION_FIELDS: [&str; 8] = [
    "client_subnet.address",
    "client_subnet.source_prefix",
    "client_subnet.scope_prefix",
    "cookie.client",
    "cookie.server",
    "nsid",
    "edns.errors",
    "edns.options",
];

/// The options of an OPT record, by the names above.
pub(crate) fn options(fields: &[Field]) -> BTreeMap<&'static str, String> {
    let mut found: BTreeMap<&'static str, String> = BTreeMap::new();
    for option in fields.iter().filter(|field| field.name == "dns.opt") {
        let parts = Fields(&option.children);
        let code = parts.get("dns.opt.code").map_or(0, Field::number);
        let octets = parts
            .get("dns.opt.data")
            .map(|d| d.value.clone())
            .unwrap_or_default();
        match code {
            8 => {
                let address = parts
                    .show("dns.opt.client.addr4")
                    .or_else(|| parts.show("dns.opt.client.addr6"));
                for (name, value) in [
                    ("client_subnet.address", address),
                    (
                        "client_subnet.source_prefix",
                        parts.number("dns.opt.client.netmask"),
                    ),
                    (
                        "client_subnet.scope_prefix",
                        parts.number("dns.opt.client.scope"),
                    ),
                ] {
                    found.entry(name).or_insert(value.unwrap_or_default());
                }
            }
            10 => {
                for (name, field) in [
                    ("cookie.client", "dns.opt.cookie.client"),
                    ("cookie.server", "dns.opt.cookie.server"),
                ] {
                    let value = parts
                        .get(field)
                        .map(|f| f.value.clone())
                        .unwrap_or_default();
                    if !value.is_empty() {
                        found.entry(name).or_insert(value);
                    }
                }
            }
            3 => {
                found.entry("nsid").or_insert(octets);
            }
            15 => {
                let code = parts
                    .number("dns.opt.ext_error.info_code")
                    .unwrap_or_default();
                let words = parts
                    .show("dns.opt.ext_error.extra_text")
                    .unwrap_or_default();
                append(&mut found, "edns.errors", format!("{code}:{words}"));
            }
            code => append(&mut found, "edns.options", format!("{code}:{octets}")),
        }
    }
    found
}

fn append(found: &mut BTreeMap<&'static str, String>, name: &'static str, text: String) {
    let list = found.entry(name).or_default();
    if !list.is_empty() {
        list.push(' ');
    }
    list.push_str(&text);
}

/// An entry of the reader's lists of errors or options, likewise.
pub(crate) fn option_text(entry: &Value) -> String {
    let text = entry
        .get("text")
        .or_else(|| entry.get("data"))
        .and_then(Value::as_str);
    format!("{}:{}", entry["code"], text.unwrap_or_default())
}
