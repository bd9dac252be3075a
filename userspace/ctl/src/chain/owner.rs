//! Whose a program is: an instance of ours, one that bpfman or libxdp loaded, or of somebody of whom
//! the kernel knows the user and `/proc` perhaps the process.

use std::{collections::HashMap, fmt, fs, path::Path};

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

/// The programs whose owner is known without asking the kernel.
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<u32, Owner>);

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
                known.0.insert(program.id, Owner::DnsTrace { instance });
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
        self.0.insert(program.id, owner);
    }

    /// Whose the program is.
    pub(super) fn owner(&self, info: &ProgramInfo) -> Owner {
        if let Some(owner) = self.0.get(&info.id()) {
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
            process: holder(info.id()),
        }
    }
}

/// A process other than this one that has the program, or a link of it, open (proc_pid_fdinfo(5)).
fn holder(program: u32) -> Option<Process> {
    let wanted = format!("prog_id:\t{program}");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let holds = pid != std::process::id() && has_open(&entry.path(), &wanted);
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        holds.then(|| Process {
            pid,
            name: crate::exit::clean(&name),
        })
    })
}

fn has_open(process: &Path, wanted: &str) -> bool {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten();
    descriptors.flatten().any(|descriptor| {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        let is_bpf = target.to_string_lossy().starts_with("anon_inode:bpf");
        is_bpf
            && fs::read_to_string(process.join("fdinfo").join(descriptor.file_name()))
                .is_ok_and(|info| info.lines().any(|line| line == wanted))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
