//! Messages to lookups, by what tshark says of their relations: a response belongs to the query in the
//! packet that it names and that has its id; a repeated query to the one that it repeats.

use crate::corpus::Packet;
use crate::tshark::Message;

/// What tshark would call a lookup.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) query: Option<Message>,
    pub(crate) response: Option<Message>,
    /// Repetitions of the query before its response.
    pub(crate) retransmissions: u64,
}

impl Lookup {
    /// The message whose packet comes first.
    pub(crate) fn first(&self) -> Option<&Message> {
        self.query.as_ref().or(self.response.as_ref())
    }

    /// The message that tells most.
    pub(crate) fn last(&self) -> Option<&Message> {
        self.response.as_ref().or(self.query.as_ref())
    }

    fn is_malformed(&self) -> bool {
        self.query.as_ref().is_some_and(|query| query.malformed)
    }

    fn is(&self, frame: usize, id: u16) -> bool {
        let query = self.query.as_ref();
        query.is_some_and(|query| query.frame == frame && query.id == id)
    }
}

/// The lookups of messages that are in order.
///
/// tshark relates no message that it calls malformed, nor a response to one. Their other fields are to be
/// compared all the same, so that such a response goes to the query of the same client and id here; and so
/// does the response of a member to a query that was sent to its group.
pub(crate) fn of(packets: &[Packet], messages: Vec<Message>) -> Vec<Lookup> {
    let client = |message: &Message| packets[message.frame - 1].client();
    let mut lookups: Vec<Lookup> = Vec::new();
    for message in messages {
        let same = |lookup: &Lookup| {
            let query = lookup.query.as_ref();
            query.is_some_and(|q| q.id == message.id && client(q) == client(&message))
        };
        let original = |lookup: &&mut Lookup| {
            message
                .repeats
                .is_some_and(|frame| lookup.is(frame, message.id))
        };
        let waits = |lookup: &&mut Lookup| {
            let related = match message.response_to {
                Some(frame) => lookup.is(frame, message.id),
                None => {
                    let group = message.protocol != "dns";
                    same(lookup) && (message.malformed || lookup.is_malformed() || group)
                }
            };
            related && lookup.response.is_none() && message.repeats.is_none()
        };
        if message.is_response() {
            match lookups.iter_mut().find(waits) {
                Some(lookup) => lookup.response = Some(message),
                None => lookups.push(Lookup {
                    query: None,
                    response: Some(message),
                    retransmissions: 0,
                }),
            }
            continue;
        }
        match lookups.iter_mut().find(original) {
            Some(lookup) => lookup.retransmissions += 1,
            None => lookups.push(Lookup {
                query: Some(message),
                response: None,
                retransmissions: 0,
            }),
        }
    }
    lookups
}
