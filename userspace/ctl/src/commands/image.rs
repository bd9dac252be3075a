//! `image`: makes bytecode images, pushes them to a registry, and shows what is in one.

use std::{
    fmt::Write as _,
    future::Future,
    io::{Read, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Subcommand;
use dns_trace_bytecode::{OBJECT_BE, OBJECT_LE};
use dns_trace_event::ABI_VERSION;
use dns_trace_images::{
    Bundle, Description, Error, Inspection, Login, OBJECT_MAX, Objects, Origin, Registry,
    Transport, build, find_login, inspect_object, registry_of, write_file, write_layout,
    write_layout_archive,
};

use crate::{
    exit::{Exit, Failure},
    report::{Format, Report, table},
};

/// How long a command may be silent.
const SILENCE: Duration = Duration::from_secs(2);
/// Longest password that is read from standard input, in bytes.
const PASSWORD_MAX: u64 = 64 << 10;

/// Arguments of `image`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the image into a folder, or into a .tar archive, as the OCI image layout
    Build(Build),
    /// Push the image to a registry
    Push(Push),
    /// Show what is in an image or an object, and check that the labels say so
    Inspect(Inspect),
    /// Print the labels as build arguments for the Containerfile
    BuildArgs(ObjectArgs),
    /// Write the object of one byte order into a file
    Object(Object),
}

/// Which objects to make an image of.
#[derive(Debug, clap::Args)]
struct ObjectArgs {
    /// Object for little-endian machines, instead of the one in this program
    #[arg(long, value_name = "FILE", requires = "object_be")]
    object_le: Option<PathBuf>,
    /// Object for big-endian machines, instead of the one in this program
    #[arg(long, value_name = "FILE", requires = "object_le")]
    object_be: Option<PathBuf>,
}

/// How to reach a registry.
#[derive(Debug, clap::Args)]
struct RegistryArgs {
    /// Trust the CA certificates in this PEM file, and no others
    #[arg(long, value_name = "FILE", conflicts_with = "plain_http")]
    ca_file: Option<PathBuf>,
    /// Speak HTTP without TLS; credentials travel in the clear
    #[arg(long)]
    plain_http: bool,
    /// Log in with this name instead of what docker login left behind
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

#[derive(Debug, clap::Args)]
struct Build {
    /// Folder, or archive if it ends in .tar
    #[arg(long, short, value_name = "DIR|FILE.tar")]
    output: PathBuf,
    #[command(flatten)]
    objects: ObjectArgs,
}

#[derive(Debug, clap::Args)]
struct Push {
    /// Where to, such as registry.example/dns-trace:0.1.0
    #[arg(value_name = "REF")]
    reference: String,
    #[command(flatten)]
    objects: ObjectArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

#[derive(Debug, clap::Args)]
struct Inspect {
    /// Image in a registry, folder with an image, or object file. A name that exists as a file is one
    #[arg(value_name = "REF|DIR|FILE")]
    what: String,
    #[command(flatten)]
    registry: RegistryArgs,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, clap::Args)]
struct Object {
    /// For which machines
    #[arg(long, value_enum)]
    byte_order: Order,
    /// The file
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// Byte order of a machine.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Order {
    /// amd64, arm64, ppc64le, riscv64
    Little,
    /// s390x
    Big,
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<Report> {
    match args.command {
        Command::Build(args) => run_build(&args),
        Command::Push(args) => run_push(&args).await,
        Command::Inspect(args) => run_inspect(&args).await,
        Command::BuildArgs(args) => run_build_args(&args),
        Command::Object(args) => run_object(&args),
    }
}

fn run_build_args(args: &ObjectArgs) -> Result<Report> {
    let object = args.object_le.as_deref().map(read).transpose()?;
    // Both objects of an image say the same.
    args.bundle()?;
    let of = Description::of(object.as_deref().unwrap_or(OBJECT_LE)).map_err(failure)?;
    let (programs, maps) = (of.programs_label(), of.maps_label());
    Ok(Report::new(format!(
        "PROGRAMS={programs}\nMAPS={maps}\nABI={}",
        of.abi
    )))
}

fn run_object(args: &Object) -> Result<Report> {
    let object = match args.byte_order {
        Order::Little => OBJECT_LE,
        Order::Big => OBJECT_BE,
    };
    write_file(&args.output, object).map_err(failure)?;
    Ok(Report::default())
}

fn run_build(args: &Build) -> Result<Report> {
    let bundle = args.objects.bundle()?;
    let write = if args.output.extension().is_some_and(|end| end == "tar") {
        write_layout_archive
    } else {
        write_layout
    };
    write(&args.output, &bundle).map_err(failure)?;
    Ok(Report::new(bundle.index.digest))
}

async fn run_push(args: &Push) -> Result<Report> {
    let bundle = args.objects.bundle()?;
    let registry = args.registry.connect(&args.reference)?;
    let push = registry.push(&args.reference, &bundle);
    let digest = patiently(&format!("pushing {}", args.reference), push)
        .await
        .map_err(failure)?;
    Ok(Report::new(digest))
}

async fn run_inspect(args: &Inspect) -> Result<Report> {
    let path = Path::new(&args.what);
    let inspection = if path.is_dir() {
        Origin::Layout(path.to_path_buf())
            .inspect()
            .await
            .map_err(failure)?
    } else if path.exists() {
        inspect_object(&read(path)?).map_err(failure)?
    } else {
        let registry = args.registry.connect(&args.what)?;
        let origin = Origin::Registry {
            registry: &registry,
            reference: args.what.clone(),
        };
        let work = origin.inspect();
        patiently(&format!("reading {}", args.what), work)
            .await
            .map_err(failure)?
    };
    Ok(Report::new(match args.output {
        Format::Json => serde_json::to_string_pretty(&inspection)?,
        Format::Text => text(&inspection)?,
    }))
}

impl ObjectArgs {
    fn bundle(&self) -> Result<Bundle> {
        let version = env!("CARGO_PKG_VERSION");
        let objects = match (&self.object_le, &self.object_be) {
            (Some(little), Some(big)) => {
                let (little, big) = (read(little)?, read(big)?);
                return build(
                    Objects {
                        little: &little,
                        big: &big,
                    },
                    version,
                )
                .map_err(failure);
            }
            _ => Objects {
                little: OBJECT_LE,
                big: OBJECT_BE,
            },
        };
        build(objects, version).map_err(failure)
    }
}

impl RegistryArgs {
    fn connect(&self, reference: &str) -> Result<Registry> {
        let name = registry_of(reference).map_err(failure)?;
        let transport = match (&self.ca_file, self.plain_http) {
            (_, true) => Transport::PlainHttp,
            (Some(file), false) => Transport::TlsWithCa(file.clone()),
            (None, false) => Transport::Tls,
        };
        let login = match &self.username {
            Some(username) => Some(Login {
                username: username.clone(),
                password: password(std::io::stdin())?,
            }),
            None => find_login(&name).map_err(failure)?,
        };
        Registry::new(&transport, login).map_err(failure)
    }
}

/// A password and the line end after it, which is not part of it.
fn password(input: impl Read) -> Result<String> {
    let mut text = String::new();
    input
        .take(PASSWORD_MAX)
        .read_to_string(&mut text)
        .context("read the password")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads an object, or the start of something that is too large to be one.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(OBJECT_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::File {
            operation: "read",
            path: path.to_path_buf(),
            source,
        })
        .map_err(failure)?;
    Ok(bytes)
}

/// Waits for `work`; says on standard error that it does if that takes long.
async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(SILENCE, &mut work).await {
            Ok(done) => return done,
            Err(_) => {
                // Nobody listens to standard error: no reason to stop.
                let _ = writeln!(
                    std::io::stderr(),
                    "{what} ({} s)",
                    start.elapsed().as_secs()
                );
            }
        }
    }
}

/// An error of the image crate with its exit code.
pub(crate) fn failure(error: Error) -> anyhow::Error {
    let exit = match &error {
        Error::UntrustedCertificate { .. }
        | Error::NotTls { .. }
        | Error::Unreachable { .. }
        | Error::Unauthorised { .. }
        | Error::NotFound { .. }
        | Error::Refused { .. }
        | Error::CredentialHelper { .. }
        | Error::CredentialFile { .. } => Exit::Registry,
        Error::Reference { .. } => Exit::Usage,
        Error::File { source, .. } => match source.kind() {
            std::io::ErrorKind::NotFound => Exit::Missing,
            std::io::ErrorKind::PermissionDenied => Exit::Permission,
            _ => Exit::Runtime,
        },
        Error::NoAuthorities { .. } => Exit::Missing,
        Error::CaFile { .. } | Error::HttpClient { .. } => Exit::Runtime,
        _ => Exit::Object,
    };
    Failure::new(exit, error.to_string())
}

fn text(inspection: &Inspection) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    if let Some(digest) = &inspection.digest {
        writeln!(text, "digest    {digest}")?;
    }
    let newer = if inspection.abi > ABI_VERSION {
        format!(", newer than this program's {ABI_VERSION}")
    } else {
        String::new()
    };
    writeln!(text, "ABI       {}{newer}", inspection.abi)?;
    for (label, name) in [("version", "version"), ("licenses", "licence")] {
        if let Some(value) = inspection
            .labels
            .get(&format!("org.opencontainers.image.{label}"))
        {
            writeln!(text, "{name:<10}{}", value.escape_debug())?;
        }
    }
    let list = |map: &std::collections::BTreeMap<String, String>| {
        let items = map
            .iter()
            .map(|(name, kind)| format!("{} ({kind})", name.escape_debug()));
        items.collect::<Vec<_>>().join(", ")
    };
    writeln!(text, "programs  {}", list(&inspection.programs))?;
    writeln!(text, "maps      {}", list(&inspection.maps))?;
    if inspection.platforms.is_empty() {
        return Ok(text);
    }
    let head = ["platform", "byte order", "object", "layer", "manifest"]
        .map(str::to_owned)
        .to_vec();
    let rows = inspection.platforms.iter().map(|p| {
        vec![
            format!("{}/{}", p.os, p.architecture)
                .escape_debug()
                .to_string(),
            p.byte_order.to_string(),
            format!("{} B", p.object_bytes),
            format!("{} B", p.layer_bytes),
            p.digest.clone(),
        ]
    });
    writeln!(
        text,
        "\n{}",
        table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_end_is_not_part_of_the_password() {
        for input in ["pass word\n", "pass word\r\n", "pass word"] {
            assert_eq!(password(input.as_bytes()).unwrap(), "pass word");
        }
    }

    #[test]
    fn registry_errors_have_their_exit_code() {
        let error = Error::NotTls {
            registry: "r".into(),
        };
        assert_eq!(crate::exit::code_of(&failure(error)), Exit::Registry);
        let error = Error::NoLabels { label: "l" };
        assert_eq!(crate::exit::code_of(&failure(error)), Exit::Object);
    }
}
