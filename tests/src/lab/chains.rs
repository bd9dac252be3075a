//! What `dns-tracectl status` draws of the programs at the server's device, as lines to compare.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::ctl::{ctl, status};

/// The programs at the server's device in one direction, as `status` has them.
///
/// # Errors
/// If `status` fails or does not know the device.
pub fn side(direction: &str) -> Result<Value> {
    let status = status()?;
    let sides = status.get("sides").and_then(Value::as_array);
    let fits = |side: &&Value| side.get("direction").and_then(Value::as_str) == Some(direction);
    let side = sides.and_then(|sides| sides.iter().find(fits));
    Ok(side
        .with_context(|| format!("no {direction} in {status}"))?
        .clone())
}

/// The programs of a hook in order, a line each; what dispatchers call in their place.
#[must_use]
pub fn drawn(side: &Value, hook: &str) -> Vec<String> {
    let hooks = side.get("hooks").and_then(Value::as_array);
    let fits = |h: &&Value| h.get("hook").and_then(Value::as_str) == Some(hook);
    let list = |v: &Value, key: &str| {
        v.get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let programs = hooks
        .and_then(|h| h.iter().find(fits))
        .map(|h| list(h, "programs"));
    let leaves = programs
        .unwrap_or_default()
        .into_iter()
        .flat_map(
            |program| match program.get("is_dispatcher").and_then(Value::as_bool) {
                Some(true) => list(&program, "slots"),
                _ => vec![program],
            },
        );
    leaves.map(|program| line(&program)).collect()
}

/// `name priority:handle by whom, goes on after outcomes`.
fn line(program: &Value) -> String {
    let word = |path: &str| match program.pointer(path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let place = match word("/priority").as_str() {
        "" => String::new(),
        priority => format!("{priority}:{}", word("/handle")),
    };
    let goes_on: Vec<&str> = program
        .get("proceed_on")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let goes_on = match goes_on.as_slice() {
        [] => String::new(),
        outcomes => format!(", goes on after {}", outcomes.join(" ")),
    };
    let words = [
        word("/name"),
        place,
        "by".to_owned(),
        word("/owner/by"),
        word("/owner/instance"),
        word("/owner/application"),
        word("/owner/uid"),
        word("/owner/process/name"),
        word("/owner/process/pid"),
    ];
    let words: Vec<String> = words.into_iter().filter(|w| !w.is_empty()).collect();
    format!("{}{goes_on}", words.join(" "))
}

/// Insists on the lines.
///
/// # Errors
/// If one differs.
pub fn same(found: &[String], expected: &[&str]) -> Result<()> {
    ensure!(
        found == expected,
        "status draws {found:#?}, expected {expected:#?}"
    );
    Ok(())
}

/// Insists that what `status` prints for people fits 80 columns.
///
/// # Errors
/// If a line is longer.
pub fn fits_a_terminal() -> Result<()> {
    let text = ctl(&["status"])?.ok()?.stdout;
    for line in text.lines() {
        ensure!(line.chars().count() <= 80, "longer than 80 columns: {line}");
    }
    Ok(())
}
