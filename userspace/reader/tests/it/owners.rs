//! Whose a query is: never the wrong one's, and nobody's where that cannot be told.

use std::collections::HashMap;

use dns_trace::owners::{Owners, QUIET_NS, SETTLE_NS};
use dns_trace::process::{Comm, Which};
use dns_trace::record::Owner;
use dns_trace_event as event;
use domain::base::Rtype;
use domain::base::iana::Rcode;
use proptest::prelude::*;

use crate::memory::{Memory, Seen, add_up, options, run_bytes};
use crate::records::{Rec, announcement, query, response};

const MS: u64 = 1_000_000;

/// A query through a socket.
fn ask(at: u64, id: u16, cookie: u64) -> Vec<u8> {
    let rec = Rec::query(at, query(id, "a.example", Rtype::A));
    rec.with(|header| header.socket_cookie = cookie).bytes()
}

fn answer(at: u64, id: u16) -> Vec<u8> {
    let reply = response(id, "a.example", Rtype::A, Rcode::NOERROR, &[]);
    Rec::response(at, reply).bytes()
}

fn says(at: u64, cookie: u64, pid: u32, name: &str) -> Vec<u8> {
    announcement(at, cookie, pid, name)
}

fn names(seen: &[Seen]) -> Vec<Option<&str>> {
    seen.iter().map(|seen| seen.process.as_deref()).collect()
}

#[test]
fn a_query_is_its_process_and_the_rest_of_the_lookup_inherits_it() {
    let records = [
        says(1, 5, 100, "dig"),
        ask(2, 1, 5),
        // Sent again, answered; another one times out.
        ask(3, 1, 5),
        answer(4, 1),
        ask(5, 2, 5),
    ];
    let (seen, counts) = run_bytes(options(), &records, 6_000 * MS);
    assert_eq!(names(&seen), [Some("dig/100"), Some("dig/100")]);
    let owners = counts.owners;
    assert_eq!((owners.records, owners.known, owners.unknown), (1, 2, 0));
}

#[test]
fn what_is_not_a_local_query_is_nobodys() {
    let forwarded = |rec: Rec| {
        rec.with(|header| {
            header.socket_cookie = 5;
            header.direction = event::DIRECTION_INGRESS;
        })
    };
    let served = response(3, "b.example", Rtype::A, Rcode::NOERROR, &[]);
    let records = [
        says(1, 5, 100, "named"),
        // What comes in, with whatever socket.
        forwarded(Rec::query(2, query(1, "a.example", Rtype::A))).bytes(),
        // Without a socket.
        ask(3, 2, 0),
        // A local server's response, an orphan here.
        Rec::response(4, served)
            .with(|header| {
                header.socket_cookie = 5;
                header.direction = event::DIRECTION_EGRESS;
            })
            .bytes(),
    ];
    let (seen, counts) = run_bytes(options(), &records, 6_000 * MS);
    assert_eq!(names(&seen), [None; 3]);
    assert_eq!((counts.owners.known, counts.owners.unknown), (0, 0));
}

#[test]
fn a_local_query_without_a_process_is_counted() {
    let (seen, counts) = run_bytes(options(), &[ask(1, 1, 5), answer(2, 1)], 0);
    assert_eq!(names(&seen), [None]);
    assert_eq!((counts.owners.known, counts.owners.unknown), (0, 1));
}

#[test]
fn an_owner_that_comes_late_is_joined_when_the_lookup_ends() {
    // Stamped before the query, read after it: another ring.
    let records = [ask(2, 1, 5), says(1, 5, 100, "dig"), answer(3, 1)];
    let (seen, _) = run_bytes(options(), &records, 0);
    assert_eq!(names(&seen), [Some("dig/100")]);
    // Stamped after the query: nobody knows who it was before.
    let records = [ask(1, 1, 5), says(2, 5, 100, "dig"), answer(3, 1)];
    let (seen, _) = run_bytes(options(), &records, 0);
    assert_eq!(names(&seen), [None]);
}

