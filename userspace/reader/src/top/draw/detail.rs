//! One name, looked into.

use std::fmt::Display;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::few::Counted;
use super::super::rows::{Row, look_into};
use super::super::snapshot::Snapshot;
use super::super::tally::Named;
use super::Look;
use super::head::latency;
use super::outcomes::line;
use super::paint::{Painter, at_least, cut_rows, number, time};

/// Rows of the picture of the latency, its axis included, and the height from which there is one.
const PICTURE: u16 = 4;
const PICTURE_FROM: u16 = 12;

pub(super) fn detail(
    buffer: &mut Buffer,
    area: Rect,
    name: &str,
    snapshot: &Snapshot,
    look: &Look,
) {
    let mut painter = Painter::new(buffer, area);
    painter.text(name, Look::strong());
    let Some((row, named)) = look_into(snapshot, name) else {
        painter.text("had to make room for others", Style::new());
        return;
    };
    facts(&mut painter, &row, named, look);
    let mut rest = painter.rest();
    if area.height >= PICTURE_FROM {
        let (picture, below) = cut_rows(rest, PICTURE);
        let columns = if area.width >= 44 { 2 } else { 1 };
        latency(buffer, picture, &named.latency, columns, look);
        rest = below;
    }
    let mut painter = Painter::new(buffer, rest);
    painter.text("LAST ANSWERS", Look::strong());
    for last in named.last.newest_first() {
        line(&mut painter, last, look);
    }
}

fn facts(painter: &mut Painter<'_>, row: &Row, named: &Named, look: &Look) {
    let count = at_least(row.counted, row.missed);
    painter.put(&format!("{} lookups, ", count.trim_end()), Style::new());
    let failed = row.stats.failed;
    let style = if failed > 0 { look.bad() } else { Style::new() };
    painter.put(&format!("{} failed", number(failed)), style);
    if let Some(mean) = row.stats.mean_ns() {
        let max = time(row.stats.max_ns);
        painter.put(&format!(", mean {}, max {max}", time(mean)), Style::new());
    }
    painter.line();
    list(painter, "types", &named.types.sorted());
    list(painter, "ends", &named.ends.sorted());
    list(painter, "clients", &named.clients.sorted());
}

fn list<K: Display>(painter: &mut Painter<'_>, what: &str, entries: &[Counted<K>]) {
    painter.put(&format!("{what:<8}"), Look::strong());
    let entries = entries.iter().map(|entry| {
        let count = at_least(entry.counted, entry.missed);
        format!("{} {}", entry.key, count.trim_end())
    });
    let text = entries.collect::<Vec<_>>().join(", ");
    painter.text(&text, Style::new());
}
