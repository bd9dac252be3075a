//! Shell completions and manual pages, made from the definition.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

/// Arguments of `completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Folder for one page a command; without it the main page goes to standard output
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// The completions.
#[must_use]
pub fn completions<C: CommandFactory>(args: &CompletionsArgs) -> String {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page; or nothing, and all pages are in the folder, which has to exist.
///
/// # Errors
/// The folder's, with its name.
pub fn man<C: CommandFactory>(args: &ManArgs) -> io::Result<String> {
    let command = C::command();
    let Some(folder) = &args.folder else {
        let mut text = Vec::new();
        Man::new(command).render(&mut text)?;
        return Ok(String::from_utf8_lossy(&text).into_owned());
    };
    let written = clap_mangen::generate_to(command, folder);
    written.map(|()| String::new()).map_err(|error| {
        let what = format!("cannot write manual pages to {}: {error}", folder.display());
        io::Error::new(error.kind(), what)
    })
}

/// Prints a page.
///
/// # Errors
/// The output's; that nobody reads it is none.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
