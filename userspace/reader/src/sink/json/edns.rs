//! EDNS of query and response: the object `dns_trace.edns`.

use std::fmt::Write as _;

use domain::base::iana::{ExtendedErrorCode, OptionCode};

use super::out::Out;
use crate::message::edns::{Edns, EdnsOption, Rest};

/// Writes what there is.
pub(super) fn write(out: &mut Out, query: Option<&Edns<'_>>, response: Option<&Edns<'_>>) {
    if query.is_none() && response.is_none() {
        return;
    }
    out.raw(r#","edns":{"#);
    if let Some(query) = query {
        out.raw(r#""query":"#);
        side(out, query);
    }
    if let Some(response) = response {
        out.raw(if query.is_some() {
            r#","response":"#
        } else {
            r#""response":"#
        });
        side(out, response);
    }
    out.raw("}");
}

fn side(out: &mut Out, edns: &Edns<'_>) {
    out.raw(r#"{"version":"#);
    out.number(edns.version);
    out.raw(r#","udp_size":"#);
    out.number(edns.udp_size);
    out.raw(if edns.dnssec_ok {
        r#","dnssec_ok":true"#
    } else {
        r#","dnssec_ok":false"#
    });
    if edns.left_out > 0 {
        out.raw(r#","options_left_out":"#);
        out.number(edns.left_out);
    }
    if !edns.options.is_empty() {
        options(out, edns);
    }
    out.raw("}");
}

/// The first of each kind has a field of its own; errors and all that has no field are lists.
fn options(out: &mut Out, edns: &Edns<'_>) {
    let mut written = [false; 3];
    for option in edns.iter().flatten() {
        let kind = match option {
            EdnsOption::ClientSubnet { .. } => 0,
            EdnsOption::Cookie { .. } => 1,
            EdnsOption::Nsid(_) => 2,
            EdnsOption::Error { .. } | EdnsOption::Other { .. } => continue,
        };
        if !std::mem::replace(&mut written[kind], true) {
            single(out, option);
        }
    }
    errors(out, edns);
    others(out, edns);
    if let Some(Err(Rest(octets))) = edns.iter().find(Result::is_err) {
        out.raw(r#","options_broken":"#);
        out.number(octets as u64);
    }
}

fn single(out: &mut Out, option: EdnsOption<'_>) {
    match option {
        EdnsOption::ClientSubnet {
            address,
            source,
            scope,
        } => {
            out.raw(r#","client_subnet":{"address":""#);
            out.address(address);
            out.raw(r#"","source_prefix":"#);
            out.number(source);
            out.raw(r#","scope_prefix":"#);
            out.number(scope);
            out.raw("}");
        }
        EdnsOption::Cookie { client, server } => {
            out.raw(r#","cookie":{"client":""#);
            out.hex(client);
            if !server.is_empty() {
                out.raw(r#"","server":""#);
                out.hex(server);
            }
            out.raw("\"}");
        }
        EdnsOption::Nsid(octets) => {
            out.raw(r#","nsid":{"hex":""#);
            out.hex(octets);
            out.raw(r#"","text":""#);
            out.text(|text| write!(text, "{}", octets.escape_ascii()));
            out.raw("\"}");
        }
        EdnsOption::Error { .. } | EdnsOption::Other { .. } => {}
    }
}

fn errors(out: &mut Out, edns: &Edns<'_>) {
    let mut first = true;
    for (code, words) in edns.errors() {
        out.raw(if first {
            r#","errors":[{"code":"#
        } else {
            r#",{"code":"#
        });
        first = false;
        out.number(code.to_int());
        if let Some(name) = error_name(code) {
            out.raw(r#","name":""#);
            out.raw(name);
            out.raw("\"");
        }
        if !words.is_empty() {
            out.raw(r#","text":""#);
            out.text(|text| write!(text, "{}", String::from_utf8_lossy(words)));
            out.raw("\"");
        }
        out.raw("}");
    }
    if !first {
        out.raw("]");
    }
}

/// Name in the registry of RFC 8914, section 5.2.
fn error_name(code: ExtendedErrorCode) -> Option<&'static str> {
    code.to_mnemonic_str()
}

fn others(out: &mut Out, edns: &Edns<'_>) {
    let mut first = true;
    for option in edns.iter().flatten() {
        let EdnsOption::Other {
            code,
            data,
            malformed,
        } = option
        else {
            continue;
        };
        out.raw(if first {
            r#","options":[{"code":"#
        } else {
            r#",{"code":"#
        });
        first = false;
        out.number(code.to_int());
        if let Some(name) = option_name(code) {
            out.raw(r#","name":""#);
            out.raw(name);
            out.raw("\"");
        }
        out.raw(r#","data":""#);
        out.hex(data);
        out.raw(if malformed {
            r#"","malformed":true}"#
        } else {
            "\"}"
        });
    }
    if !first {
        out.raw("]");
    }
}

fn option_name(code: OptionCode) -> Option<&'static str> {
    code.to_mnemonic_str()
}
