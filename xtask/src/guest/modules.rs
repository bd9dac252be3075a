//! Kernel modules: those that the scenarios need and what they depend on, in loading order.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cmd;

/// Modules that scenarios need. A kernel that has one built in lists it in `modules.builtin`.
const WANTED: &[&str] = &[
    "veth",
    "sch_ingress",
    "cls_bpf",
    "act_bpf",
    "8021q",
    "tun",
    "dummy",
    "bridge",
    "ipip",
    "sit",
];

/// Copies the wanted modules, and more, into `root/modules`, numbered in the order in which to load them.
pub(crate) fn stage(modules: &Path, more: &[&str], root: &Path) -> Result<()> {
    let target = root.join("modules");
    fs::create_dir_all(&target)?;
    let index = Index::read(modules)?;
    let mut order = Vec::new();
    for name in WANTED.iter().chain(more) {
        index.resolve(name, &mut order, 0)?;
    }
    for (number, (name, content)) in order.iter().enumerate() {
        fs::write(target.join(format!("{number:02}-{name}.ko")), content)?;
    }
    Ok(())
}

/// Every module of a kernel package, by name with `_` for `-`.
struct Index {
    files: HashMap<String, PathBuf>,
    builtin: String,
}

impl Index {
    fn read(modules: &Path) -> Result<Self> {
        let mut files = HashMap::new();
        let mut folders = vec![modules.join("kernel")];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder)
                .with_context(|| format!("cannot read {}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some((stem, _)) = path
                    .file_name()
                    .and_then(|n| n.to_str())
                    .and_then(|n| n.split_once(".ko"))
                {
                    files.insert(stem.replace('-', "_"), path.clone());
                }
            }
        }
        let builtin = fs::read_to_string(modules.join("modules.builtin")).unwrap_or_default();
        Ok(Self {
            files,
            builtin: builtin.replace('-', "_"),
        })
    }

    /// Appends a module after those it depends on. The depth bounds a circle, which no kernel has.
    fn resolve(&self, name: &str, order: &mut Vec<(String, Vec<u8>)>, depth: u32) -> Result<()> {
        let name = name.replace('-', "_");
        let is_builtin = self.builtin.contains(&format!("/{name}.ko"));
        if is_builtin || order.iter().any(|(known, _)| *known == name) {
            return Ok(());
        }
        if depth > 16 {
            bail!("module {name} depends on itself");
        }
        let file = self
            .files
            .get(&name)
            .with_context(|| format!("this kernel has no module {name}"))?;
        let content = read_module(file)?;
        for dependency in dependencies(&content) {
            self.resolve(&dependency, order, depth + 1)?;
        }
        order.push((name, content));
        Ok(())
    }
}

fn read_module(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_some_and(|e| e == "xz") {
        let out = Command::new("xz")
            .arg("-dc")
            .arg(file)
            .output()
            .context("cannot run xz")?;
        if !out.status.success() {
            bail!(
                "cannot unpack {}: {}",
                file.display(),
                String::from_utf8_lossy(&out.stderr).trim()
            );
        }
        return Ok(out.stdout);
    }
    if file.extension().is_some_and(|e| e != "ko") {
        bail!(
            "cannot unpack {}: unknown compression ({})",
            file.display(),
            cmd::line(&Command::new("xz"))
        );
    }
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The names in the `depends=` entry of a module's `.modinfo` section.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|w| w == KEY) else {
        return Vec::new();
    };
    let rest = module.get(at + KEY.len()..).unwrap_or_default();
    let value = rest.split(|b| *b == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names
        .split(',')
        .filter(|n| !n.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::dependencies;

    #[test]
    fn dependencies_are_read_from_modinfo() {
        assert_eq!(
            dependencies(b"x\0depends=mrp,garp\0name=8021q\0"),
            ["mrp", "garp"]
        );
        assert!(dependencies(b"x\0depends=\0name=veth\0").is_empty());
        assert!(dependencies(b"no modinfo").is_empty());
    }
}