#[test]
fn two_processes_at_a_time_make_a_socket_nobodys() {
    let records = [
        says(MS, 5, 100, "a"),
        ask(2 * MS, 1, 5),
        says(900 * MS, 5, 200, "b"),
        ask(901 * MS, 2, 5),
        // For good.
        says(9_000 * MS, 5, 200, "b"),
        ask(9_001 * MS, 3, 5),
        // The next socket is another story.
        says(9_002 * MS, 6, 200, "b"),
        ask(9_003 * MS, 4, 6),
    ];
    let (seen, counts) = run_bytes(options(), &records, 99_000 * MS);
    assert_eq!(names(&seen), [Some("a/100"), None, None, Some("b/200")]);
    assert_eq!((counts.owners.contended, counts.owners.unknown), (1, 2));
}

#[test]
fn a_packet_keeps_a_socket_busy() {
    let records = [
        says(0, 5, 100, "a"),
        ask(5_000 * MS, 1, 5),
        says(5_999 * MS, 5, 200, "b"),
        ask(20_000 * MS, 2, 5),
    ];
    let (seen, counts) = run_bytes(options(), &records, 99_000 * MS);
    assert_eq!(names(&seen), [Some("a/100"), None]);
    assert_eq!(counts.owners.contended, 1);
}

#[test]
fn a_socket_is_handed_over_after_a_quiet() {
    let records = [
        says(0, 5, 100, "a"),
        ask(MS, 1, 5),
        says(1_001 * MS, 5, 200, "b"),
        // May still be the first one's.
        ask(1_002 * MS, 2, 5),
        ask(6_000 * MS, 3, 5),
        ask(6_001 * MS, 4, 5),
    ];
    let (seen, counts) = run_bytes(options(), &records, 99_000 * MS);
    assert_eq!(names(&seen), [Some("a/100"), None, None, Some("b/200")]);
    assert_eq!(counts.owners.contended, 0);
}

#[test]
fn a_new_name_of_the_same_process_is_believed_at_once() {
    let records = [
        says(1, 5, 100, "sh"),
        ask(2, 1, 5),
        says(3, 5, 100, "dig"),
        ask(4, 2, 5),
    ];
    let (seen, _) = run_bytes(options(), &records, 99_000 * MS);
    assert_eq!(names(&seen), [Some("sh/100"), Some("dig/100")]);
}

#[test]
fn what_is_from_before_the_start_still_tells_owners() {
    let mut options = options();
    options.start_ns = 10;
    let records = [says(1, 5, 100, "dig"), ask(2, 1, 5), ask(11, 2, 5)];
    let (seen, counts) = run_bytes(options, &records, 99_000 * MS);
    assert_eq!(names(&seen), [Some("dig/100")]);
    assert_eq!((counts.stale, counts.owners.records), (1, 1));
}

#[test]
fn a_filter_knows_names_and_ids() {
    let records = [
        says(1, 5, 100, "dig"),
        says(1, 6, 200, "getent"),
        ask(2, 1, 5),
        ask(3, 2, 6),
        ask(4, 3, 0),
    ];
    for (which, want) in [
        ("dig", vec![Some("dig/100")]),
        ("200", vec![Some("getent/200")]),
        ("di", vec![]),
    ] {
        let mut options = options();
        options.filter.processes = vec![Which::parse(which).unwrap()];
        let (seen, counts) = run_bytes(options, &records, 99_000 * MS);
        assert_eq!(names(&seen), want, "{which}");
        assert_eq!(counts.raw.lookups, 3);
    }
}

#[test]
fn damaged_announcements_are_undecodable() {
    let whole = says(1, 5, 100, "dig");
    for len in 0..whole.len() {
        let (_, counts) = run_bytes(options(), &[whole[..len].to_vec()], 0);
        assert_eq!((counts.undecodable, counts.owners.records), (1, 0), "{len}");
    }
}

