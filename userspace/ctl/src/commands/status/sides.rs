//! The programs at an interface as a table for people: one line a program, in the order in which
//! packets pass them, this instance's marked.

use super::gather::Side;
use crate::{
    chain::{Neighbour, Owner},
    report::{table, wrap},
};

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Least width of the last column, also where the others leave less.
const OWNER_MIN: usize = 20;
const INDENT: &str = "    ";

/// The table with its head, which names the interface.
pub(super) fn text(side: &Side, instance: &str) -> String {
    let mut rows = vec![Row::head()];
    for chain in &side.hooks {
        let mut hook = chain.hook;
        let mut place = 0;
        for program in &chain.programs {
            if !program.is_dispatcher {
                place += 1;
            }
            let number = (!program.is_dispatcher).then_some(place);
            rows.push(Row::new(
                std::mem::take(&mut hook),
                number,
                program,
                instance,
            ));
            for slot in &program.slots {
                place += 1;
                rows.push(Row::new("", Some(place), slot, instance));
            }
        }
    }
    let mut text = format!("  {} {}\n", side.iface, side.direction);
    text.push_str(&lay_out(&rows));
    text
}

/// A program: cells that stay on a line, and the last one, which may need several.
struct Row {
    cells: [String; 5],
    last: String,
}

impl Row {
    fn head() -> Self {
        Self {
            cells: ["HOOK", "", "PROGRAM", "ID", "PRIORITY"].map(str::to_owned),
            last: "OWNER".to_owned(),
        }
    }

    fn new(hook: &str, number: Option<usize>, program: &Neighbour, instance: &str) -> Self {
        let owner = match &program.owner {
            Some(Owner::DnsTrace { instance: of }) if of == instance => "this instance".to_owned(),
            Some(owner) => owner.to_string(),
            None => String::new(),
        };
        let mark = if owner == "this instance" { "> " } else { "  " };
        let priority = match (program.priority, program.handle) {
            (Some(priority), Some(handle)) => format!("{priority}:{handle:x}"),
            (Some(priority), None) => priority.to_string(),
            (None, _) => String::new(),
        };
        let number = number.map(|n| format!("{mark}{n}"));
        Self {
            cells: [
                hook.to_owned(),
                number.unwrap_or_default(),
                program.name.clone(),
                program.id.map(|id| id.to_string()).unwrap_or_default(),
                priority,
            ],
            last: [owner, details(program)]
                .into_iter()
                .filter(|t| !t.is_empty())
                .collect::<Vec<_>>()
                .join("; "),
        }
    }
}

/// What else there is to say: the mode at XDP, and what a dispatcher makes of the outcome. The outcome
/// of an empty slot says nothing about this one.
fn details(program: &Neighbour) -> String {
    let outcomes: Vec<&str> = program
        .proceed_on
        .iter()
        .copied()
        .filter(|o| *o != "dispatcher_return")
        .collect();
    match (program.mode, outcomes.is_empty()) {
        (Some(mode), _) => format!("{mode} mode"),
        (None, false) => format!("goes on after {}", outcomes.join(", ")),
        (None, true) => String::new(),
    }
}

fn lay_out(rows: &[Row]) -> String {
    let used = |column: usize| {
        let widths = rows.iter().filter_map(|r| r.cells.get(column));
        widths.map(|c| c.chars().count()).max().unwrap_or(0) + 2
    };
    let left: usize = (0..5).map(used).sum::<usize>() + INDENT.len();
    let width = WIDTH.saturating_sub(left).max(OWNER_MIN);
    let mut lines = Vec::new();
    for row in rows {
        for (at, part) in wrap(&row.last, width).into_iter().enumerate() {
            let mut line = if at == 0 {
                row.cells.to_vec()
            } else {
                vec![String::new(); row.cells.len()]
            };
            line.push(part);
            lines.push(line);
        }
    }
    table(&lines)
        .lines()
        .map(|line| format!("{INDENT}{line}\n"))
        .collect()
}
