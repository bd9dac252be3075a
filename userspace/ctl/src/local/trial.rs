//! A trial load of an object that came from a file or an image, in a process of its own: aya panics
//! on some damaged objects, and this process has things to put in order when a load fails.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::{Object, programs::verified};
use crate::{
    commands::{Settings, TRY_OBJECT},
    exit::{Exit, Failure},
};

/// Tries the object; refuses it if the trial crashes. A plain error is left to the real load, which
/// runs into it too and knows more about it.
pub(super) fn run(object: &Object, names: &[&str]) -> Result<()> {
    let mut child = Command::new("/proc/self/exe")
        .arg(TRY_OBJECT)
        .args(names)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a process to try the object in")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A process that crashed takes no more; its end tells.
        let _ = stdin.write_all(&object.bytes);
    }
    let status = child
        .wait()
        .context("cannot wait for the process that tries the object")?;
    if status
        .code()
        .is_some_and(|code| code <= i32::from(Exit::Registry as u8))
    {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Object,
        format!(
            "{} is a damaged object: its loader crashed on a trial (check the file or image)",
            object.source
        ),
    ))
}

/// The other side: loads the object on standard input and lets it go again.
pub(crate) fn try_object(names: &[String]) -> Result<()> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    verified(&Object::stdin()?, &names, &Settings::default(), None).map(drop)
}
