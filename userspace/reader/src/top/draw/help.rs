//! The keys, explained.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::Look;
use super::paint::Painter;

const KEYS: &[(&str, &str)] = &[
    ("q Esc ^C", "quit; Esc goes back first"),
    ("Tab 1-6", "next table, or the one of that number"),
    ("s", "sort by the next column"),
    ("/", "only rows with a text; .example.com is a suffix"),
    ("p Space", "the picture stands still, counting goes on"),
    ("Enter", "look into a name"),
    ("Up Down", "choose a row; also PgUp, PgDn, Home, End, j, k"),
    ("n+", "at least n: the row had made room before"),
    ("SHARE", "of all lookups that the filters let through"),
];

pub(super) fn help(buffer: &mut Buffer, area: Rect) {
    let mut painter = Painter::new(buffer, area);
    for (key, what) in KEYS {
        painter.put(&format!("{key:<10}"), Look::strong());
        painter.text(what, Style::new());
    }
}
