//! Putting text and bars into cells, and numbers into few of them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Writes from left to right and then line by line, and never outside its area.
pub(super) struct Painter<'b> {
    buffer: &'b mut Buffer,
    area: Rect,
    x: u16,
    y: u16,
}

impl<'b> Painter<'b> {
    pub(super) fn new(buffer: &'b mut Buffer, area: Rect) -> Self {
        let area = area.intersection(buffer.area);
        Self {
            x: area.x,
            y: area.y,
            buffer,
            area,
        }
    }

    /// Writes a text; one that is too long ends in `…`.
    pub(super) fn put(&mut self, text: &str, style: Style) {
        let room = usize::from(self.area.right().saturating_sub(self.x));
        if self.y >= self.area.bottom() || room == 0 {
            return;
        }
        let (x, _) = self.buffer.set_stringn(self.x, self.y, text, room, style);
        if text.chars().count() > room {
            let last = self.area.right() - 1;
            self.buffer.set_stringn(last, self.y, "…", 1, style);
        }
        self.x = x;
    }

    /// Goes to the next line; `false` if there is none.
    pub(super) fn line(&mut self) -> bool {
        self.y = self.y.saturating_add(1);
        self.x = self.area.x;
        self.y < self.area.bottom()
    }

    /// A line with one text.
    pub(super) fn text(&mut self, text: &str, style: Style) -> bool {
        self.put(text, style);
        self.line()
    }

    /// What is left below, from this line on.
    pub(super) const fn rest(&self) -> Rect {
        let y = if self.y < self.area.bottom() {
            self.y
        } else {
            self.area.bottom()
        };
        Rect {
            y,
            height: self.area.bottom() - y,
            ..self.area
        }
    }

    /// What is left of this line.
    pub(super) const fn rest_of_line(&self) -> Rect {
        Rect {
            x: self.x,
            y: self.y,
            width: self.area.right().saturating_sub(self.x),
            height: if self.y < self.area.bottom() { 1 } else { 0 },
        }
    }

    /// Colours the whole line.
    pub(super) fn paint_line(&mut self, style: Style) {
        let line = Rect {
            y: self.y,
            height: 1,
            ..self.area
        };
        self.buffer.set_style(line, style);
    }
}

/// Cuts rows off at the top.
pub(super) fn cut_rows(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    let top = Rect {
        height: rows,
        ..area
    };
    let rest = Rect {
        y: area.y + rows,
        height: area.height - rows,
        ..area
    };
    (top, rest)
}

const EIGHTHS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Columns, the highest as high as the area; one that is not 0 is seen.
pub(super) fn bars(buffer: &mut Buffer, area: Rect, values: &[u64], style: Style) {
    let area = area.intersection(buffer.area);
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let full = u64::from(area.height) * 8;
    for (x, value) in (area.x..area.right()).zip(values) {
        if *value == 0 {
            continue;
        }
        let exact = u128::from(*value) * u128::from(full) / u128::from(most);
        let mut left = u64::try_from(exact).unwrap_or(full).max(1);
        for y in (area.y..area.bottom()).rev() {
            if left == 0 {
                break;
            }
            let eighths = left.min(8);
            buffer.set_stringn(x, y, EIGHTHS[eighths as usize - 1], 1, style);
            left -= eighths;
        }
    }
}

/// At most six characters: 99999, 123k, 12.3M.
pub(super) fn number(count: u64) -> String {
    match count {
        0..100_000 => count.to_string(),
        100_000..1_000_000 => format!("{}k", count / 1000),
        1_000_000..100_000_000 => tenths(count / 100_000, "M"),
        100_000_000..1_000_000_000 => format!("{}M", count / 1_000_000),
        1_000_000_000..100_000_000_000 => tenths(count / 100_000_000, "G"),
        _ => format!("{}G", count / 1_000_000_000),
    }
}

fn tenths(tenths: u64, unit: &str) -> String {
    format!("{}.{}{unit}", tenths / 10, tenths % 10)
}

/// A count that may miss some: with a `+` behind it, else a space.
pub(super) fn at_least(count: u64, missed: u64) -> String {
    let mark = if missed > 0 { '+' } else { ' ' };
    format!("{}{mark}", number(count))
}

/// A time in nanoseconds, at most seven characters: 208us, 12.3ms, 1.20s.
pub(super) fn time(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{}us", ns / 1000),
        1_000_000..100_000_000 => tenths(ns / 100_000, "ms"),
        100_000_000..1_000_000_000 => format!("{}ms", ns / 1_000_000),
        _ => format!("{}.{:02}s", ns / 1_000_000_000, ns / 10_000_000 % 100),
    }
}

/// A part of a whole in percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let per_mille = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{}%", per_mille / 10, per_mille % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        for (count, expected) in [
            (0, "0"),
            (99_999, "99999"),
            (123_456, "123k"),
            (12_345_678, "12.3M"),
            (999_999_999, "999M"),
            (1_500_000_000, "1.5G"),
        ] {
            assert_eq!(number(count), expected);
        }
        for (ns, expected) in [
            (999, "0us"),
            (208_000, "208us"),
            (12_345_678, "12.3ms"),
            (345_678_901, "345ms"),
            (1_204_000_000, "1.20s"),
        ] {
            assert_eq!(time(ns), expected);
        }
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!((at_least(5, 0), at_least(5, 1)), ("5 ".into(), "5+".into()));
    }
}