fn owner(time_ns: u64, socket_cookie: u64, pid: u32) -> Owner {
    Owner {
        time_ns,
        socket_cookie,
        cgroup_id: 0,
        pid,
        uid: 0,
        name: Comm::cut(b"x"),
    }
}

#[test]
fn after_a_loss_nobody_is_believed_until_announced_anew() {
    let mut owners = Owners::new();
    owners.announce(&owner(1, 5, 100));
    owners.lost();
    assert_eq!(owners.query(5, 2), None);
    owners.announce(&owner(3, 5, 100));
    assert_eq!(owners.query(5, 4).map(|process| process.pid), Some(100));
    // That a socket is shared stays known.
    owners.announce(&owner(5, 5, 200));
    owners.lost();
    owners.announce(&owner(9 * SETTLE_NS, 5, 200));
    assert_eq!(owners.query(5, 99 * SETTLE_NS), None);
}

#[test]
fn with_several_rings_a_packet_newer_than_what_was_read_is_nobodys() {
    let mut owners = Owners::new();
    owners.announce(&owner(1, 5, 100));
    owners.read_until(10);
    assert_eq!(owners.query(5, 11), None);
    assert_eq!(owners.query(5, 10).map(|process| process.pid), Some(100));
    assert_eq!(owners.of_query(5, 11), None);
    owners.read_until(11);
    assert!(owners.of_query(5, 11).is_some());
}

#[test]
fn the_table_is_bounded_and_the_one_used_longest_ago_makes_room() {
    let most = 2 * u64::from(event::OWNERS_MAX);
    let mut owners = Owners::new();
    for cookie in 1..=most {
        owners.announce(&owner(cookie, cookie, 100));
    }
    assert_eq!(owners.counts().evicted, 0);
    assert!(owners.query(1, most).is_some());
    owners.announce(&owner(most + 1, most + 1, 100));
    assert_eq!(owners.counts().evicted, 1);
    assert!(owners.query(1, most + 2).is_some());
    assert!(owners.query(2, most + 2).is_none());
    assert!(owners.query(3, most + 2).is_some());
}

/// What a few processes do with a few sockets. `Send` is the entry of a send function, where a process
/// is announced unless the programs think that it is known; its packet passes the hook `delay` later.
#[derive(Clone, Debug)]
struct Send {
    after: u64,
    pid: u32,
    cookie: u64,
    delay: u64,
    /// The ring has no room for an announcement.
    full: bool,
}

/// Times around the bounds of the rule, and short ones.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..1_000_000_u64,
        QUIET_NS - 2..QUIET_NS + 3,
        SETTLE_NS - 2..SETTLE_NS + 3,
        0..2 * SETTLE_NS,
    ]
}

fn sends(losses: f64) -> impl Strategy<Value = Vec<Send>> {
    let send = (
        time(),
        1..4_u32,
        1..3_u64,
        time(),
        prop::bool::weighted(losses),
    );
    let send = send.prop_map(|(after, pid, cookie, delay, full)| Send {
        after,
        pid,
        cookie,
        // As long as the rule allows for.
        delay: delay % SETTLE_NS,
        full,
    });
    prop::collection::vec(send, 1..40)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Announced { pid: u32, lost: bool },
    Packet { pid: u32 },
}

/// What the kernel part makes of it: announcements and packets in the order of their times.
fn kernel(sends: &[Send]) -> Vec<(u64, u64, Event)> {
    let mut known: HashMap<u64, (u32, u32)> = HashMap::new();
    let (mut now, mut epoch) = (1, 0);
    let mut events = Vec::new();
    for send in sends {
        now += send.after;
        if known.get(&send.cookie) != Some(&(send.pid, epoch)) {
            if send.full {
                epoch += 1;
            } else {
                known.insert(send.cookie, (send.pid, epoch));
            }
            let lost = send.full;
            events.push((
                now,
                send.cookie,
                Event::Announced {
                    pid: send.pid,
                    lost,
                },
            ));
        }
        events.push((
            now + send.delay,
            send.cookie,
            Event::Packet { pid: send.pid },
        ));
    }
    // By time, and announcements before packets.
    events.sort_by_key(|(time, _, event)| (*time, matches!(event, Event::Packet { .. })));
    events
}

