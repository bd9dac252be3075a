//! The picture of `top` on fixed lookups, and its keys.

use dns_trace::clock::WallClock;
use dns_trace::counts::{KernelCounts, Summary};
use dns_trace::pipeline::Pipeline;
use dns_trace::top::app::{App, Next};
use dns_trace::top::draw::{Look, draw};
use dns_trace::top::keys::Key;
use dns_trace::top::rates::Rates;
use dns_trace::top::rows::{Sort, Tab};
use dns_trace::top::snapshot::Snapshot;
use dns_trace::top::tally::{SLOTS, TallySink};
use dns_trace_event::Stats;
use domain::base::Rtype;
use domain::base::iana::Rcode;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use crate::memory::options;
use crate::records::{CLIENT, Rec, SERVER, announcement, query, response};

const START: u64 = 1_000_000_000;

/// One lookup: its name and type, how it ends and after how many microseconds.
type Asked<'a> = (&'a str, Rtype, Option<Rcode>, u64);

/// A client that asks, each lookup by a process of its own cookie.
fn ask(records: &mut Vec<Vec<u8>>, client: &str, pid: u32, asked: &[Asked<'_>]) {
    for (name, qtype, rcode, us) in asked {
        let id = records.len() as u16;
        let at = START + 10_000_000 * u64::from(id);
        let cookie = 1 + u64::from(id);
        records.push(announcement(at, cookie, pid, "resolver"));
        let rec = Rec::query(at, query(id, name, *qtype))
            .from(client, 40000)
            .with(|header| header.socket_cookie = cookie);
        records.push(rec.bytes());
        if let Some(rcode) = rcode {
            let answers: &[_] = if *rcode == Rcode::NOERROR && *qtype == Rtype::A {
                &[[192, 0, 2, 80]]
            } else {
                &[]
            };
            let reply = response(id, name, *qtype, *rcode, answers);
            let rec = Rec::response(at + us * 1000, reply).to(client, 40000);
            records.push(rec.bytes());
        }
    }
}

fn records() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let www: Asked<'_> = ("www.example.com", Rtype::A, Some(Rcode::NOERROR), 350);
    ask(&mut records, CLIENT, 7, &[www; 20]);
    let rest: [Asked<'_>; 6] = [
        ("www.example.com", Rtype::AAAA, Some(Rcode::NOERROR), 21_000),
        ("mail.example.com", Rtype::MX, Some(Rcode::NOERROR), 1_400),
        ("mail.example.com", Rtype::MX, Some(Rcode::NOERROR), 900),
        ("broken.example.org", Rtype::A, Some(Rcode::SERVFAIL), 2_000),
        (
            "nowhere.example.net",
            Rtype::A,
            Some(Rcode::NXDOMAIN),
            80_000,
        ),
        ("never.example.net", Rtype::TXT, None, 0),
    ];
    ask(&mut records, "2001:db8::17", 8, &rest);
    records
}

/// What there is after these records.
fn snapshot(records: &[Vec<u8>]) -> Snapshot {
    let mut sink = TallySink::default();
    let tally = std::rc::Rc::clone(&sink.0);
    let mut pipeline = Pipeline::new(options(), &mut sink);
    pipeline.set_clock(WallClock::with_offset(1_767_323_045_000_000_000));
    for record in records {
        pipeline.record(record).unwrap();
    }
    pipeline.advance(u64::MAX / 2).unwrap();
    let mut rates = Rates::default();
    for second in 0..30 {
        rates.add(second, (second * 7) % 11);
    }
    let summary = Summary {
        reader: pipeline.counts(),
        kernel: KernelCounts(Stats {
            packets: 12_345,
            ring_full: 3,
            ..Stats::default()
        }),
        seconds: 30.0,
        ..Summary::default()
    };
    let mut snapshot = Snapshot::default();
    snapshot.fill(&tally.borrow(), &rates, &summary, false);
    snapshot
}

fn look(colour: bool) -> Look {
    Look {
        instance: "default".to_owned(),
        colour,
        zone: TimeZone::UTC,
    }
}

