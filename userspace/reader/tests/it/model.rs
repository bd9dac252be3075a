//! The matcher against a model that is plain enough to be right: a list.

use dns_trace::matcher::{Facts, Matcher, Queried, Question, Tuple};
use dns_trace::message::Flags;
use dns_trace::record::{Direction, Hook, Transport};
use proptest::prelude::*;

const TIMEOUT: u64 = 50;
const CAPACITY: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Query {
        client: u8,
        id: u16,
        name: u8,
    },
    Response {
        client: u8,
        id: u16,
        name: Option<u8>,
    },
    Pass(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Retransmission,
    Answered(u64, u32),
    Orphan,
    Timeout(u64, u32),
    Evicted(u64),
}

#[derive(Clone, Debug)]
struct Entry {
    client: u8,
    id: u16,
    name: u8,
    time: u64,
    again: u32,
}

/// The model: oldest first.
#[derive(Default)]
struct Model(Vec<Entry>);

impl Model {
    fn step(&mut self, now: u64, step: &Step, events: &mut Vec<Event>) {
        while self
            .0
            .first()
            .is_some_and(|entry| entry.time + TIMEOUT <= now)
        {
            let entry = self.0.remove(0);
            events.push(Event::Timeout(entry.time, entry.again));
        }
        match *step {
            Step::Query { client, id, name } => {
                let same = |e: &&mut Entry| (e.client, e.id, e.name) == (client, id, name);
                if let Some(entry) = self.0.iter_mut().find(same) {
                    entry.again += 1;
                    events.push(Event::Retransmission);
                    return;
                }
                if self.0.len() == CAPACITY {
                    events.push(Event::Evicted(self.0.remove(0).time));
                }
                self.0.push(Entry {
                    client,
                    id,
                    name,
                    time: now,
                    again: 0,
                });
            }
            Step::Response { client, id, name } => {
                let fits = |e: &Entry| {
                    (e.client, e.id) == (client, id) && name.is_none_or(|name| name == e.name)
                };
                let found: Vec<usize> = (0..self.0.len()).filter(|i| fits(&self.0[*i])).collect();
                match found[..] {
                    [only] => {
                        let entry = self.0.remove(only);
                        events.push(Event::Answered(entry.time, entry.again));
                    }
                    _ => events.push(Event::Orphan),
                }
            }
            Step::Pass(_) => {}
        }
    }
}

fn tuple(client: u8, id: u16) -> Tuple {
    Tuple {
        netns_cookie: 0,
        ifindex: 2,
        host_wide: false,
        transport: Transport::Udp,
        client: [client; 16],
        client_port: 4000,
        server: [9; 16],
        server_port: 53,
        id,
    }
}

/// Names short and long, so that both kinds of storage are met.
fn wire(name: u8) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..=(name % 2) * 2 {
        wire.push(60);
        wire.extend([b'a' + name; 60]);
    }
    wire.push(0);
    wire
}

fn facts(now: u64) -> Facts {
    Facts {
        time_ns: now,
        destination: [9; 16],
        hook: Hook::Tcx,
        direction: Direction::Egress,
        flags: Flags::default(),
        edns_version: 0,
        udp_size: 0,
        options_len: 0,
        opcode: 0,
        cut: false,
        retry: false,
        sample: 1,
        socket_cookie: 0,
        process: None,
        place: None,
    }
}

fn real(matcher: &mut Matcher, now: u64, step: &Step, events: &mut Vec<Event>) {
    while let Some(pending) = matcher.expire(now) {
        events.push(Event::Timeout(
            pending.facts.time_ns,
            pending.retransmissions,
        ));
    }
    match *step {
        Step::Query { client, id, name } => {
            let facts = facts(now);
            let name = wire(name);
            let question = Question {
                name: &name,
                qtype: 1,
                qclass: 1,
            };
            let key = matcher.key(tuple(client, id));
            match matcher.query(&key, &question, facts, &[]) {
                Queried::Pending => {}
                Queried::Retransmission => events.push(Event::Retransmission),
                Queried::Evicted(pending) => events.push(Event::Evicted(pending.facts.time_ns)),
            }
        }
        Step::Response { client, id, name } => {
            let name = name.map(wire);
            let question = name.as_deref().map(|name| Question {
                name,
                qtype: 1,
                qclass: 1,
            });
            let key = matcher.key(tuple(client, id));
            let slot = matcher.find(&key, question.as_ref());
            match slot.and_then(|slot| matcher.take(&key, slot)) {
                Some(pending) => {
                    events.push(Event::Answered(
                        pending.facts.time_ns,
                        pending.retransmissions,
                    ));
                }
                None => events.push(Event::Orphan),
            }
        }
        Step::Pass(_) => {}
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_u8, 0..2_u16, 0..3_u8).prop_map(|(client, id, name)| Step::Query { client, id, name }),
        3 => (0..2_u8, 0..2_u16, prop::option::weighted(0.8, 0..3_u8))
            .prop_map(|(client, id, name)| Step::Response { client, id, name }),
        2 => (1..40_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn the_matcher_does_what_the_model_does(steps in prop::collection::vec(step(), 1..120)) {
        let mut matcher = Matcher::new(CAPACITY, TIMEOUT);
        let mut model = Model::default();
        let (mut got, mut wanted) = (Vec::new(), Vec::new());
        let mut now = 0;
        for step in &steps {
            if let Step::Pass(time) = step {
                now += time;
            }
            real(&mut matcher, now, step, &mut got);
            model.step(now, step, &mut wanted);
            prop_assert_eq!(&got, &wanted);
            prop_assert_eq!(matcher.len(), model.0.len());
        }
    }
}

/// One client can make no list of any length: of its questions under one id the oldest makes room.
#[test]
fn of_too_many_questions_of_a_tuple_the_oldest_goes() {
    let mut matcher = Matcher::new(100, u64::MAX);
    let key = matcher.key(tuple(1, 1));
    let mut evicted = Vec::new();
    for now in 0..18_u8 {
        let question = Question {
            name: &[1, b'a' + now, 0],
            qtype: 1,
            qclass: 1,
        };
        if let Queried::Evicted(old) = matcher.query(&key, &question, facts(now.into()), &[]) {
            evicted.push(old.facts.time_ns);
        }
    }
    assert_eq!((evicted, matcher.len()), (vec![0, 1], 16));
}
