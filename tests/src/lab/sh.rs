//! Running commands. Everything that is run, and what it says, goes to the console's log.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on nothing is logged: for the demo, which prints for people.
pub fn quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Logs a text unless told to be quiet.
pub fn log(text: &str) {
    if !QUIET.load(Ordering::Relaxed) && !text.is_empty() {
        println!("{}", text.trim_end());
    }
}

/// Lines of a command's words that a message quotes.
const LINES_SAID: usize = 8;

/// What a command did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command line, for messages.
    pub line: String,
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Outcome {
    /// Insists on exit code 0.
    ///
    /// # Errors
    /// If the code is another.
    pub fn ok(self) -> Result<Self> {
        self.exits(0)
    }

    /// Insists on an exit code.
    ///
    /// # Errors
    /// If the code is another.
    pub fn exits(self, code: i32) -> Result<Self> {
        if self.code == Some(code) {
            return Ok(self);
        }
        bail!(
            "`{}` ended with {:?} instead of {code}: {}",
            self.line,
            self.code,
            self.said()
        )
    }

    /// Insists that the command failed in an orderly way: a code other than 0, no panic, one line
    /// on standard error besides those that tell how long it takes, and all of `words` in it.
    ///
    /// # Errors
    /// If any of this is not so.
    pub fn refuses(self, words: &[&str]) -> Result<Self> {
        let lines = self.stderr.trim().lines();
        let said: Vec<&str> = lines.filter(|line| !tells_time(line)).collect();
        let said = said.join("\n");
        match self.code {
            Some(0) => bail!("`{}` succeeded, it should be refused", self.line),
            None | Some(101 | 134) => bail!("`{}` died ({:?}): {said}", self.line, self.code),
            Some(_) => {}
        }
        if said.lines().count() != 1 {
            bail!(
                "`{}` should say one line on standard error, it said:\n{said}",
                self.line
            );
        }
        for word in words {
            if !said.to_lowercase().contains(&word.to_lowercase()) {
                bail!(
                    "`{}` was refused without a word of {word:?}: {said}",
                    self.line
                );
            }
        }
        Ok(self)
    }

    /// The end of what it said: programs name the cause last, and the whole is in the console's log.
    fn said(&self) -> String {
        let said = if self.stderr.trim().is_empty() {
            self.stdout.trim()
        } else {
            self.stderr.trim()
        };
        let lines: Vec<&str> = said.lines().collect();
        let from = lines.len().saturating_sub(LINES_SAID);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

/// A command from a program and words.
#[must_use]
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words.first().copied().unwrap_or("false"));
    command.args(words.iter().skip(1));
    command
}

/// The command line of a command.
#[must_use]
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|w| w.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a command to its end.
///
/// # Errors
/// If it cannot be started.
pub fn run(command: &mut Command) -> Result<Outcome> {
    finish(command.stdin(Stdio::null()))
}

/// Runs a command to its end, with a text on its standard input.
///
/// # Errors
/// If it cannot be started.
pub fn run_with(command: &mut Command, input: &str) -> Result<Outcome> {
    let (read, mut write) = std::io::pipe()?;
    // Shorter than a pipe holds: nobody has to read yet.
    write.write_all(input.as_bytes())?;
    drop(write);
    finish(command.stdin(read))
}

fn finish(command: &mut Command) -> Result<Outcome> {
    let line = line(command);
    log(&format!("$ {line}"));
    let out = command
        .output()
        .with_context(|| format!("cannot run `{line}`"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let outcome = Outcome {
        line,
        code: out.status.code(),
        stdout: text(&out.stdout),
        stderr: text(&out.stderr),
    };
    log(&outcome.stdout);
    log(&outcome.stderr);
    if outcome.code != Some(0) {
        log(&format!("-> {:?}", outcome.code));
    }
    Ok(outcome)
}

/// Runs a command given as words and insists on exit code 0; returns its standard output.
///
/// # Errors
/// If it cannot be started or fails.
pub fn sh(words: &[&str]) -> Result<String> {
    Ok(run(&mut command(words))?.ok()?.stdout)
}

/// Waits until `ready` says so, and gives up after `seconds`.
///
/// # Errors
/// If `what` is not ready in time, or `ready` fails.
pub fn wait_for(what: &str, seconds: u64, mut ready: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    while !ready()? {
        if std::time::Instant::now() > end {
            bail!("{what} is not ready after {seconds} s");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}

/// Whether a line says for how long something has been going on: `pushing HOST/NAME:TAG (3 s)`.
fn tells_time(line: &str) -> bool {
    let time = line
        .strip_suffix(" s)")
        .and_then(|rest| rest.rsplit_once(" ("));
    time.is_some_and(|(_, seconds)| seconds.parse::<u64>().is_ok())
}