fn screen(app: &App, snapshot: &Snapshot, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(frame.buffer_mut(), app, snapshot, &look(false)))
        .unwrap();
    terminal.backend().to_string()
}

/// Presses keys one after the other.
fn press(app: &mut App, snapshot: &Snapshot, keys: &[Key]) -> Next {
    let nexts: Vec<Next> = keys.iter().map(|key| app.key(*key, snapshot, 10)).collect();
    let (last, before) = nexts.split_last().unwrap();
    assert!(before.iter().all(|next| *next == Next::Go));
    *last
}

fn typed(text: &str) -> Vec<Key> {
    text.chars().map(Key::Char).collect()
}

#[test]
fn a_heartbeat_that_stopped_is_told_at_the_top() {
    let mut snapshot = snapshot(&records());
    let first = |snapshot: &Snapshot, width, height| {
        let screen = screen(&App::default(), snapshot, width, height);
        screen.lines().next().unwrap().to_owned()
    };
    for (width, height) in [(80, 24), (40, 10)] {
        assert!(!first(&snapshot, width, height).contains("NO HEARTBEAT"));
        snapshot.hook_down = true;
        let line = first(&snapshot, width, height);
        assert!(line.contains("NO HEARTBEAT"), "{line}");
        snapshot.hook_down = false;
    }
}

#[test]
fn what_is_sampled_stands_for_more_at_the_top() {
    let mut snapshot = snapshot(&records());
    let second = |snapshot: &Snapshot| {
        let screen = screen(&App::default(), snapshot, 80, 24);
        screen.lines().nth(1).unwrap().to_owned()
    };
    assert!(!second(&snapshot).contains('~'));
    let totals = &mut snapshot.summary.reader.scaled;
    (totals.lookups, totals.timeouts) = (2600, 100);
    let line = second(&snapshot);
    assert!(
        line.contains("26 lookups (sampled: ~2600)  2 failed (7.6%)  1 timed out (~100)  3 lost"),
        "{line}"
    );
}

#[test]
fn screens() {
    let snapshot = snapshot(&records());
    for tab in Tab::ALL {
        let app = App {
            tab,
            ..App::default()
        };
        let name = format!("{tab:?}").to_lowercase();
        insta::assert_snapshot!(format!("80x24_{name}"), screen(&app, &snapshot, 80, 24));
        insta::assert_snapshot!(format!("40x10_{name}"), screen(&app, &snapshot, 40, 10));
    }
    let mut app = App::default();
    press(&mut app, &snapshot, &[Key::Enter]);
    insta::assert_snapshot!("80x24_detail", screen(&app, &snapshot, 80, 24));
    insta::assert_snapshot!("40x10_detail", screen(&app, &snapshot, 40, 10));
    press(&mut app, &snapshot, &[Key::Char('?')]);
    insta::assert_snapshot!("80x24_help", screen(&app, &snapshot, 80, 24));
    insta::assert_snapshot!("120x40_names", screen(&App::default(), &snapshot, 120, 40));
    let nothing = Snapshot::default();
    insta::assert_snapshot!("80x24_nothing", screen(&App::default(), &nothing, 80, 24));
}

#[test]
fn any_size_is_drawn() {
    let snapshot = snapshot(&records());
    for tab in Tab::ALL {
        for name in [None, Some("www.example.com".to_owned())] {
            for help in [false, true] {
                let app = App {
                    tab,
                    name: name.clone(),
                    help,
                    ..App::default()
                };
                for (width, height) in (0..30).flat_map(|w| (0..30).map(move |h| (w * 5, h))) {
                    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
                    draw(&mut buffer, &app, &snapshot, &look(true));
                }
            }
        }
    }
}

#[test]
fn colour_is_only_there_if_it_is_allowed() {
    let snapshot = snapshot(&records());
    let app = App {
        tab: Tab::Failures,
        ..App::default()
    };
    for colour in [false, true] {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
        draw(&mut buffer, &app, &snapshot, &look(colour));
        let coloured =
            |cell: &ratatui::buffer::Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
        assert_eq!(buffer.content.iter().any(coloured), colour);
    }
}

