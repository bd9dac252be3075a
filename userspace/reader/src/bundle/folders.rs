//! The folders of an instance's rings.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use dns_trace_event::RINGS_DIR;

use super::OpenError;

/// Device and inode number of a folder. A bpffs never gives an inode number twice.
pub type Identity = (u64, u64);

/// The folder of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// Which one it is: another one may take its place.
    pub identity: Identity,
}

/// The folders of an instance's rings, in the order of their numbers.
///
/// # Errors
/// [`OpenError`], also if there is none.
pub fn folders(root: &Path, instance: &str) -> Result<Vec<Folder>, OpenError> {
    let path = root.join(instance).join(RINGS_DIR);
    let none = || OpenError::NoBundle {
        instance: instance.to_owned(),
        path: path.clone(),
    };
    let mut folders = Vec::new();
    for entry in fs::read_dir(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => none(),
        _ => OpenError::io(&path, error),
    })? {
        let entry = entry.map_err(|error| OpenError::io(&path, error))?;
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let path = entry.path();
        match fs::metadata(&path) {
            Ok(found) => {
                let identity = (found.dev(), found.ino());
                folders.push((number, Folder { path, identity }));
            }
            // It went just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(OpenError::io(&path, error)),
        }
    }
    if folders.is_empty() {
        return Err(none());
    }
    folders.sort_unstable_by_key(|(number, _)| *number);
    Ok(folders.into_iter().map(|(_, folder)| folder).collect())
}
