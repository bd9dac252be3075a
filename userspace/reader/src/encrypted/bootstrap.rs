//! Lookups by which a client finds its way to encrypted DNS. What it asks there cannot be seen, but before
//! that it mostly asks in the clear: for the address of a resolver, for the resolvers that a network
//! offers, or whether they are welcome. That is not proof of use, and a client which has the resolver's address built in
//! asks nothing.

use domain::base::Rtype;
use serde::Serialize;

use crate::lookup::Dns;

/// Host names of well-known public resolvers, for HTTPS and for TLS: those of Chromium's list of providers
/// (`net/dns/public/doh_provider_entry.cc` of commit 0297de7cbfef), and a few more.
/// The list is not complete and cannot be.
const RESOLVERS: &[&str] = &[
    "1dot1dot1dot1.cloudflare-dns.com",
    "8888.google",
    "adult-filter-dns.cleanbrowsing.org",
    "chrome.cloudflare-dns.com",
    "chromium.dns.nextdns.io",
    "cloudflare-dns.com",
    "dns.adguard-dns.com",
    "dns.google",
    "dns.google.com",
    "dns.levonet.sk",
    "dns.nextdns.io",
    "dns.quad9.net",
    "dns.sb",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "dns64.dns.google",
    "dns9.quad9.net",
    "doh-01.spectrum.com",
    "doh-02.spectrum.com",
    "doh.cleanbrowsing.org",
    "doh.cox.net",
    "doh.dns.sb",
    "doh.familyshield.opendns.com",
    "doh.opendns.com",
    "doh.quickline.ch",
    "doh.xfinity.com",
    "dot.cox.net",
    "dot.quickline.ch",
    "dot.xfinity.com",
    "family-filter-dns.cleanbrowsing.org",
    "family.cloudflare-dns.com",
    "firefox.dns.nextdns.io",
    "mozilla.cloudflare-dns.com",
    "odvr.nic.cz",
    "one.one.one.one",
    "protective.joindns4.eu",
    "public.dns.iij.jp",
    "security-filter-dns.cleanbrowsing.org",
    "security.cloudflare-dns.com",
];

/// Most octets of a name in [`RESOLVERS`], as text.
const LONGEST: usize = 63;

/// For each length of text, which of [`RESOLVERS`] have it, a bit each. Nearly every lookup is for none of them, and
/// this tells so by one look.
const OF_LENGTH: [u64; LONGEST + 1] = {
    let mut of_length = [0; LONGEST + 1];
    let mut index = 0;
    while index < RESOLVERS.len() {
        of_length[RESOLVERS[index].len()] |= 1 << index;
        index += 1;
    }
    of_length
};

/// Asked by Firefox before it turns to DNS over HTTPS by itself: a network that has no address for it asks
/// to be spared.
const CANARY: &str = "use-application-dns.net";

/// Lookups that lead to encrypted DNS. Each is a lookup like any other, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bootstraps {
    /// For the address of a well-known resolver: type A, AAAA or HTTPS.
    pub resolvers: u64,
    /// For the resolvers that a network or another resolver offers: SVCB of `_dns.resolver.arpa` (RFC
    /// 9462, section 4) or of another name below `_dns` (RFC 9461, section 3).
    pub discoveries: u64,
    /// Of these, those that were answered with one or more.
    pub designated: u64,
    /// For Firefox' canary.
    pub canaries: u64,
}

impl Bootstraps {
    /// Takes in a lookup.
    pub fn lookup(&mut self, dns: &Dns<'_>) {
        let name = dns.question.name;
        match dns.qtype() {
            Some(Rtype::SVCB) if is_discovery(name) => {
                self.discoveries += 1;
                let answers = dns.response.map_or(0, |response| response.answers);
                self.designated += u64::from(answers > 0);
            }
            Some(Rtype::A | Rtype::AAAA | Rtype::HTTPS) => {
                self.resolvers += u64::from(is_resolver(name));
                self.canaries += u64::from(is(name, CANARY));
            }
            _ => {}
        }
    }
}

/// `_dns`, behind a label such as `_8443` where the port is another.
fn is_discovery(name: &[u8]) -> bool {
    const DNS: &[u8] = b"\x04_dns";
    let behind_first = match name {
        [len, b'_', ..] => name.get(1 + usize::from(*len)..),
        _ => None,
    };
    name.starts_with(DNS) || behind_first.is_some_and(|rest| rest.starts_with(DNS))
}

/// Whether a lower-case wire name is one of [`RESOLVERS`].
fn is_resolver(name: &[u8]) -> bool {
    let text_len = name.len().wrapping_sub(2);
    let mut left = OF_LENGTH.get(text_len).copied().unwrap_or(0);
    while left != 0 {
        if is(name, RESOLVERS[left.trailing_zeros() as usize]) {
            return true;
        }
        left &= left - 1;
    }
    false
}

/// Whether a lower-case wire name is the one that is written so.
fn is(name: &[u8], text: &str) -> bool {
    // A length octet stands for each dot; there is one more, and the root's.
    if name.len() != text.len() + 2 || name.get(1) != text.as_bytes().first() {
        return false;
    }
    let mut rest = name;
    for label in text.split('.') {
        match rest.split_first() {
            Some((len, tail)) if usize::from(*len) == label.len() => {
                let Some(tail) = tail.strip_prefix(label.as_bytes()) else {
                    return false;
                };
                rest = tail;
            }
            _ => return false,
        }
    }
    rest == [0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in text.split('.') {
            wire.push(label.len() as u8);
            wire.extend(label.bytes());
        }
        wire.push(0);
        wire
    }

    #[test]
    fn a_name_is_itself_label_by_label() {
        for text in RESOLVERS.iter().chain([&CANARY]) {
            assert!(is(&wire(text), text), "{text}");
            let found = RESOLVERS.iter().filter(|other| is(&wire(text), other));
            assert!(found.count() <= 1, "{text}");
            assert_eq!(is_resolver(&wire(text)), *text != CANARY, "{text}");
        }
        assert!(!is(&wire("dns.googlf"), "dns.google"));
        assert!(!is(&wire("dns.google.x"), "dns.google"));
        assert!(!is(&wire("www.dns.google"), "dns.google"));
        // The same letters in other labels.
        assert!(!is(b"\x0adns-google\0", "dns.google"));
        assert!(!is(b"\x0adns\x06google\0", "dns.google"));
        assert!(!is(b"", "dns.google"));
        for name in [&b""[..], b"\0", b"\x01a\0", &[b'a'; 255]] {
            assert!(!is_resolver(name));
        }
    }

    #[test]
    fn discovery_is_below_dns() {
        for name in [
            "_dns.resolver.arpa",
            "_dns.one.example",
            "_8443._dns.one.example",
        ] {
            assert!(is_discovery(&wire(name)), "{name}");
        }
        for name in [
            "dns.resolver.arpa",
            "_dnsx.example",
            "a._dns.example",
            "_443._https.a",
        ] {
            assert!(!is_discovery(&wire(name)), "{name}");
        }
        assert!(!is_discovery(b""));
        assert!(!is_discovery(b"\x04_"));
    }
}
