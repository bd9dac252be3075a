//! A table as it is shown: which rows, in which order.

use std::cmp::{Ordering, Reverse};

use super::heavy::Slot;
use super::snapshot::Snapshot;
use super::tally::{Named, Stats};
use crate::name::Presented;

/// What there is to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    /// Names that are asked for.
    #[default]
    Names,
    /// Who asks, by address.
    Clients,
    /// Who is asked.
    Servers,
    /// Who asks, by name of the process.
    Processes,
    /// How lookups end.
    Failures,
    /// What is missing, and why.
    Losses,
}

impl Tab {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::Names,
        Self::Clients,
        Self::Servers,
        Self::Processes,
        Self::Failures,
        Self::Losses,
    ];

    /// Its heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Names => "Names",
            Self::Clients => "Clients",
            Self::Servers => "Servers",
            Self::Processes => "Processes",
            Self::Failures => "Failures",
            Self::Losses => "Losses",
        }
    }
}

/// By what rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Most lookups first.
    #[default]
    Lookups,
    /// Most failures first.
    Failed,
    /// Slowest on average first.
    Mean,
    /// Slowest first.
    Max,
    /// By the alphabet.
    Label,
}

impl Sort {
    /// The next column.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Lookups => Self::Failed,
            Self::Failed => Self::Mean,
            Self::Mean => Self::Max,
            Self::Max => Self::Label,
            Self::Label => Self::Lookups,
        }
    }
}

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is about, printable ASCII.
    pub label: String,
    /// Lookups.
    pub counted: u64,
    /// Lookups that may have been missed, at most.
    pub missed: u64,
    /// The other counts.
    pub stats: Stats,
}

/// Rows of a tab that hold the text, sorted. Text that begins with a dot is a suffix: `.example.com` is
/// example.com and what is below it.
#[must_use]
pub fn rows(snapshot: &Snapshot, tab: Tab, sort: Sort, text: &str) -> Vec<Row> {
    let mut rows = all(snapshot, tab);
    let text = text.to_ascii_lowercase();
    rows.retain(|row| holds(&row.label.to_ascii_lowercase(), &text));
    rows.sort_by(|a, b| order(sort, a, b).then_with(|| a.label.cmp(&b.label)));
    rows
}

/// What is known of a name, and its row.
#[must_use]
pub fn look_into<'s>(snapshot: &'s Snapshot, label: &str) -> Option<(Row, &'s Named)> {
    let slots = snapshot.names.slots.iter();
    let mut named = slots.map(|slot| (row(slot, name(slot), slot.value.stats), &slot.value));
    named.find(|(row, _)| row.label == label)
}

fn all(snapshot: &Snapshot, tab: Tab) -> Vec<Row> {
    match tab {
        Tab::Names => {
            let slots = snapshot.names.slots.iter();
            slots.map(|s| row(s, name(s), s.value.stats)).collect()
        }
        Tab::Clients => {
            let slots = snapshot.clients.slots.iter();
            slots.map(|s| row(s, s.key.to_string(), s.value)).collect()
        }
        Tab::Servers => {
            let slots = snapshot.servers.slots.iter();
            slots.map(|s| row(s, s.key.to_string(), s.value)).collect()
        }
        Tab::Processes => {
            let slots = snapshot.processes.slots.iter();
            let label = |s: &Slot<_, super::tally::Running>| {
                let pid = s.value.pid;
                let more = if s.value.several { ", …" } else { "" };
                format!("{} ({pid}{more})", s.key)
            };
            let slots = slots.map(|s| row(s, label(s), s.value.stats));
            slots.collect()
        }
        Tab::Failures | Tab::Losses => Vec::new(),
    }
}

fn name<V>(slot: &Slot<super::tally::NameKey, V>) -> String {
    Presented(slot.key.as_slice()).to_string()
}

const fn row<K, V>(slot: &Slot<K, V>, label: String, stats: Stats) -> Row {
    Row {
        label,
        counted: slot.counted,
        missed: slot.missed,
        stats,
    }
}

fn holds(label: &str, text: &str) -> bool {
    match text.strip_prefix('.') {
        Some(suffix) if !suffix.is_empty() => label == suffix || label.ends_with(text),
        _ => label.contains(text),
    }
}

fn order(sort: Sort, a: &Row, b: &Row) -> Ordering {
    let by = |key: fn(&Row) -> u64| Reverse(key(a)).cmp(&Reverse(key(b)));
    let lookups = by(|row| row.counted);
    match sort {
        Sort::Lookups => lookups,
        Sort::Failed => by(|row| row.stats.failed).then(lookups),
        Sort::Mean => by(|row| row.stats.mean_ns().unwrap_or(0)).then(lookups),
        Sort::Max => by(|row| row.stats.max_ns).then(lookups),
        Sort::Label => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn text_and_suffixes() {
        for (label, text, expected) in [
            ("www.example.com", "", true),
            ("www.example.com", "exam", true),
            ("www.example.com", ".example.com", true),
            ("example.com", ".example.com", true),
            ("myexample.com", ".example.com", false),
            ("example.com.org", ".example.com", false),
            ("www.example.com", ".", true),
            ("localhost", ".", false),
        ] {
            assert_eq!(holds(label, text), expected, "{label} {text}");
        }
    }
}