/// The model: everything announced of a socket so far, and the rule in its own words.
#[derive(Default)]
struct Model {
    /// Announcements and packets of each socket, `Some(pid)` for the former.
    history: HashMap<u64, Vec<(u64, Option<u32>)>>,
}

impl Model {
    fn owner(&self, cookie: u64, now: u64) -> Option<u32> {
        let history = self.history.get(&cookie)?;
        let mut owner: Option<(u32, u64)> = None;
        for (at, (time, announced)) in history.iter().enumerate() {
            let Some(pid) = announced else { continue };
            match owner {
                None => owner = Some((*pid, *time)),
                Some((before, _)) if before == *pid => {}
                Some(_) => {
                    let last = history[..at].iter().map(|(time, _)| *time).max()?;
                    if *time < last + QUIET_NS {
                        return None;
                    }
                    owner = Some((*pid, *time + SETTLE_NS));
                }
            }
        }
        owner.filter(|(_, since)| now >= *since).map(|(pid, _)| pid)
    }
}

proptest! {
    /// The table does what the model does, and the model's owner is the one who sent.
    #[test]
    fn never_the_wrong_one(sends in sends(0.0)) {
        let mut owners = Owners::new();
        let mut model = Model::default();
        for (time, cookie, event) in kernel(&sends) {
            let history = model.history.entry(cookie).or_default();
            match event {
                Event::Announced { pid, .. } => {
                    history.push((time, Some(pid)));
                    owners.announce(&owner(time, cookie, pid));
                }
                Event::Packet { pid } => {
                    let got = owners.query(cookie, time).map(|process| process.pid);
                    prop_assert_eq!(got, model.owner(cookie, time));
                    prop_assert!(got.is_none_or(|got| got == pid), "{:?} for {}", got, pid);
                    model.history.entry(cookie).or_default().push((time, None));
                }
            }
        }
    }

    /// A single process is always known, however often it sends.
    #[test]
    fn one_process_is_always_known(sends in sends(0.0)) {
        let mut owners = Owners::new();
        let alone: Vec<Send> = sends.into_iter().map(|send| Send { pid: 7, ..send }).collect();
        for (time, cookie, event) in kernel(&alone) {
            match event {
                Event::Announced { pid, .. } => owners.announce(&owner(time, cookie, pid)),
                Event::Packet { .. } => {
                    let got = owners.query(cookie, time).map(|process| process.pid);
                    prop_assert_eq!(got, Some(7));
                }
            }
        }
    }

    /// Nor where announcements are lost, if a packet passes the hook as soon as it is sent.
    #[test]
    fn never_the_wrong_one_after_a_loss(sends in sends(0.3)) {
        let mut owners = Owners::new();
        let prompt: Vec<Send> = sends.into_iter().map(|send| Send { delay: 0, ..send }).collect();
        for (time, cookie, event) in kernel(&prompt) {
            match event {
                Event::Announced { lost: true, .. } => owners.lost(),
                Event::Announced { pid, .. } => owners.announce(&owner(time, cookie, pid)),
                Event::Packet { pid } => {
                    let got = owners.query(cookie, time).map(|process| process.pid);
                    prop_assert!(got.is_none_or(|got| got == pid), "{:?} for {}", got, pid);
                }
            }
        }
    }
}

#[test]
fn any_bytes_are_no_panic() {
    let mut record = announcement(1, 5, 100, "dig");
    for at in 0..record.len() {
        for value in [0, 1, 2, 3, 0x7f, 0xff] {
            let before = std::mem::replace(&mut record[at], value);
            let mut memory = Memory::default();
            let mut pipeline = dns_trace::pipeline::Pipeline::new(options(), &mut memory);
            pipeline.record(&record).unwrap();
            add_up(&pipeline.counts());
            record[at] = before;
        }
    }
}
