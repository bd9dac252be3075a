//! EDNS (RFC 6891): what an OPT record says beside its bits. Options are parsed when a sink shows
//! them, never before.

use std::net::IpAddr;

use domain::base::iana::{ExtendedErrorCode, OptionCode};
use domain::base::opt::ClientSubnet;
use domain::dep::octseq::Parser;

/// An OPT record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edns<'a> {
    /// Version; 0 is the only one that exists.
    pub version: u8,
    /// Octets of a datagram that the sender can take (RFC 6891, section 6.2.3).
    pub udp_size: u16,
    /// The DO bit (RFC 3225).
    pub dnssec_ok: bool,
    /// The options as they came.
    pub options: &'a [u8],
    /// Octets of options that were not kept until the lookup ended.
    pub left_out: u16,
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdnsOption<'a> {
    /// Whom the answer is for (RFC 7871).
    ClientSubnet {
        /// The network's address.
        address: IpAddr,
        /// Bits of it that the client gave.
        source: u8,
        /// Bits of it that the answer depends on; 0 in a query.
        scope: u8,
    },
    /// Cookies (RFC 7873).
    Cookie {
        /// The client's.
        client: &'a [u8],
        /// The server's; empty as long as the client has none.
        server: &'a [u8],
    },
    /// Why the answer is what it is (RFC 8914).
    Error {
        /// What went wrong.
        code: ExtendedErrorCode,
        /// In words, should be UTF-8.
        text: &'a [u8],
    },
    /// Which server answers, any octets (RFC 5001).
    Nsid(&'a [u8]),
    /// An option that is not taken apart, or one whose data contradicts its code.
    Other {
        /// Its code.
        code: OptionCode,
        /// Its data.
        data: &'a [u8],
        /// The data contradicts the code.
        malformed: bool,
    },
}

impl<'a> Edns<'a> {
    /// The options in order; the last is an error if the rest cannot be taken apart.
    #[must_use]
    pub const fn iter(&self) -> Options<'a> {
        Options { rest: self.options }
    }

    /// The extended errors, code and text.
    pub fn errors(&self) -> impl Iterator<Item = (ExtendedErrorCode, &'a [u8])> + use<'a> {
        self.iter().filter_map(|option| match option {
            Ok(EdnsOption::Error { code, text }) => Some((code, text)),
            _ => None,
        })
    }
}

/// Octets after the last option that can be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest(pub usize);

/// See [`Edns::iter`].
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<EdnsOption<'a>, Rest>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((code, data, rest)) = split(self.rest) else {
            let rest = Rest(self.rest.len());
            self.rest = &[];
            return Some(Err(rest));
        };
        self.rest = rest;
        Some(Ok(option(OptionCode::from_int(code), data)))
    }
}

/// Code, data, and what follows (RFC 6891, section 6.1.2).
fn split(options: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (head, rest) = options.split_first_chunk::<4>()?;
    let [c0, c1, l0, l1] = *head;
    let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
    Some((u16::from_be_bytes([c0, c1]), data, rest))
}

fn option(code: OptionCode, data: &[u8]) -> EdnsOption<'_> {
    let known = match code {
        OptionCode::CLIENT_SUBNET => client_subnet(data),
        OptionCode::COOKIE => cookie(data),
        OptionCode::EXTENDED_ERROR => data.split_first_chunk().map(|(code, text)| {
            let code = ExtendedErrorCode::from_int(u16::from_be_bytes(*code));
            EdnsOption::Error { code, text }
        }),
        OptionCode::NSID => Some(EdnsOption::Nsid(data)),
        _ => {
            let malformed = false;
            return EdnsOption::Other {
                code,
                data,
                malformed,
            };
        }
    };
    known.unwrap_or(EdnsOption::Other {
        code,
        data,
        malformed: true,
    })
}

fn client_subnet(data: &[u8]) -> Option<EdnsOption<'_>> {
    let mut parser = Parser::from_ref(&data);
    let subnet = ClientSubnet::parse(&mut parser).ok()?;
    (parser.remaining() == 0).then(|| EdnsOption::ClientSubnet {
        address: subnet.addr(),
        source: subnet.source_prefix_len(),
        scope: subnet.scope_prefix_len(),
    })
}

fn cookie(data: &[u8]) -> Option<EdnsOption<'_>> {
    // Eight octets, and none or eight to 32 more (RFC 7873, section 4).
    let (client, server) = data.split_at_checked(8)?;
    matches!(server.len(), 0 | 8..=32).then_some(EdnsOption::Cookie { client, server })
}
