//! Whose a program is: an instance of ours, one that bpfman or libxdp loaded, or of somebody of whom
//! the kernel knows the user and `/proc` perhaps the process.

use std::{collections::HashMap, fmt, fs, path::Path, sync::OnceLock};

use anyhow::Result;
use aya::programs::ProgramInfo;
use dns_trace_bpfman::{Client, Filter, Load, Program};
use serde::Serialize;

use crate::{
    bundle::{Layout, Way, instances},
    daemon::META_INSTANCE,
    local,
};

/// Where bpfman 0.6.0 pins each program that it loaded, `prog_<id>`.
const BPFMAN_FS: &str = "/run/bpfman/fs";

/// Whose a program is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub(crate) enum Owner {
    /// Ours.
    DnsTrace {
        /// The instance.
        instance: String,
    },
    /// bpfman loaded it for somebody.
    Bpfman {
        /// Whole name of the function, of which the kernel keeps 15 characters.
        #[serde(skip_serializing_if = "Option::is_none")]
        program: Option<String>,
        /// Application, as given at load.
        #[serde(skip_serializing_if = "Option::is_none")]
        application: Option<String>,
    },
    /// libxdp, which xdp-loader is a front end of.
    Libxdp,
    /// Somebody else.
    User {
        /// User who loaded it.
        #[serde(skip_serializing_if = "Option::is_none")]
        uid: Option<u32>,
        /// A process that holds it open.
        #[serde(skip_serializing_if = "Option::is_none")]
        process: Option<Process>,
    },
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Process {
    /// Number.
    pub(crate) pid: u32,
    /// Name, as in `/proc/<pid>/comm`.
    pub(crate) name: String,
}

impl Owner {
    /// bpfman, for whomever.
    pub(crate) const fn bpfman() -> Self {
        Self::Bpfman {
            program: None,
            application: None,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DnsTrace { instance } => write!(f, "dns-trace {instance}"),
            Self::Bpfman {
                application: Some(application),
                ..
            } => write!(f, "bpfman, for {application}"),
            Self::Bpfman { .. } => f.write_str("bpfman"),
            Self::Libxdp => f.write_str("libxdp"),
            Self::User { uid, process } => {
                match uid {
                    Some(uid) => write!(f, "uid {uid}")?,
                    None => f.write_str("unknown")?,
                }
                match process {
                    Some(Process { pid, name }) => write!(f, ", {name} (process {pid})"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What is known about owners beside what the kernel tells of a program.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By kernel id: our programs and the daemon's.
    owners: HashMap<u32, Owner>,
    /// By kernel id: who holds a program open; looked up when first asked for.
    holders: OnceLock<HashMap<u32, Process>>,
}

impl Known {
    /// Asks the instances below `root` and the daemon, if it answers.
    pub(crate) async fn gather(root: &Path, socket: &Path) -> Result<Self> {
        let mut known = Self::default();
        // Without a daemon, or where it refuses, its pins still tell its programs apart.
        let managed = Client::new(socket).list(&Filter::default()).await;
        for program in managed.unwrap_or_default() {
            known.add(program);
        }
        for instance in instances(root)? {
            let layout = Layout::new(root, &instance);
            if layout.way() != Some(Way::Local) {
                continue;
            }
            for program in local::loaded(&layout).unwrap_or_default() {
                let instance = instance.to_string();
                known
                    .owners
                    .insert(program.id, Owner::DnsTrace { instance });
            }
        }
        Ok(known)
    }

    fn add(&mut self, program: Program) {
        let Some(managed) = program.managed else {
            return;
        };
        let word = |key: &str| managed.metadata.get(key).map(|w| crate::exit::clean(w));
        let owner = match word(META_INSTANCE) {
            Some(instance) => Owner::DnsTrace { instance },
            None => Owner::Bpfman {
                application: word(Load::APPLICATION).filter(|a| !a.is_empty()),
                program: Some(crate::exit::clean(&managed.name)),
            },
        };
        self.owners.insert(program.id, owner);
    }

    /// Whose the program is.
    pub(super) fn owner(&self, info: &ProgramInfo) -> Owner {
        if let Some(owner) = self.owners.get(&info.id()) {
            return owner.clone();
        }
        if Path::new(BPFMAN_FS)
            .join(format!("prog_{}", info.id()))
            .exists()
        {
            return Owner::bpfman();
        }
        Owner::User {
            uid: info.created_by_uid(),
            process: self.holders.get_or_init(holders).get(&info.id()).cloned(),
        }
    }
}

/// A process other than this one for each program of which it has a descriptor, or one of a link
/// (proc_pid_fdinfo(5)).
fn holders() -> HashMap<u32, Process> {
    let mut holders = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|n| n.parse().ok());
        let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else {
            continue;
        };
        for program in open_programs(&entry.path()) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let name = crate::exit::clean(&name);
            holders.entry(program).or_insert(Process { pid, name });
        }
    }
    holders
}

/// Kernel ids of the programs behind the descriptors of a process.
fn open_programs(process: &Path) -> Vec<u32> {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten();
    let is_bpf = |descriptor: &fs::DirEntry| {
        fs::read_link(descriptor.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("anon_inode:bpf"))
    };
    let program = |descriptor: fs::DirEntry| {
        let info = process.join("fdinfo").join(descriptor.file_name());
        program_in(&fs::read_to_string(info).ok()?)
    };
    descriptors
        .flatten()
        .filter(is_bpf)
        .filter_map(program)
        .collect()
}

/// The program in an `fdinfo` of a program or of a link.
fn program_in(info: &str) -> Option<u32> {
    let number = |line: &str| line.strip_prefix("prog_id:")?.trim().parse().ok();
    info.lines().find_map(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_links_name_their_program() {
        let link =
            "pos:\t0\nflags:\t02000000\nlink_type:\txdp\nlink_id:\t5\nprog_id:\t38\nifindex:\t2\n";
        assert_eq!(program_in(link), Some(38));
        assert_eq!(program_in("pos:\t0\nmap_id:\t7\n"), None);
    }

    #[test]
    fn owners_in_words() {
        let user = |process| Owner::User {
            uid: Some(0),
            process,
        };
        let process = Process {
            pid: 812,
            name: "agent".to_owned(),
        };
        let bpfman = Owner::Bpfman {
            program: Some("count".to_owned()),
            application: Some("acme".to_owned()),
        };
        for (owner, text) in [
            (user(None), "uid 0"),
            (user(Some(process)), "uid 0, agent (process 812)"),
            (bpfman, "bpfman, for acme"),
            (Owner::bpfman(), "bpfman"),
        ] {
            assert_eq!(owner.to_string(), text);
        }
    }
}
