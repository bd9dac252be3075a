//! What the keys do. Knows no terminal.

use super::keys::Key;
use super::rows::{Row, Sort, Tab, rows};
use super::snapshot::Snapshot;

/// Longest text to look for: a name in presentation format.
const FILTER_MAX: usize = 255;

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    Go,
    /// End.
    Quit,
}

/// What is looked at, and how.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// The table.
    pub tab: Tab,
    /// Its order.
    pub sort: Sort,
    /// Text that rows have to hold.
    pub filter: String,
    /// The text is being typed.
    pub typing: bool,
    /// The picture stands still.
    pub paused: bool,
    /// The keys are explained.
    pub help: bool,
    /// The row that the cursor is on, by its label, since rows change places; `None` is the first one.
    pub cursor: Option<String>,
    /// The name that is looked into.
    pub name: Option<String>,
}

impl App {
    /// Takes in a key. `page` is how many rows a page has.
    pub fn key(&mut self, key: Key, snapshot: &Snapshot, page: usize) -> Next {
        if key == Key::Interrupt {
            return Next::Quit;
        }
        if self.typing {
            self.typed(key);
            return Next::Go;
        }
        match key {
            Key::Char('q') => return Next::Quit,
            Key::Escape => return self.back(),
            _ if self.help => self.help = false,
            Key::Char('?' | 'h') => self.help = true,
            Key::Char('p' | ' ') => self.paused = !self.paused,
            Key::Char(digit @ '1'..='6') => self.show(digit as usize - '1' as usize),
            Key::Tab | Key::Right | Key::Char('l') => self.turn(1),
            Key::BackTab | Key::Left => self.turn(Tab::ALL.len() - 1),
            _ if self.name.is_none() => self.in_table(key, snapshot, page),
            Key::Backspace => self.name = None,
            _ => {}
        }
        Next::Go
    }

    /// The rows that are shown.
    #[must_use]
    pub fn rows(&self, snapshot: &Snapshot) -> Vec<Row> {
        rows(snapshot, self.tab, self.sort, &self.filter)
    }

    /// Index of the row that the cursor is on.
    #[must_use]
    pub fn position(&self, rows: &[Row]) -> usize {
        let is = |row: &Row| Some(&row.label) == self.cursor.as_ref();
        rows.iter().position(is).unwrap_or(0)
    }

    fn in_table(&mut self, key: Key, snapshot: &Snapshot, page: usize) {
        match key {
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Char('/') => self.typing = true,
            Key::Up | Key::Char('k') => self.go(snapshot, |at, _| at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.go(snapshot, |at, _| at + 1),
            Key::PageUp => self.go(snapshot, |at, _| at.saturating_sub(page)),
            Key::PageDown => self.go(snapshot, |at, _| at + page),
            Key::Home => self.cursor = None,
            Key::End => self.go(snapshot, |_, last| last),
            Key::Enter if self.tab == Tab::Names => {
                let rows = self.rows(snapshot);
                let row = rows.get(self.position(&rows));
                self.name = row.map(|row| row.label.clone());
                self.cursor.clone_from(&self.name);
            }
            _ => {}
        }
    }

    /// Moves the cursor; on the first row it stays with whatever comes first.
    fn go(&mut self, snapshot: &Snapshot, to: impl Fn(usize, usize) -> usize) {
        let rows = self.rows(snapshot);
        let last = rows.len().saturating_sub(1);
        let at = to(self.position(&rows), last).min(last);
        let row = rows.get(at).filter(|_| at > 0);
        self.cursor = row.map(|row| row.label.clone());
    }

    fn typed(&mut self, key: Key) {
        match key {
            Key::Char(c) if self.filter.len() < FILTER_MAX => self.filter.push(c),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.typing = false;
                self.filter.clear();
            }
            _ => {}
        }
    }

    /// One step back, the last of which is the way out.
    fn back(&mut self) -> Next {
        if self.help {
            self.help = false;
        } else if self.name.is_some() {
            self.name = None;
        } else if !self.filter.is_empty() {
            self.filter.clear();
        } else {
            return Next::Quit;
        }
        Next::Go
    }

    fn turn(&mut self, by: usize) {
        let at = Tab::ALL.iter().position(|tab| *tab == self.tab);
        self.show((at.unwrap_or(0) + by) % Tab::ALL.len());
    }

    fn show(&mut self, at: usize) {
        if let Some(tab) = Tab::ALL.get(at) {
            self.tab = *tab;
            self.cursor = None;
            self.name = None;
        }
    }
}
