//! The file for the summary: opened before anything else, so that a session does not run for
//! hours and then has nowhere to write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::counts::Summary;

/// An open file. One that was not there before goes again unless the session begins.
#[derive(Debug)]
pub(super) struct SummaryFile {
    file: File,
    path: PathBuf,
    remove: bool,
}

impl SummaryFile {
    /// Opens or creates the file. What it holds stays until there is a summary.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let created = OpenOptions::new().write(true).create_new(true).open(path);
        let remove = created.is_ok();
        let file = match created {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                OpenOptions::new().write(true).open(path)
            }
            created => created,
        };
        Ok(Self {
            file: file.with_context(|| named(path))?,
            path: path.to_owned(),
            remove,
        })
    }

    /// The session begins, and with it the process gives up the right to remove files: from here on an
    /// empty file says that it did not come to a summary.
    pub(super) const fn keep(&mut self) {
        self.remove = false;
    }

    /// Replaces the contents, or leaves them if the disk is full.
    pub(super) fn write(mut self, summary: &Summary) -> anyhow::Result<()> {
        self.keep();
        self.replace(summary).with_context(|| named(&self.path))
    }

    fn replace(&mut self, summary: &Summary) -> io::Result<()> {
        let mut text = Vec::new();
        summary.write_json(&mut text)?;
        // A pipe or a terminal has no length.
        if self.file.metadata()?.is_file() {
            let length = text.len() as u64;
            reserve(&self.file, length)?;
            self.file.write_all(&text)?;
            return self.file.set_len(length);
        }
        self.file.write_all(&text)
    }
}

impl Drop for SummaryFile {
    fn drop(&mut self) {
        if self.remove {
            // Whatever ends the session is what is reported, not this.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes sure that so many bytes have room, before any of them is written.
fn reserve(file: &File, length: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        // Not every file system can; there the write itself has to tell.
        Err(Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        result => Ok(result?),
    }
}

fn named(path: &Path) -> String {
    format!("cannot write the summary to {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_contents_stay_until_there_are_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary");
        fs::write(&path, "old ".repeat(1000)).unwrap();
        drop(SummaryFile::open(&path).unwrap());
        assert!(fs::read_to_string(&path).unwrap().starts_with("old"));
        let file = SummaryFile::open(&path).unwrap();
        file.write(&Summary::default()).unwrap();
        let text = fs::read(&path).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["reader"]["records"], 0);
    }

    #[test]
    fn a_new_file_does_not_outlive_a_session_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary");
        drop(SummaryFile::open(&path).unwrap());
        assert!(!path.exists());
    }
}