#[test]
fn keys_change_what_is_seen() {
    let snapshot = snapshot(&records());
    let mut app = App::default();
    let first = |app: &App| app.rows(&snapshot)[0].label.clone();
    assert_eq!(first(&app), "www.example.com");
    for (sort, label) in [
        (Sort::Failed, "broken.example.org"),
        (Sort::Mean, "nowhere.example.net"),
        (Sort::Max, "nowhere.example.net"),
        (Sort::Label, "broken.example.org"),
        (Sort::Lookups, "www.example.com"),
    ] {
        press(&mut app, &snapshot, &[Key::Char('s')]);
        assert_eq!((app.sort, first(&app).as_str()), (sort, label));
    }
    // The cursor stays on its row when rows change places.
    press(&mut app, &snapshot, &[Key::Down, Key::Down, Key::Up]);
    let label = app.cursor.clone().unwrap();
    assert_eq!(label, "mail.example.com");
    press(&mut app, &snapshot, &[Key::Char('s'), Key::Char('s')]);
    assert_eq!(app.cursor.as_ref(), Some(&label));
    assert!(app.position(&app.rows(&snapshot)) > 1);
    press(&mut app, &snapshot, &[Key::Enter]);
    assert_eq!(app.name.as_ref(), Some(&label));
    press(&mut app, &snapshot, &[Key::Escape]);
    assert_eq!(
        (app.name.as_ref(), app.cursor.as_ref()),
        (None, Some(&label))
    );
    press(&mut app, &snapshot, &[Key::End]);
    assert_eq!(
        app.position(&app.rows(&snapshot)),
        app.rows(&snapshot).len() - 1
    );
    press(&mut app, &snapshot, &[Key::Home]);
    assert_eq!(app.position(&app.rows(&snapshot)), 0);
    for (key, tab) in [
        (Key::Tab, Tab::Clients),
        (Key::Char('6'), Tab::Losses),
        (Key::Right, Tab::Names),
        (Key::BackTab, Tab::Losses),
        (Key::Char('4'), Tab::Processes),
    ] {
        press(&mut app, &snapshot, &[key]);
        assert_eq!(app.tab, tab);
    }
    assert_eq!(first(&app), "resolver (8, …)");
    press(&mut app, &snapshot, &[Key::Char('p')]);
    assert!(app.paused);
    press(&mut app, &snapshot, &[Key::Char(' ')]);
    assert!(!app.paused);
}

#[test]
fn text_is_typed_and_forgotten() {
    let snapshot = snapshot(&records());
    let mut app = App::default();
    press(&mut app, &snapshot, &[Key::Char('/')]);
    // Letters that are keys elsewhere are letters here.
    press(&mut app, &snapshot, &typed(".example.netq"));
    assert_eq!(app.rows(&snapshot).len(), 0);
    press(&mut app, &snapshot, &[Key::Backspace, Key::Enter]);
    let labels: Vec<String> = app
        .rows(&snapshot)
        .into_iter()
        .map(|row| row.label)
        .collect();
    assert_eq!(labels, ["never.example.net", "nowhere.example.net"]);
    insta::assert_snapshot!("40x10_filter", screen(&app, &snapshot, 40, 10));
    assert_eq!(press(&mut app, &snapshot, &[Key::Escape]), Next::Go);
    assert_eq!(app.rows(&snapshot).len(), 5);
    press(&mut app, &snapshot, &[Key::Char('/')]);
    press(&mut app, &snapshot, &typed("x"));
    assert_eq!(press(&mut app, &snapshot, &[Key::Escape]), Next::Go);
    assert_eq!(app.filter, "");
    assert_eq!(press(&mut app, &snapshot, &[Key::Escape]), Next::Quit);
}

#[test]
fn the_ways_out() {
    let snapshot = Snapshot::default();
    for keys in [
        &[Key::Char('q')][..],
        &[Key::Escape],
        &[Key::Interrupt],
        &[Key::Char('/'), Key::Interrupt],
        &[Key::Char('?'), Key::Escape, Key::Escape],
        &[Key::Char('?'), Key::Char('q')],
    ] {
        assert_eq!(
            press(&mut App::default(), &snapshot, keys),
            Next::Quit,
            "{keys:?}"
        );
    }
}

