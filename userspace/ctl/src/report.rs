//! What a command says at its end, and how it reaches the terminal.

use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
};

use clap::ValueEnum;

use crate::exit::Exit;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Text for standard output and the exit code.
#[derive(Debug, Default)]
pub(crate) struct Report {
    text: String,
    exit: u8,
}

impl Report {
    /// A report of a success.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            exit: 0,
        }
    }

    /// The same with another exit code.
    pub(crate) fn with(mut self, exit: Exit) -> Self {
        self.exit = exit as u8;
        self
    }
}

/// Prints the report. A reader that went away (`| head`) is not an error.
pub(crate) fn print(report: &Report) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let mut text = report.text.clone();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = writeln!(
                std::io::stderr(),
                "dns-tracectl: cannot write the result: {error}"
            );
            Exit::Runtime.into()
        }
        _ => ExitCode::from(report.exit),
    }
}

/// Lays rows out in columns, two spaces apart, each row on a line. The last column is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|c| {
            rows.iter()
                .filter_map(|r| r.get(c))
                .map(|t| t.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Breaks text into lines of at most `width` characters at its spaces; longer words stay whole.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(
            table(&[row("a", "b"), row("long", "c")]),
            "a     b\nlong  c\n"
        );
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn text_breaks_at_spaces() {
        assert_eq!(wrap("a bc d", 4), ["a bc", "d"]);
        assert_eq!(wrap("abcdef g", 3), ["abcdef", "g"]);
        assert_eq!(wrap("", 3), [""]);
    }
}
