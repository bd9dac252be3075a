use proptest::prelude::*;

use super::*;
use crate::record::{Direction, Hook, Select, Transport};

const MS: u64 = 1_000_000;
const OLD: u32 = 1;
const NEW: u32 = 2;

fn packet(time_ns: u64, payload: &[u8]) -> Packet<'_> {
    Packet {
        time_ns,
        hook: Hook::Tc,
        direction: Direction::Egress,
        transport: Transport::Udp,
        netns_cookie: 1,
        socket_cookie: 0,
        cgroup_id: 0,
        ifindex: 2,
        source: [1; 16],
        destination: [2; 16],
        source_port: 40000,
        destination_port: 53,
        tcp_seq: 0,
        tcp_flags: 0,
        wire_len: payload.len() as u32,
        sample: 1,
        select: Select::All,
        cut: false,
        payload,
    }
}

fn tells(twins: &mut Twins, ring: u32, packet: &Packet<'_>) -> bool {
    twins.reading(ring);
    !twins.is_twin(packet)
}

#[test]
fn one_ring_needs_no_table() {
    let mut twins = Twins::new(false);
    assert!(tells(&mut twins, OLD, &packet(5, b"a")));
    assert!(tells(&mut twins, NEW, &packet(5, b"a")));
    assert!(twins.table.is_none());
    twins.rings(true);
    assert!(tells(&mut twins, OLD, &packet(6, b"a")));
    // What is left of the other ring's twins is still to be read when it has gone.
    twins.rings(false);
    assert!(!tells(&mut twins, NEW, &packet(7, b"a")));
    twins.pass(8);
    assert!(twins.table.is_none());
}

#[test]
fn whatever_differs_is_no_twin() {
    let first = packet(MS, b"a");
    let others: [Packet<'_>; 10] = [
        Packet {
            ifindex: 3,
            ..first
        },
        Packet {
            netns_cookie: 2,
            ..first
        },
        Packet {
            hook: Hook::Tcx,
            ..first
        },
        Packet {
            direction: Direction::Ingress,
            ..first
        },
        Packet {
            transport: Transport::Tcp,
            ..first
        },
        Packet {
            source_port: 1,
            ..first
        },
        Packet {
            destination: [3; 16],
            ..first
        },
        Packet {
            tcp_seq: 1,
            ..first
        },
        Packet {
            wire_len: 2,
            ..first
        },
        Packet {
            payload: b"b",
            ..first
        },
    ];
    let mut twins = Twins::new(true);
    assert!(tells(&mut twins, OLD, &first));
    for other in others {
        assert!(tells(&mut twins, NEW, &other), "{other:?}");
    }
    assert!(!tells(&mut twins, NEW, &first));
    assert!(tells(&mut twins, NEW, &first), "it had one already");
}

#[test]
fn twins_are_near_in_time_and_in_two_rings() {
    let mut twins = Twins::new(true);
    assert!(tells(&mut twins, OLD, &packet(0, b"a")));
    assert!(tells(&mut twins, OLD, &packet(1, b"a")), "sent again");
    assert!(tells(&mut twins, NEW, &packet(2 + WINDOW_NS, b"a")));
    assert!(!tells(&mut twins, OLD, &packet(3 + WINDOW_NS, b"a")));
}

#[test]
fn what_is_forgotten_too_early_is_counted() {
    let mut twins = Twins::new(true);
    let payload = |n: usize| n.to_ne_bytes();
    for n in 0..MAX {
        assert!(tells(&mut twins, OLD, &packet(MS, &payload(n))));
    }
    assert_eq!(twins.evicted(), 0);
    assert!(tells(&mut twins, OLD, &packet(MS, &payload(MAX))));
    assert_eq!(twins.evicted(), 1);
    assert!(
        tells(&mut twins, NEW, &packet(MS, &payload(0))),
        "forgotten"
    );
    assert_eq!(twins.evicted(), 2);
    for n in 2..=MAX {
        assert!(!tells(&mut twins, NEW, &packet(MS, &payload(n))));
    }
    // Long past, nothing is lost by forgetting.
    twins.pass(10 * WINDOW_NS);
    for n in 0..=MAX {
        tells(&mut twins, OLD, &packet(9 * WINDOW_NS, &payload(n)));
    }
    assert_eq!(twins.evicted(), 2 + 1, "the last one of the new ones only");
}

/// What the table does, by a list: places are used in turn, and stay taken when an entry goes.
struct Model {
    places: Vec<Option<Entry>>,
    size: usize,
}

impl Model {
    fn is_twin(&mut self, new: Entry) -> bool {
        let other = |e: &Entry| e.hash == new.hash && e.ring != new.ring;
        let stale = |e: Entry| other(&e) && e.time_ns + WINDOW_NS < new.time_ns;
        let apart = |e: Entry| e.time_ns.abs_diff(new.time_ns);
        for place in &mut self.places {
            place.take_if(|e| stale(*e));
        }
        let twins = self
            .places
            .iter_mut()
            .filter(|place| place.is_some_and(|e| other(&e) && apart(e) <= WINDOW_NS));
        if let Some(twin) = twins.min_by_key(|place| place.map(apart)) {
            *twin = None;
            return true;
        }
        self.places.push(Some(new));
        if self.places.len() > self.size {
            self.places.remove(0);
        }
        false
    }
}

proptest! {
    /// A small table, whose entries make room and share lists, does what the list does.
    #[test]
    fn the_table_does_what_a_list_does(
        size in 1..12_usize,
        steps in prop::collection::vec((0..6_u64, 0..3_u32, 0..4 * WINDOW_NS), 1..200),
    ) {
        let mut table = Table::new(size);
        let mut model = Model { places: Vec::new(), size };
        for (hash, ring, time_ns) in steps {
            let new = Entry { hash, time_ns, ring, next: NONE, live: true };
            let found = table.take(&new);
            prop_assert_eq!(found, model.is_twin(new));
            if !found {
                table.put(new);
            }
        }
    }

    /// An upgrade: the old program sees packets until it is detached, the new one from its attachment on.
    /// However the two rings are read by turns, each packet is told once. What is sent again is so after
    /// more than the window.
    #[test]
    fn each_packet_is_told_once(
        packets in prop::collection::vec((10 * MS..40 * MS, 1..MS), 1..200),
        attached in 0..2_000 * MS,
        overlap in WINDOW_NS + MS..1_000 * MS,
        turns in prop::collection::vec(1..40_usize, 1..50),
    ) {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let mut time = 0;
        for (n, (wait, apart)) in packets.iter().enumerate() {
            let payload = (n % 4) as u8;
            time += wait;
            if time < attached + overlap {
                old.push((time, [payload]));
            }
            if time >= attached {
                new.push((time + apart, [payload]));
            }
        }
        let mut twins = Twins::new(true);
        let mut told = 0;
        let (mut old, mut new) = (old.into_iter(), new.into_iter());
        for (n, turn) in turns.into_iter().chain([usize::MAX; 2]).enumerate() {
            let (ring, records) = if n % 2 == 0 { (OLD, &mut old) } else { (NEW, &mut new) };
            for (time, payload) in records.take(turn) {
                told += usize::from(tells(&mut twins, ring, &packet(time, &payload)));
            }
        }
        prop_assert_eq!(told, packets.len());
    }
}
