//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use dns_trace_event::{BUNDLE_ROOT, DEFAULT_GROUP, DEFAULT_INSTANCE};
use dns_trace_options::pages::{CompletionsArgs, ManArgs};

use crate::{commands, exit, instance::Instance};

/// Loads the dns-trace programs into the kernel and hands their maps over to a group, whose members
/// then watch DNS with dns-trace, without any privilege.
#[derive(Debug, Parser)]
#[command(name = "dns-tracectl", version, after_help = exit::TABLE, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Take further options from this TOML file: a section a command, such as `[load]`, and the long
    /// names of its options
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load the programs, attach them, and let a group read
    Load(commands::load::Args),
    /// Let a group read a bundle that bpfman loaded, or another group one that is loaded
    Grant(commands::grant::Args),
    /// Show what is loaded, where, beside whom, and who reads
    Status(commands::status::Args),
    /// Put other programs in the place of the loaded ones, without a gap
    Upgrade(commands::upgrade::Args),
    /// Remove everything that load made, and only that
    Unload(commands::unload::Args),
    /// Check what this kernel, bpfman and these permissions allow
    Doctor(commands::doctor::Args),
    /// Build, push and inspect bytecode images
    Image(commands::image::Args),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write a page a command into a folder
    Man(ManArgs),
    /// Load the object on standard input and let it go again
    #[command(name = commands::TRY_OBJECT, hide = true)]
    TryObject {
        /// Programs to load
        programs: Vec<String>,
    },
}

/// The bundle that a command is about.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Bundle {
    /// Name of the bundle, where a host has several
    #[arg(long, value_name = "NAME", default_value = DEFAULT_INSTANCE)]
    pub(crate) instance: Instance,
    /// Mount point of the bundle's bpffs
    #[arg(long, value_name = "DIR", default_value = BUNDLE_ROOT, hide = true)]
    pub(crate) root: PathBuf,
}

/// The daemon.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Daemon {
    /// Socket of the bpfman daemon
    #[arg(long, value_name = "PATH", default_value = dns_trace_bpfman::DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,
}

/// Who may read.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Readers {
    /// Group whose members may read
    #[arg(long, value_name = "NAME", default_value = DEFAULT_GROUP)]
    pub(crate) group: String,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Cli;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ctl.toml");
        let text = "[load]\nlocal = true\niface = ['a', 'b']\nports = '53,5300'\nsample = 100\n";
        std::fs::write(&path, text).unwrap();
        let args = ["dns-tracectl", "--config", path.to_str().unwrap(), "load"];
        let cli: Cli = dns_trace_options::parse(args.map(Into::into)).unwrap();
        let given = ["dns-tracectl", "load", "--local", "--iface=a", "--iface=b"];
        let given = given.into_iter().chain(["--ports=53,5300", "--sample=100"]);
        let given = Cli::try_parse_from(given).unwrap();
        assert_eq!(format!("{:?}", cli.command), format!("{:?}", given.command));
    }

    #[test]
    fn help_is_as_documented() {
        let mut cli = Cli::command().term_width(100);
        cli.build();
        insta::assert_snapshot!("help", cli.render_long_help());
        for name in ["load", "grant", "status", "upgrade", "unload", "doctor"] {
            let command = cli.find_subcommand_mut(name).unwrap();
            insta::assert_snapshot!(format!("help-{name}"), command.render_help());
        }
    }
}
