//! Paths inside the bundle's bpffs. Those that a reader uses are a contract and stand in
//! `dns-trace-event`; the others are this tool's own and belong to root alone.
//!
//! What has to be remembered about an instance is kept in symbolic links of bpffs, whose target is
//! the text: they come and go with the pins, so they cannot drift from what is in the kernel.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use dns_trace_event::{self as event, BPFMAN_DIR, LINKS_DIR};

use crate::instance::{Instance, Spot};

/// How the programs of an instance were loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By this tool, through aya.
    Local,
    /// By this tool, through the bpfman daemon.
    Bpfman,
    /// By hand, with bpfman's own command; only the maps were handed over by this tool.
    Granted,
}

impl Way {
    /// Name on screen.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Bpfman => "bpfman",
            Self::Granted => "granted",
        }
    }
}

const PROGRAMS_DIR: &str = "programs";
const FACTS_DIR: &str = "facts";

/// Paths of one instance.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    instance: Instance,
}

impl Layout {
    pub(crate) fn new(root: &Path, instance: &Instance) -> Self {
        Self {
            root: root.to_owned(),
            instance: instance.clone(),
        }
    }

    /// Mount point of the bundle's bpffs.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Name of the instance.
    pub(crate) const fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Folder of the instance.
    pub(crate) fn dir(&self) -> PathBuf {
        self.root.join(self.instance.as_str())
    }

    /// Folder of the rings, which readers use.
    pub(crate) fn rings(&self) -> PathBuf {
        self.dir().join(event::RINGS_DIR)
    }

    /// Folder in which the rings are prepared. Nobody looks there.
    pub(crate) fn rings_next(&self) -> PathBuf {
        self.dir().join("rings_next")
    }

    /// Folder of rings that are being replaced. Nobody looks there.
    pub(crate) fn rings_old(&self) -> PathBuf {
        self.dir().join("rings_old")
    }

    fn private(&self, way: Way) -> PathBuf {
        self.dir().join(if way == Way::Local {
            event::LOCAL_DIR
        } else {
            BPFMAN_DIR
        })
    }

