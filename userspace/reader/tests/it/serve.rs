//! Lookups as metrics, and those who ask for them.

mod bounds;
mod otlp;
mod scrapes;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dns_trace::metrics::{BoardTicker, Limits, Measures, Meter, NamePart};
use dns_trace::pipeline::Pipeline;
use dns_trace::ring::Ticker as _;
use dns_trace::serve::prometheus::{Exposition, Format};
use dns_trace_event::Stats;
use domain::base::Rtype;
use domain::base::iana::Rcode;

use crate::memory::options;
use crate::recording::started;
use crate::records::{Rec, SERVER, query, response};

const MS: u64 = 1_000_000;

fn limits() -> Limits {
    Limits {
        servers: 64,
        names: None,
        series: 1000,
    }
}

/// Measures of some lookups of every outcome, and of some losses.
fn measured(limits: Limits) -> Arc<Measures> {
    let mut meter = Meter::new(limits);
    let measures = meter.measures();
    let mut pipeline = Pipeline::new(options(), &mut meter);
    let mut time = 0;
    let mut id = 0;
    let mut lookup = |name: &str, qtype, rcode, took: u64| {
        time += 10 * MS;
        id += 1;
        let ask = Rec::query(time, query(id, name, qtype));
        let reply = Rec::response(time + took, response(id, name, qtype, rcode, &[]));
        pipeline.record(&ask.bytes()).unwrap();
        pipeline.record(&reply.bytes()).unwrap();
    };
    lookup("www.example.com", Rtype::A, Rcode::NOERROR, MS / 20);
    lookup("www.example.com", Rtype::A, Rcode::NOERROR, 2 * MS);
    lookup("www.example.com", Rtype::AAAA, Rcode::NOERROR, 30 * MS);
    lookup("nowhere.example.org", Rtype::A, Rcode::NXDOMAIN, 7 * MS);
    lookup(
        "example.net",
        Rtype::from_int(65_280),
        Rcode::NOERROR,
        4000 * MS,
    );
    let never = query(90, "never.example.com", Rtype::MX);
    pipeline
        .record(&Rec::query(100 * MS, never.clone()).bytes())
        .unwrap();
    pipeline
        .record(&Rec::query(200 * MS, never).to("192.0.2.53", 53).bytes())
        .unwrap();
    let unasked = response(91, "www.example.com", Rtype::A, Rcode::NOERROR, &[]);
    let unasked = Rec::response(100 * MS, unasked);
    pipeline.record(&unasked.clone().bytes()).unwrap();
    pipeline
        .record(&unasked.from("203.0.113.9", 53).bytes())
        .unwrap();
    pipeline
        .record(&Rec::query(300 * MS, b"no DNS".to_vec()).bytes())
        .unwrap();
    pipeline.advance(20_000 * MS).unwrap();
    let mut ticker = BoardTicker::new(Arc::clone(&measures), Stats::default());
    ticker.filled(0.25);
    ticker.filled(0.125);
    let kernel = Stats {
        packets: 100,
        submitted: 15,
        ring_full: 2,
        owners_lost: 1,
        ..Stats::default()
    };
    ticker.tick(&mut pipeline, &kernel).unwrap();
    measures
}

fn text(measures: &Arc<Measures>, format: Format) -> String {
    Exposition::new(Arc::clone(measures)).text(format).unwrap()
}

#[test]
fn what_a_scrape_gets() {
    let measures = measured(limits());
    insta::assert_snapshot!("metrics", text(&measures, Format::Text));
    let open = text(&measures, Format::OpenMetrics);
    assert!(open.ends_with("# EOF\n"));
    for line in [
        "# UNIT dns_lookup_duration_seconds seconds\n",
        "# TYPE dns_queries counter\n",
        "dns_queries_total 7\n",
        "dns_trace_lost_messages_total{reason=\"ring_full\"} 2\n",
    ] {
        assert!(open.contains(line), "no {line} in {open}");
    }
}

#[test]
fn names_are_a_label_on_request() {
    for (part, wanted) in [
        (
            NamePart::Registered,
            ["name=\"example.com\"", "name=\"example.net\""],
        ),
        (
            NamePart::Whole,
            ["name=\"www.example.com\"", "name=\"example.net\""],
        ),
    ] {
        let limits = Limits {
            names: Some((10, part)),
            ..limits()
        };
        let text = text(&measured(limits), Format::Text);
        for label in wanted {
            assert!(text.contains(label), "no {label} in {text}");
        }
        // Who made this one up has no label for it.
        assert!(!text.contains("example.org"), "{text}");
    }
}

/// Prometheus' own tool has no objection.
#[test]
fn promtool_finds_nothing() {
    for names in [None, Some((10, NamePart::Registered))] {
        let limits = Limits { names, ..limits() };
        let text = text(&measured(limits), Format::Text);
        let mut tool = Command::new("promtool");
        tool.args(["check", "metrics"]);
        let piped = tool
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut tool = started(piped.spawn(), "promtool", "prometheus");
        tool.stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = tool.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    }
}

#[test]
fn who_sends_unasked_gets_no_label() {
    let text = text(&measured(limits()), Format::Text);
    assert!(text.contains("server=\"192.0.2.53\""), "{text}");
    assert!(text.contains(&format!("server=\"{SERVER}\"")), "{text}");
    assert!(!text.contains("203.0.113.9"), "{text}");
}
