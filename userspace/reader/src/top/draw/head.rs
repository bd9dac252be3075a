//! The head: rate and totals, and the two pictures.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::app::App;
use super::super::histogram::Histogram;
use super::super::snapshot::Snapshot;
use super::Look;
use super::paint::{Painter, bars, cut_rows, number, percent, time};

/// Octaves that the picture of the latency shows: from 16 us, and all below, to 8 s, and all above.
const FIRST: usize = 5;
const SHOWN: usize = 20;
/// Labels of the axis, every four octaves from 16 us on.
const LABELS: [&str; 5] = ["16us", "256us", "4ms", "66ms", "1s"];

/// Draws the head; what is left of its first line.
pub(super) fn head(
    buffer: &mut Buffer,
    area: Rect,
    app: &App,
    snapshot: &Snapshot,
    look: &Look,
) -> Rect {
    let mut painter = Painter::new(buffer, area);
    let wide = area.width >= 60;
    if wide {
        painter.put("dns-trace top ", Look::strong());
        painter.put(&format!("{}  ", look.instance), Style::new());
    }
    let rate = number(snapshot.rates.last());
    painter.put(&format!("{rate}/s "), Look::strong());
    if snapshot.hook_down {
        painter.put("NO HEARTBEAT", look.bad());
        painter.put(" ", Style::new());
    }
    if app.paused {
        painter.put("PAUSED", Look::chosen());
        painter.put(" ", Style::new());
    }
    let mut left = painter.rest_of_line();
    if area.height > 1 {
        painter.line();
        totals(&mut painter, snapshot, look);
    } else {
        let (failed, lost) = (failed(snapshot), lost(snapshot));
        let lookups = number(snapshot.lookups);
        painter.put(&format!("{lookups} lookups "), Style::new());
        painter.put(&format!("{} failed ", number(failed)), mark(failed, look));
        painter.put(&format!("{} lost ", number(lost)), mark(lost, look));
        left = painter.rest_of_line();
    }
    left
}

/// The rate alone, where there is no room for charts.
pub(super) fn rate_line(buffer: &mut Buffer, area: Rect, snapshot: &Snapshot, look: &Look) {
    let seconds = snapshot.rates.whole_seconds();
    let width = usize::from(area.width).min(seconds.len());
    bars(
        buffer,
        area,
        &seconds[seconds.len() - width..],
        look.picture(),
    );
}

fn totals(painter: &mut Painter<'_>, snapshot: &Snapshot, look: &Look) {
    let counts = &snapshot.summary.reader;
    let shown = snapshot.lookups;
    let (raw, scaled) = (&counts.raw, &counts.scaled);
    painter.put(&format!("{} lookups", number(raw.lookups)), Style::new());
    if raw.lookups != shown {
        painter.put(&format!(", {} shown", number(shown)), Style::new());
    }
    if scaled.lookups != raw.lookups {
        let scaled = number(scaled.lookups);
        painter.put(&format!(" (sampled: ~{scaled})"), Style::new());
    }
    let failed = failed(snapshot);
    let text = format!("  {} failed ({})", number(failed), percent(failed, shown));
    painter.put(&text, mark(failed, look));
    let text = format!("  {} timed out", number(raw.timeouts));
    painter.put(&text, mark(raw.timeouts, look));
    if scaled.timeouts != raw.timeouts {
        let text = format!(" (~{})", number(scaled.timeouts));
        painter.put(&text, mark(raw.timeouts, look));
    }
    let lost = lost(snapshot);
    painter.put(&format!("  {} lost", number(lost)), mark(lost, look));
}

fn failed(snapshot: &Snapshot) -> u64 {
    let ends = snapshot.ends.sorted();
    let failed = ends.iter().filter(|end| end.key.failed);
    failed.map(|end| end.counted).sum()
}

/// Messages, or stretches of streams, that never came to a lookup.
fn lost(snapshot: &Snapshot) -> u64 {
    let kernel = snapshot.summary.kernel.lost();
    let reader = snapshot.summary.reader.tcp.given_up();
    let all = kernel.into_iter().chain(reader);
    all.map(|(_, count)| count).sum()
}

fn mark(count: u64, look: &Look) -> Style {
    if count > 0 { look.bad() } else { Style::new() }
}

pub(super) fn charts(buffer: &mut Buffer, area: Rect, snapshot: &Snapshot, look: &Look) {
    let columns = if area.width >= 160 {
        4
    } else if area.width >= 76 {
        2
    } else {
        1
    };
    let right = (SHOWN * columns) as u16;
    let left = area.width.saturating_sub(right + 2);
    rate(
        buffer,
        Rect {
            width: left,
            ..area
        },
        snapshot,
        look,
    );
    let area = Rect {
        x: area.x + left + 2,
        width: right,
        ..area
    };
    let histogram = &snapshot.latency;
    let mut painter = Painter::new(buffer, area);
    painter.put("LATENCY", Look::strong());
    for percent in [50, 90, 99] {
        if let Some(ns) = histogram.percentile(percent) {
            painter.put(&format!(" p{percent}~{}", time(ns)), Style::new());
        }
    }
    let (_, below) = cut_rows(area, 1);
    latency(buffer, below, histogram, columns, look);
}

fn rate(buffer: &mut Buffer, area: Rect, snapshot: &Snapshot, look: &Look) {
    let seconds = snapshot.rates.whole_seconds();
    let width = usize::from(area.width).min(seconds.len());
    let seconds = &seconds[seconds.len() - width..];
    let most = seconds.iter().copied().max().unwrap_or(0);
    let mut painter = Painter::new(buffer, area);
    painter.put("LOOKUPS BY THE SECOND", Look::strong());
    painter.put(&format!(" most {}", number(most)), Style::new());
    let (_, below) = cut_rows(area, 1);
    let (picture, axis) = cut_rows(below, below.height.saturating_sub(1));
    bars(buffer, picture, seconds, look.picture());
    let start = format!("-{width}s");
    let gap = usize::from(area.width).saturating_sub(start.len() + 3);
    let mut painter = Painter::new(buffer, axis);
    painter.put(&format!("{start}{}now", " ".repeat(gap)), Style::new());
}

/// The picture of the latency with its axis, so many columns an octave.
pub(super) fn latency<const SUB: usize>(
    buffer: &mut Buffer,
    area: Rect,
    histogram: &Histogram<SUB>,
    columns: usize,
    look: &Look,
) {
    let (picture, axis) = cut_rows(area, area.height.saturating_sub(1));
    let values = histogram.columns(FIRST, SHOWN, columns.min(SUB));
    // A bucket may be wider than a column.
    let each = columns / columns.min(SUB);
    let values: Vec<u64> = values.iter().flat_map(|v| vec![*v; each]).collect();
    bars(buffer, picture, &values, look.picture());
    let step = 4 * columns;
    for (at, label) in LABELS.iter().enumerate() {
        // Where labels would touch, every other one is enough.
        if step < 6 && at % 2 == 1 {
            continue;
        }
        let x = axis.x + (at * step) as u16;
        let label_area = Rect {
            x,
            width: axis.right().saturating_sub(x),
            ..axis
        };
        Painter::new(buffer, label_area).put(label, Style::new());
    }
}
