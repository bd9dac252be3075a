//! What fails, and what is lost.

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::snapshot::Snapshot;
use super::super::tally::Last;
use super::Look;
use super::paint::{Painter, at_least, cut_rows, number, percent, time};
use crate::counts::{Counts, KernelCounts, Summary};

/// How lookups ended, and the last failures.
pub(super) fn failures(buffer: &mut Buffer, area: Rect, snapshot: &Snapshot, look: &Look) {
    let mut ends = snapshot.ends.sorted();
    // Failures first.
    ends.sort_by_key(|end| !end.key.failed);
    let (above, below) = cut_rows(area, area.height.div_ceil(2).min(ends.len() as u16 + 2));
    let mut painter = Painter::new(buffer, above);
    painter.text(" LOOKUPS    SHARE  END", Look::strong());
    for end in ends {
        let style = if end.key.failed {
            look.bad()
        } else {
            Style::new()
        };
        let count = at_least(end.counted, end.missed);
        let share = percent(end.counted, snapshot.lookups);
        painter.text(&format!("{count:>8} {share:>8}  {}", end.key), style);
    }
    let mut painter = Painter::new(buffer, below);
    painter.text("LAST FAILURES", Look::strong());
    for last in snapshot.failures.newest_first() {
        line(&mut painter, last, look);
    }
}

/// One lookup in a line: when, how, for what.
pub(super) fn line(painter: &mut Painter<'_>, last: &Last, look: &Look) -> bool {
    let at = Timestamp::from_nanosecond(i128::from(last.unix_ns)).unwrap_or(Timestamp::UNIX_EPOCH);
    let at = look.zone.to_offset(at).to_datetime(at).time();
    let qtype = last
        .qtype
        .map(|qtype| qtype.to_string())
        .unwrap_or_default();
    let style = if last.end.failed {
        look.bad()
    } else {
        Style::new()
    };
    painter.put(&format!("{at:.0} "), Style::new());
    painter.put(&format!("{qtype:<5} "), Style::new());
    let end = last.end.to_string();
    painter.put(&format!("{end:<9} "), style);
    let took = last.duration_ns.map(time).unwrap_or_default();
    painter.put(&format!("{took:>7} "), Style::new());
    painter.put(last.text.as_str(), Style::new());
    if last.text.is_cut() {
        painter.put("…", Style::new());
    }
    painter.line()
}

/// Every counter of what is missing, those first that are not 0: the kernel's and the reader's side by side, or
/// one below the other.
pub(super) fn losses(buffer: &mut Buffer, area: Rect, snapshot: &Snapshot, look: &Look) {
    let Summary { reader, kernel, .. } = &snapshot.summary;
    let mut painter = Painter::new(buffer, area);
    let (packets, lag) = (number(kernel.0.packets), time(reader.max_lag_ns));
    let text = format!("{packets} packets seen, lag at most {lag}");
    painter.text(&text, Style::new());
    let rest = painter.rest();
    let (mut kernel, reader) = (in_kernel(kernel), in_reader(reader));
    if rest.width < SIDE_BY_SIDE {
        kernel.extend(reader);
        list(buffer, rest, kernel, look);
        return;
    }
    let width = rest.width / 2;
    list(buffer, Rect { width, ..rest }, kernel, look);
    let x = rest.x + width;
    list(buffer, Rect { x, width, ..rest }, reader, look);
}

/// Width from which there are two columns.
const SIDE_BY_SIDE: u16 = 76;

type Reason = (&'static str, &'static str, u64);

fn list(buffer: &mut Buffer, area: Rect, mut reasons: Vec<Reason>, look: &Look) {
    reasons.sort_by_key(|(_, _, count)| *count == 0);
    let mut painter = Painter::new(buffer, area);
    for (place, reason, count) in reasons {
        let style = if count > 0 { look.bad() } else { Style::new() };
        painter.text(&format!("{:>6} {place} {reason}", number(count)), style);
    }
}

fn in_kernel(counts: &KernelCounts) -> Vec<Reason> {
    let lost = counts.lost().into_iter();
    let other = [
        ("messages cut", counts.0.truncated),
        ("sampled out, by choice", counts.0.sampled_out),
        ("deselected, by choice", counts.0.deselected),
        ("owners of sockets", counts.0.owners_lost),
    ];
    let all = lost.chain(other);
    all.map(|(reason, count)| ("kernel", reason, count))
        .collect()
}

fn in_reader(counts: &Counts) -> Vec<Reason> {
    let lost = counts.tcp.given_up().into_iter();
    let other = [
        ("undecodable records", counts.undecodable),
        ("malformed messages", counts.raw.malformed),
        ("queries evicted", counts.raw.evicted),
        ("orphan responses", counts.raw.orphans),
        ("from before the start", counts.stale),
        ("encrypted packets", counts.encrypted.packets),
    ];
    let all = lost.chain(other);
    all.map(|(reason, count)| ("reader", reason, count))
        .collect()
}
