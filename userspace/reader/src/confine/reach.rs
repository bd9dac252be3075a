//! Landlock: which files and which TCP ports the process can still reach.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd,
    PathFdError, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError,
    Scope, make_bitflags,
};

use super::{Error, Needs};

/// Newest rights that are taken away, those of Linux 6.12; an older kernel takes away fewer.
const TESTED: ABI = ABI::V6;

/// Where the resolver of the C library reads. Folders, since what manages the network replaces the files.
const RESOLVER: [&str; 3] = ["/etc", "/run/systemd/resolve", "/run/NetworkManager"];

/// Takes away what is not needed; what the kernel has of Landlock.
pub(super) fn limit(needs: &Needs) -> Result<LandlockStatus, Error> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(TESTED))?
        .handle_access(AccessNet::from_all(TESTED))?
        .scope(Scope::from_all(TESTED))?
        .create()?;
    for path in &needs.reads {
        rules = read(rules, path)?;
    }
    for path in &needs.lists {
        rules = optional(rules, path, AccessFs::ReadDir.into())?;
    }
    for path in &needs.writes {
        rules = write(rules, path)?;
    }
    if needs.terminal {
        rules = optional(rules, Path::new("/dev/tty"), TERMINAL)?;
    }
    if !needs.connects.is_empty() {
        for folder in RESOLVER {
            rules = read(rules, Path::new(folder))?;
        }
    }
    for port in &needs.connects {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(rules.restrict_self()?.landlock)
}

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const TERMINAL: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | IoctlDev});
/// Renaming within a folder is making and removing.
const WRITE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile});

fn read(rules: RulesetCreated, path: &Path) -> Result<RulesetCreated, RulesetError> {
    optional(rules, path, READ)
}

/// What is not there cannot be opened either, and neither can what this user may not see.
fn optional(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(file) => rules.add_rule(PathBeneath::new(file, fitting(path, access))),
        Err(_) => Ok(rules),
    }
}

fn write(rules: RulesetCreated, path: &PathBuf) -> Result<RulesetCreated, Error> {
    match PathFd::new(path) {
        Ok(folder) => Ok(rules.add_rule(PathBeneath::new(folder, fitting(path, WRITE)))?),
        Err(PathFdError::OpenCall { source, .. }) => Err(Error::Path {
            path: path.clone(),
            source,
        }),
        Err(error) => Err(Error::Path {
            path: path.clone(),
            source: std::io::Error::other(error),
        }),
    }
}

/// Rights to folders mean nothing for a file, and the kernel refuses them there.
fn fitting(path: &Path, access: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(TESTED)
    }
}
