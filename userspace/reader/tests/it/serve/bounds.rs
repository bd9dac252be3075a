//! Whatever passes: labels and series stay within their bounds, and every lookup is counted.

use dns_trace::metrics::{Limits, Meter, NamePart};
use dns_trace::pipeline::Pipeline;
use dns_trace::serve::prometheus::Format;
use domain::base::Rtype;
use domain::base::iana::Rcode;

use super::text;
use crate::memory::options;
use crate::records::{Rec, query, response};

/// 40,000 lookups, each of another name and server, of all types and codes.
#[test]
fn a_flood_makes_no_label_and_no_series_grow() {
    const FLOOD: u32 = 40_000;
    let limits = Limits {
        servers: 8,
        names: Some((16, NamePart::Registered)),
        series: 40,
    };
    let mut meter = Meter::new(limits);
    let measures = meter.measures();
    let mut pipeline = Pipeline::new(options(), &mut meter);
    for number in 0..FLOOD {
        let name = format!("host.domain{number}.test");
        let server = format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
        // Not 0, and none of the types of zone transfers, which have several answers.
        let qtype = match (number * 7 % 263) as u16 {
            0 | 251 | 252 => Rtype::A,
            number => Rtype::from_int(number),
        };
        let rcode = Rcode::masked_from_int((number / 5) as u8);
        let (id, time) = (number as u16, u64::from(number) * 1000);
        let ask = Rec::query(time, query(id, &name, qtype)).to(&server, 53);
        pipeline.record(&ask.bytes()).unwrap();
        if number % 4 == 0 {
            // Nobody answers, and somebody does whom nobody asked.
            let unasked = response(id, &name, qtype, rcode, &[]);
            let unasked = Rec::response(time, unasked).from("172.16.0.1", number as u16 | 53);
            pipeline.record(&unasked.bytes()).unwrap();
            continue;
        }
        let reply = response(id, &name, qtype, rcode, &[]);
        let reply = Rec::response(time + 500, reply).from(&server, 53);
        pipeline.record(&reply.bytes()).unwrap();
    }
    pipeline.advance(u64::MAX / 2).unwrap();
    let counts = pipeline.counts();
    let durations: Vec<_> = measures.durations.iter().collect();
    let errors: Vec<_> = measures.errors.iter().collect();
    assert_eq!((durations.len(), errors.len()), (41, 41));
    assert_eq!(measures.servers.len(), 8);
    assert_eq!(measures.names.as_ref().unwrap().len(), 16);
    let measured: u64 = durations.iter().flat_map(|(_, d)| d.buckets()).sum();
    assert_eq!(measured, counts.raw.answered);
    assert_eq!(counts.raw.answered, u64::from(FLOOD) * 3 / 4);
    let failed: u64 = errors.iter().map(|(_, count)| count.get()).sum();
    let wanted =
        counts.raw.timeouts + counts.raw.evicted + counts.raw.orphans + counts.raw.malformed;
    assert_eq!(failed, wanted + counts.raw.malformed_answers);
    let text = text(&measures, Format::Text);
    let lines = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(lines < 41 * 18 + 41 + 100, "{lines} lines");
    let labels = r#"{type="other",rcode="other",server="other",transport="other",name="other"}"#;
    assert!(
        text.contains(&format!("dns_lookup_duration_seconds_count{labels} ")),
        "{text}"
    );
}