    /// Pin of a program of `load --local`.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs().join(name)
    }

    /// Folder of those pins.
    pub(crate) fn programs(&self) -> PathBuf {
        self.private(Way::Local).join(PROGRAMS_DIR)
    }

    /// Folder of the pins that shall take their place. It is there while they do.
    pub(crate) fn programs_next(&self) -> PathBuf {
        self.private(Way::Local).join("programs_next")
    }

    /// Folder of the pins whose place was taken. It is there until they are removed.
    pub(crate) fn programs_old(&self) -> PathBuf {
        self.private(Way::Local).join("programs_old")
    }

    /// What stands for one attachment: the pin of a link, or a symbolic link with what is known
    /// about it.
    pub(crate) fn link(&self, way: Way, spot: &Spot) -> PathBuf {
        self.private(way).join(LINKS_DIR).join(spot.to_string())
    }

    /// Folder of what shall stand for the attachments to bpfman once an upgrade is through.
    pub(crate) fn links_next(&self) -> PathBuf {
        self.private(Way::Bpfman).join("links_next")
    }

    /// Folder of what stands for the attachments.
    pub(crate) fn links(&self, way: Way) -> PathBuf {
        self.private(way).join(LINKS_DIR)
    }

    /// Folders that readers may list, to know where the instance is attached.
    pub(crate) fn listed(&self) -> [PathBuf; 4] {
        let (local, bpfman) = (self.private(Way::Local), self.private(Way::Bpfman));
        let links = (local.join(LINKS_DIR), bpfman.join(LINKS_DIR));
        [local, links.0, bpfman, links.1]
    }

    /// Folder of what is remembered about the instance. It stays root's alone.
    pub(crate) fn facts(&self, way: Way) -> PathBuf {
        self.private(way).join(FACTS_DIR)
    }

    /// Makes the folders of an instance, for root only.
    pub(crate) fn make(&self, way: Way) -> Result<()> {
        let private = self.private(way);
        let mut folders = vec![self.dir(), private.clone(), private.join(LINKS_DIR)];
        folders.push(self.facts(way));
        if way == Way::Local {
            folders.push(self.programs());
        }
        folders.iter().try_for_each(|folder| make_folder(folder))
    }

    /// How the instance was loaded; `None` if it is not there.
    pub(crate) fn way(&self) -> Option<Way> {
        if !self.dir().is_dir() {
            None
        } else if self.private(Way::Local).is_dir() {
            Some(Way::Local)
        } else if self.private(Way::Bpfman).is_dir() {
            Some(Way::Bpfman)
        } else {
            Some(Way::Granted)
        }
    }

    /// Whether the rings stand there, which is the last step of loading.
    pub(crate) fn is_complete(&self) -> bool {
        self.rings().is_dir()
    }

    /// Remembers a fact about the instance.
    pub(crate) fn remember(&self, way: Way, name: &str, text: &str) -> Result<()> {
        let path = self.facts(way).join(name);
        std::os::unix::fs::symlink(text, &path)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Remembers another fact in the place of one.
    pub(crate) fn replace_fact(&self, way: Way, name: &str, text: &str) -> Result<()> {
        self.forget(way, name)?;
        self.remember(way, name, text)
    }

    /// The same in one step: whoever is interrupted leaves the one fact or the other.
    pub(crate) fn turn_fact(&self, way: Way, name: &str, text: &str) -> Result<()> {
        let next = format!("{name}_next");
        self.forget(way, &next)?;
        self.remember(way, &next, text)?;
        let facts = self.private(way).join(FACTS_DIR);
        fs::rename(facts.join(next), facts.join(name))
            .with_context(|| format!("cannot write {}", facts.join(name).display()))
    }

    /// Forgets a fact, if it was remembered.
    pub(crate) fn forget(&self, way: Way, name: &str) -> Result<()> {
        let path = self.facts(way).join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// A fact; `None` if it was never remembered.
    pub(crate) fn recall(&self, way: Way, name: &str) -> Option<String> {
        note(&self.facts(way).join(name))
    }

    /// The places where the instance is attached, as far as this tool did it, in order.
    pub(crate) fn spots(&self, way: Way) -> Result<Vec<Spot>> {
        let folder = self.private(way).join(LINKS_DIR);
        let mut spots: Vec<Spot> = names(&folder)?
            .iter()
            .filter_map(|n| n.parse().ok())
            .collect();
        spots.sort_by_key(|s| (s.netns, s.ifindex, s.direction, s.hook));
        Ok(spots)
    }
}

/// Target of a symbolic link as text; `None` if it is none.
pub(crate) fn note(path: &Path) -> Option<String> {
    fs::read_link(path)
        .ok()?
        .into_os_string()
        .into_string()
        .ok()
}

/// Makes a folder for root alone, unless it is there.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make the folder {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Names in a folder, sorted; none if there is no such folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot list {}", folder.display()))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// The instances below a root.
pub(crate) fn instances(root: &Path) -> Result<Vec<Instance>> {
    Ok(names(root)?
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new(Path::new("/run/dns-trace"), &"default".parse().unwrap())
    }

    #[test]
    fn what_readers_use_is_as_the_contract_says() {
        assert_eq!(layout().rings(), Path::new("/run/dns-trace/default/rings"));
        assert_eq!(
            layout().program("dns_tcx"),
            Path::new("/run/dns-trace/default/local/programs/dns_tcx")
        );
        let spot = "tcx-ingress-3-4026531840".parse().unwrap();
        assert_eq!(
            layout().link(Way::Local, &spot),
            Path::new("/run/dns-trace/default/local/links/tcx-ingress-3-4026531840")
        );
    }

    #[test]
    fn no_name_of_ours_has_a_dot() {
        let spot = "tcx-ingress-3-4026531840".parse().unwrap();
        for way in [Way::Local, Way::Bpfman] {
            for path in [
                layout().link(way, &spot),
                layout().programs_next(),
                layout().programs_old(),
                layout().rings_next(),
                layout().rings_old(),
                layout().links_next(),
            ] {
                assert!(!path.to_string_lossy().contains('.'), "{}", path.display());
            }
        }
    }
}
