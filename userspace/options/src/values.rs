//! From a value of the file to arguments, by what the option takes.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};
use toml::de::{DeArray, DeValue};

/// Arguments that say the same, or what the option wants instead.
pub(crate) fn arguments(arg: &Arg, value: &DeValue<'_>) -> Result<Vec<OsString>, String> {
    let name = arg.get_long().unwrap_or_default();
    let found = value.type_str();
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, DeValue::Boolean(true)) => Ok(vec![format!("--{name}").into()]),
        (ArgAction::SetTrue, DeValue::Boolean(false)) => Ok(Vec::new()),
        (ArgAction::SetTrue, _) => Err(format!("wants true or false, not a value of type {found}")),
        (ArgAction::Append, DeValue::Array(values)) => each(name, values),
        (_, DeValue::Array(values)) if arg.get_value_delimiter().is_some() => each(name, values),
        (_, value) => match scalar(value) {
            Some(text) => Ok(vec![format!("--{name}={text}").into()]),
            None => Err(format!(
                "wants a string or a number, not a value of type {found}"
            )),
        },
    }
}

fn each(name: &str, values: &DeArray<'_>) -> Result<Vec<OsString>, String> {
    let each = values.iter().map(|value| {
        let value = value.get_ref();
        let text = scalar(value).ok_or_else(|| {
            let found = value.type_str();
            format!("wants strings or numbers, not a value of type {found}")
        })?;
        Ok(format!("--{name}={text}").into())
    });
    each.collect()
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// Why the option itself finds fault with the value. Whatever else may be missing or contradict is for
/// the parse of all arguments.
pub(crate) fn refusal(program: &Command, path: &[String], arg: &OsString) -> Option<String> {
    let mut args: Vec<OsString> = vec![program.get_name().into()];
    args.extend(path.iter().map(OsString::from));
    args.push(arg.clone());
    let error = program.clone().try_get_matches_from(args).err()?;
    let faulty = [ErrorKind::InvalidValue, ErrorKind::ValueValidation];
    if !faulty.contains(&error.kind()) {
        return None;
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Possible values are in a line of their own, hints come after an empty one.
    let lines = text.lines().take_while(|line| !line.is_empty());
    Some(lines.map(str::trim).collect::<Vec<_>>().join(" "))
}
