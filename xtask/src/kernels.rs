//! Kernels to boot: a table, and fetching what it names into the cache.
//!
//! The table has no hashes: apt verifies Debian's signature of each suite's index, and each package by the
//! hash that the index has of it. A second list of hashes would only keep security updates out.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::archive::Archive;
use crate::setup::step;
use crate::{cmd, paths};

/// A kernel of the matrix.
pub(crate) struct Kernel {
    /// What it is called on the command line and in reports.
    pub(crate) name: &'static str,
    /// Packages that qualify; the newest is taken. `*` stands for a run of digits and dots.
    pattern: &'static str,
    /// Booted by `cargo xtask test`.
    pub(crate) short_matrix: bool,
}

/// The matrix, oldest first.
pub(crate) const KERNELS: &[Kernel] = &[
    Kernel {
        name: "5.10",
        pattern: "linux-image-5.10.0-*-cloud-amd64",
        short_matrix: false,
    },
    Kernel {
        name: "6.1",
        pattern: "linux-image-6.1.0-*-cloud-amd64",
        short_matrix: true,
    },
    Kernel {
        name: "6.12",
        pattern: "linux-image-6.12.*+deb12-cloud-amd64",
        short_matrix: true,
    },
    Kernel {
        name: "6.18",
        pattern: "linux-image-6.18.*+deb13-cloud-amd64",
        short_matrix: false,
    },
    Kernel {
        name: "newest",
        pattern: "linux-image-*+deb13-cloud-amd64",
        short_matrix: false,
    },
];

/// Packages that make up a kernel, as far as a release has them.
const PARTS: [&str; 4] = ["image", "binary", "modules", "base"];

/// An unpacked kernel package.
pub(crate) struct Fetched {
    /// The compressed kernel.
    pub(crate) image: PathBuf,
    /// `lib/modules/<release>`.
    pub(crate) modules: PathBuf,
}

/// Selects kernels: `all`, or names separated by commas; the short matrix if there is no choice.
pub(crate) fn select(choice: Option<&str>) -> Result<Vec<&'static Kernel>> {
    match choice {
        None => Ok(KERNELS.iter().filter(|k| k.short_matrix).collect()),
        Some("all") => Ok(KERNELS.iter().collect()),
        Some(names) => names
            .split(',')
            .map(|name| {
                KERNELS.iter().find(|k| k.name == name).with_context(|| {
                    let known: Vec<_> = KERNELS.iter().map(|k| k.name).collect();
                    format!(
                        "there is no kernel {name}; known: {} and all",
                        known.join(", ")
                    )
                })
            })
            .collect(),
    }
}

impl Kernel {
    fn folder(&self) -> Result<PathBuf> {
        Ok(paths::cache()?.join("kernels").join(self.name))
    }

    /// Returns the kernel, after fetching it if it is not in the cache.
    pub(crate) fn fetch(&self) -> Result<Fetched> {
        let folder = self.folder()?;
        if !folder.is_dir() {
            step(&format!("fetching kernel {}", self.name), || {
                self.download(&folder)
            })?;
        }
        let modules = [folder.join("lib/modules"), folder.join("usr/lib/modules")];
        let modules = modules.iter().find(|m| m.is_dir()).with_context(|| {
            format!(
                "{} holds no modules; remove it and try again",
                folder.display()
            )
        })?;
        let modules = only_entry(modules, "")?;
        let beside = modules.join("vmlinuz");
        let image = if beside.is_file() {
            beside
        } else {
            only_entry(&folder.join("boot"), "vmlinuz-")?
        };
        Ok(Fetched { image, modules })
    }

    fn download(&self, folder: &Path) -> Result<()> {
        let archive = Archive::prepare()?;
        let apt = |program: &str| {
            let mut command = Command::new(program);
            // What the machine has installed is not in question here.
            command
                .args(archive.options())
                .args(["-o", "Dir::State::status=/dev/null"]);
            command
        };
        let names = cmd::output(apt("apt-cache").args(["pkgnames", "linux-"]))?;
        let name = names
            .lines()
            .filter(|name| matches(self.pattern, name))
            .max_by(|a, b| compare_versions(a, b))
            .with_context(|| format!("Debian's archive has no package {}", self.pattern))?;
        let release = name.trim_start_matches("linux-image-");
        // From 7.3 on the package is empty and depends on those that hold kernel and modules.
        let parts = PARTS.map(|part| format!("linux-{part}-{release}"));
        let parts = parts
            .iter()
            .filter(|part| names.lines().any(|name| name == *part));
        let parent = folder.parent().context("the cache has no parent")?;
        fs::create_dir_all(parent)?;
        let work = tempfile::Builder::new()
            .prefix("fetch-")
            .tempdir_in(parent)?;
        let tree = work.path().join("tree");
        for part in parts {
            cmd::output(
                apt("apt-get")
                    .args(["-q", "download", part])
                    .current_dir(work.path()),
            )?;
            let package = only_entry(work.path(), &format!("{part}_"))?;
            cmd::output(Command::new("dpkg").arg("-x").arg(&package).arg(&tree))?;
        }
        // Renamed at the end, so that an interrupted run leaves nothing half-done under the name.
        fs::rename(&tree, folder).with_context(|| format!("cannot create {}", folder.display()))
    }
}

/// The one entry of a folder whose name begins with `prefix`.
fn only_entry(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        n => bail!("{} holds {n} entries {prefix}*, not one", folder.display()),
    }
}

/// Whether a name fits a pattern with one `*`, which stands for digits and dots.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let middle = name
        .strip_prefix(head)
        .and_then(|rest| rest.strip_suffix(tail));
    middle.is_some_and(|m| !m.is_empty() && m.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// Compares names by the numbers in them.
fn compare_versions(a: &str, b: &str) -> Ordering {
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse().ok())
            .collect()
    };
    numbers(a).cmp(&numbers(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_digits_and_dots_only() {
        assert!(matches(
            "linux-image-6.1.0-*-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64"
        ));
        assert!(!matches(
            "linux-image-6.1.0-*-cloud-amd64",
            "linux-image-6.1.0-0.deb11.52-cloud-amd64"
        ));
        assert!(!matches(
            "linux-image-*+deb13-cloud-amd64",
            "linux-image-7.3.4+deb13-rt-amd64"
        ));
        assert!(!matches(
            "linux-image-6.1.0-*-cloud-amd64",
            "linux-image-6.1.0--cloud-amd64"
        ));
    }

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(
            compare_versions("a-6.9.1+deb13", "a-6.12.1+deb13"),
            Ordering::Less
        );
        assert_eq!(
            compare_versions("a-6.12.90+deb12.1", "a-6.12.90+deb12"),
            Ordering::Greater
        );
    }

    #[test]
    fn an_unknown_kernel_is_refused_by_name() {
        let error = select(Some("6.1,4.4"))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        assert!(error.contains("4.4") && error.contains("6.12"), "{error}");
    }
}
