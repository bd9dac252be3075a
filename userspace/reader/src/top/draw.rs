//! The picture: where what goes. Takes a buffer of cells, so that no terminal is needed to test it.
//!
//! ```text
//! head                 rate, totals
//! charts               if there is room: rate by the second, latency
//! tabs
//! table, or what else there is to see
//! foot                 keys, or the text that is typed
//! ```

mod detail;
mod head;
mod help;
mod outcomes;
mod paint;
mod table;

use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier, Style};

use super::app::App;
use super::rows::Tab;
use super::snapshot::Snapshot;
use paint::{Painter, cut_rows};

/// Heights from which there are totals, and charts.
const TOTALS_FROM: u16 = 12;
const CHARTS_FROM: u16 = 20;
/// Rows of the charts, their headings and axes included.
const CHARTS: u16 = 7;
/// Width from which there are charts.
const CHARTS_WIDTH: u16 = 60;

/// How it looks.
#[derive(Clone, Debug)]
pub struct Look {
    /// Name of the instance.
    pub instance: String,
    /// Whether to colour.
    pub colour: bool,
    /// Zone of the times.
    pub zone: TimeZone,
}

impl Look {
    const fn fg(&self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    /// What went wrong.
    const fn bad(&self) -> Style {
        self.fg(Color::Red)
    }

    /// Pictures.
    const fn picture(&self) -> Style {
        self.fg(Color::Cyan)
    }

    /// Headings.
    const fn strong() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is chosen.
    const fn chosen() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// The parts of the screen.
struct Parts {
    head: Rect,
    charts: Rect,
    tabs: Rect,
    body: Rect,
    foot: Rect,
}

impl Parts {
    fn new(area: Rect) -> Self {
        let charts = area.height >= CHARTS_FROM && area.width >= CHARTS_WIDTH;
        let (head, rest) = cut_rows(area, if area.height >= TOTALS_FROM { 2 } else { 1 });
        let (charts, rest) = cut_rows(rest, if charts { CHARTS } else { 0 });
        let (tabs, rest) = cut_rows(rest, 1);
        let (body, foot) = cut_rows(rest, rest.height.saturating_sub(1));
        Self {
            head,
            charts,
            tabs,
            body,
            foot,
        }
    }
}

/// Rows of a table on a screen of that size.
#[must_use]
pub fn page(size: Size) -> usize {
    let parts = Parts::new(Rect::new(0, 0, size.width, size.height));
    usize::from(parts.body.height.saturating_sub(1)).max(1)
}

/// Draws everything.
pub fn draw(buffer: &mut Buffer, app: &App, snapshot: &Snapshot, look: &Look) {
    let parts = Parts::new(buffer.area);
    let left = head::head(buffer, parts.head, app, snapshot, look);
    if parts.charts.height > 0 {
        head::charts(buffer, parts.charts, snapshot, look);
    } else {
        head::rate_line(buffer, left, snapshot, look);
    }
    tabs(buffer, parts.tabs, app);
    match (&app.name, app.tab) {
        _ if app.help => help::help(buffer, parts.body),
        (Some(name), _) => detail::detail(buffer, parts.body, name, snapshot, look),
        (None, Tab::Failures) => outcomes::failures(buffer, parts.body, snapshot, look),
        (None, Tab::Losses) => outcomes::losses(buffer, parts.body, snapshot, look),
        (None, _) => table::table(buffer, parts.body, app, snapshot, look),
    }
    foot(buffer, parts.foot, app);
}

/// Width from which tabs have their whole names.
const TABS_WIDTH: u16 = 64;

fn tabs(buffer: &mut Buffer, area: Rect, app: &App) {
    let mut painter = Painter::new(buffer, area);
    let wide = area.width >= TABS_WIDTH;
    for (number, tab) in (1..).zip(Tab::ALL) {
        let title = tab.title();
        let style = if tab == app.tab {
            Look::chosen()
        } else {
            Style::new()
        };
        if wide {
            painter.put(&format!("{number} {title}"), style);
            painter.put("  ", Style::new());
        } else {
            let short = title.get(..4).unwrap_or(title);
            painter.put(&format!("{number}{short}"), style);
            painter.put(" ", Style::new());
        }
    }
}

const KEYS: &str = "q quit  ? help  / filter  s sort  p pause  Enter look into  Tab next  Up Down";

fn foot(buffer: &mut Buffer, area: Rect, app: &App) {
    let mut painter = Painter::new(buffer, area);
    if app.typing {
        // The end of it is what is being typed.
        let room = usize::from(area.width).saturating_sub(2);
        let from = app.filter.len().saturating_sub(room);
        painter.put("/", Look::strong());
        painter.put(app.filter.get(from..).unwrap_or_default(), Style::new());
        painter.put(" ", Look::chosen());
        return;
    }
    if !app.filter.is_empty() {
        painter.put(&format!("/{}", app.filter), Look::strong());
        painter.put("  ", Style::new());
    }
    let keys = match (&app.name, app.help) {
        (_, true) => "any key: back",
        (Some(_), _) => "Esc back  q quit  ? help  p pause",
        (None, _) => KEYS,
    };
    painter.put(keys, Style::new());
}
