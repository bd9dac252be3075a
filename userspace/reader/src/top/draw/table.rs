//! The tables of names, clients, servers and processes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::app::App;
use super::super::rows::{Row, Sort, Tab};
use super::super::snapshot::{Rows, Snapshot};
use super::Look;
use super::paint::{Painter, at_least, number, percent, time};

/// Width from which there are all columns.
const WIDE: u16 = 60;

/// A column before the label.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Lookups,
    Share,
    Failed,
    Mean,
    Max,
}

impl Column {
    const fn title(self) -> &'static str {
        match self {
            Self::Lookups => "LOOKUPS",
            Self::Share => "SHARE",
            Self::Failed => "FAILED",
            Self::Mean => "MEAN",
            Self::Max => "MAX",
        }
    }

    const fn sort(self) -> Option<Sort> {
        match self {
            Self::Lookups => Some(Sort::Lookups),
            Self::Share => None,
            Self::Failed => Some(Sort::Failed),
            Self::Mean => Some(Sort::Mean),
            Self::Max => Some(Sort::Max),
        }
    }

    fn cell(self, row: &Row, lookups: u64) -> String {
        match self {
            Self::Lookups => at_least(row.counted, row.missed),
            Self::Share => percent(row.counted, lookups),
            Self::Failed => number(row.stats.failed),
            Self::Mean => row.stats.mean_ns().map(time).unwrap_or_default(),
            Self::Max => row
                .stats
                .mean_ns()
                .map(|_| time(row.stats.max_ns))
                .unwrap_or_default(),
        }
    }
}

/// A narrow screen has the column that it is sorted by.
fn columns(width: u16, sort: Sort) -> &'static [Column] {
    use Column::{Failed, Lookups, Max, Mean, Share};
    match sort {
        _ if width >= WIDE => &[Lookups, Share, Failed, Mean, Max],
        Sort::Mean => &[Lookups, Mean],
        Sort::Max => &[Lookups, Max],
        Sort::Lookups | Sort::Failed | Sort::Label => &[Lookups, Failed],
    }
}

pub(super) fn table(buffer: &mut Buffer, area: Rect, app: &App, snapshot: &Snapshot, look: &Look) {
    let rows = app.rows(snapshot);
    let note = note(app.tab, snapshot);
    let columns = columns(area.width, app.sort);
    let mut painter = Painter::new(buffer, area);
    for column in columns {
        title(
            &mut painter,
            column.title(),
            column.sort() == Some(app.sort),
            true,
        );
    }
    let label = app.tab.title().to_ascii_uppercase();
    title(&mut painter, &label, app.sort == Sort::Label, false);
    painter.line();
    let height = usize::from(painter.rest().height);
    let height = height.saturating_sub(usize::from(note.is_some()));
    let position = app.position(&rows);
    let first = (position + 1).saturating_sub(height);
    for (at, row) in rows.iter().enumerate().skip(first).take(height) {
        for column in columns {
            let failed = *column == Column::Failed && row.stats.failed > 0;
            let style = if failed { look.bad() } else { Style::new() };
            let cell = column.cell(row, snapshot.lookups);
            // Counts have a place for the mark, and so that they end where others do.
            painter.put(&format!("{cell:>8} "), style);
        }
        painter.put(&row.label, Style::new());
        if at == position {
            painter.paint_line(Look::chosen());
        }
        painter.line();
    }
    if rows.is_empty() && height > 0 {
        let text = match app.filter.is_empty() {
            true => "nothing so far",
            false => "nothing holds that text",
        };
        painter.text(text, Style::new());
    }
    if let Some(note) = note {
        painter.text(&note, Look::strong());
    }
}

fn title(painter: &mut Painter<'_>, title: &str, sorted: bool, right: bool) {
    let mark = if sorted { "↓" } else { "" };
    let text = format!("{title}{mark}");
    let text = if right { format!("{text:>8} ") } else { text };
    painter.put(&text, Look::strong());
}

/// What the rows do not say.
fn note(tab: Tab, snapshot: &Snapshot) -> Option<String> {
    match tab {
        Tab::Names => more(&snapshot.names),
        Tab::Clients => more(&snapshot.clients),
        Tab::Servers => more(&snapshot.servers),
        Tab::Processes => {
            let unknown = snapshot.processless;
            let unknown =
                (unknown > 0).then(|| format!("{} lookups of no known process", number(unknown)));
            more(&snapshot.processes).or(unknown)
        }
        Tab::Failures | Tab::Losses => None,
    }
}

fn more<K, V>(rows: &Rows<K, V>) -> Option<String> {
    let missed = rows.slots.iter().map(|slot| slot.missed).max();
    let missed = missed.filter(|_| rows.evicted > 0)?;
    let (kept, evicted) = (rows.slots.len(), number(rows.evicted));
    let missed = number(missed);
    Some(format!(
        "{kept} kept, {evicted} made room: n+ is at least n, and misses at most {missed}"
    ))
}