#[test]
fn floods_are_marked() {
    let mut all = Vec::new();
    for number in 0..2 * SLOTS {
        let name = format!("host{number}.example.com");
        let asked: [Asked<'_>; 2] = [
            (&name, Rtype::A, Some(Rcode::NOERROR), 100),
            ("www.example.com", Rtype::A, Some(Rcode::NOERROR), 100),
        ];
        ask(&mut all, CLIENT, 7, &asked);
    }
    let snapshot = snapshot(&all);
    assert_eq!(snapshot.names.slots.len(), SLOTS);
    let app = App::default();
    let rows = app.rows(&snapshot);
    let frequent = ("www.example.com", 2 * SLOTS as u64, 0);
    assert_eq!((&*rows[0].label, rows[0].counted, rows[0].missed), frequent);
    let text = screen(&app, &snapshot, 80, 24);
    assert!(text.contains("512 kept, 513 made room"), "{text}");
    assert!(text.contains("1+"), "{text}");
}

/// Names of any bytes, as long as names can be.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let label = prop::collection::vec(any::<u8>(), 1..=63);
    prop::collection::vec(label, 1..=3).prop_map(|labels| {
        let mut wire = vec![0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            wire.push(label.len() as u8);
            wire.extend(label);
        }
        wire.extend([0, 0, 1, 0, 1]);
        wire
    })
}

fn harmless(buffer: &Buffer) -> bool {
    let ours = |c: char| ('▁'..='█').contains(&c) || c == '…' || c == '↓';
    let cells = buffer.content.iter();
    let mut chars = cells.flat_map(|cell| cell.symbol().chars());
    chars.all(|c| c.is_ascii_graphic() || c == ' ' || ours(c))
}

proptest! {
    #[test]
    fn hostile_names_stay_in_their_cells(name in hostile(), width in 0_u16..100, height in 0_u16..30) {
        let records = [Rec::query(START, name).bytes()];
        let snapshot = snapshot(&records);
        let mut app = App::default();
        for keys in [&[Key::Enter][..], &[Key::Char('5')], &[Key::Char('2')]] {
            let area = Rect::new(0, 0, width, height);
            let mut buffer = Buffer::empty(area);
            draw(&mut buffer, &app, &snapshot, &look(true));
            prop_assert!(harmless(&buffer));
            prop_assert_eq!(buffer.area, area);
            press(&mut app, &snapshot, keys);
        }
    }

    #[test]
    fn any_keys_are_survived(keys in prop::collection::vec(prop_oneof![
        prop::sample::select(vec![
            Key::Enter, Key::Tab, Key::BackTab, Key::Up, Key::Down, Key::PageUp, Key::PageDown,
            Key::Home, Key::End, Key::Left, Key::Right, Key::Backspace, Key::Escape,
        ]),
        any::<char>().prop_filter("what the parser gives", char::is_ascii_graphic).prop_map(Key::Char),
        prop::sample::select(vec!['s', '/', 'p', '?', 'q']).prop_map(Key::Char),
    ], 0..60)) {
        let snapshot = snapshot(&records());
        let mut app = App::default();
        let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
        for key in keys {
            let _ = app.key(key, &snapshot, 10);
            draw(&mut buffer, &app, &snapshot, &look(false));
            prop_assert!(app.position(&app.rows(&snapshot)) <= app.rows(&snapshot).len());
        }
    }
}

#[test]
fn longest_names_and_servers() {
    let label = "\\200".repeat(63);
    let name = format!("{label}.{label}.{label}");
    let mut records = Vec::new();
    ask(&mut records, CLIENT, 7, &[(&name, Rtype::A, None, 0)]);
    let snapshot = snapshot(&records);
    let mut app = App::default();
    assert!(screen(&app, &snapshot, 40, 10).contains("\\200\\200"));
    press(&mut app, &snapshot, &[Key::Char('3')]);
    assert!(screen(&app, &snapshot, 40, 10).contains(SERVER));
}
