//! Which packets and messages are recorded: what can be judged of each alone.

use domain::base::Rtype;
use domain::base::iana::OptRcode;
use ipnet::IpNet;

use crate::filter::within;
use crate::message::Decoded;
use crate::name::Suffix;
use crate::record::Packet;

/// Conditions on a message. Empty lists hold always.
///
/// A TCP segment is no message, so the conditions on one do not hold for it where segments are recorded:
/// what belongs to a wanted message is not left out.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// The question's name is one of these or below it.
    pub names: Vec<Suffix>,
    /// The question's type is one of these.
    pub types: Vec<Rtype>,
    /// It is a response with one of these codes.
    pub rcodes: Vec<OptRcode>,
    /// The client is in one of these.
    pub clients: Vec<IpNet>,
    /// The server is in one of these.
    pub servers: Vec<IpNet>,
}

impl MessageFilter {
    /// Whether client and server are wanted.
    pub(super) fn admits_ends(&self, packet: &Packet<'_>, from_server: bool) -> bool {
        let ends = (packet.source, packet.destination);
        let (client, server) = if from_server { (ends.1, ends.0) } else { ends };
        within(&self.clients, client) && within(&self.servers, server)
    }

    /// Whether a message is wanted; `None` is one that cannot be read.
    pub(super) fn admits_message(&self, message: Option<&Decoded<'_>>) -> bool {
        if self.names.is_empty() && self.types.is_empty() && self.rcodes.is_empty() {
            return true;
        }
        let Some(message) = message else {
            return false;
        };
        let code = || message.is_response() && self.rcodes.contains(&message.rcode);
        let kind = || message.has_question() && self.types.contains(&message.qtype);
        (self.names.is_empty() || self.names.iter().any(|name| name.covers(message.name)))
            && (self.types.is_empty() || kind())
            && (self.rcodes.is_empty() || code())
    }
}
