//! Debian packages: which are missing, and installing those without starting their services.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::packages::Package;
use super::step;
use crate::archive::{Archive, BACKPORTS};
use crate::{cmd, paths};

/// Whether this is Debian 12, the distribution that setup can install on.
pub(crate) fn is_debian_12() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|l| l == "ID=debian") && release.lines().any(|l| l == "VERSION_ID=\"12\"")
}

/// The packages that are not installed.
pub(crate) fn missing(
    packages: impl Iterator<Item = &'static Package>,
) -> Result<Vec<&'static Package>> {
    let packages: Vec<_> = packages.collect();
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${Package} ${db:Status-Abbrev}\n"]);
    query.args(packages.iter().map(|p| p.name));
    // It fails if it knows one of the names not at all, and still prints the others.
    let out = query
        .output()
        .map_err(|e| anyhow::anyhow!("cannot run dpkg-query: {e}"))?;
    let text = String::from_utf8_lossy(&out.stdout);
    let installed: HashSet<&str> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, status)| status.starts_with("ii") || status.starts_with("hi"))
        .map(|(name, _)| name)
        .collect();
    Ok(packages
        .into_iter()
        .filter(|p| !installed.contains(p.name))
        .collect())
}

/// `--no-remove`: rustc-web conflicts with some packaged compilers. Taking a user's compiler away is
/// not ours to do.
const INSTALL: [&str; 3] = ["--no-install-recommends", "--no-remove", "install"];

/// The command line with which root installs packages.
pub(crate) fn by_hand(names: &[&str]) -> String {
    let (install, names) = (INSTALL.join(" "), names.join(" "));
    format!("apt-get update && apt-get {install} {names}")
}

/// Installs the missing packages.
pub(crate) fn install(packages: impl Iterator<Item = &'static Package>) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|p| p.name).collect();
    let by_hand = by_hand(&names);
    if !is_root() && cmd::find("sudo").is_none() {
        bail!(
            "{} packages are missing and there is neither root nor sudo; run as root: {by_hand}",
            names.len()
        );
    }
    let logs = paths::cache()?.join("logs");
    let services: Vec<&str> = missing.iter().flat_map(|p| p.services).copied().collect();
    let quiet = Quiet::before(&services)?;
    // Somebody's broken archive need not stop us, but without network it is the cause to tell.
    let updated = step("apt-get update", || {
        let mut apt = as_root("apt-get");
        apt.args(["-q", "-o", "APT::Update::Error-Mode=any", "update"]);
        cmd::logged(&mut apt, &logs.join("apt-update.log"))
    });
    let what = format!("installing {} packages", names.len());
    let installed = step(&what, || install_by_suite(&missing, &logs));
    quiet.after();
    installed
        .map_err(|error| updated.err().unwrap_or(error))
        .with_context(|| format!("cannot install packages; by hand it is: sudo sh -c '{by_hand}'"))
}

fn install_by_suite(missing: &[&Package], logs: &Path) -> Result<()> {
    let (backports, own): (Vec<&Package>, Vec<&Package>) = missing
        .iter()
        .partition(|p| p.follows.is_some_and(is_backport));
    if !backports.is_empty() {
        let archive = Archive::prepare()?;
        let mut apt = as_root("apt-get");
        apt.args(archive.options())
            .args(["-t", BACKPORTS, "-q", "-y"]);
        apt.args(INSTALL).args(backports.iter().map(|p| p.name));
        cmd::logged(&mut apt, &logs.join("apt-install-backports.log"))?;
    }
    let mut apt = as_root("apt-get");
    apt.args(["-q", "-y"])
        .args(INSTALL)
        .args(own.iter().map(|p| p.name));
    cmd::logged(&mut apt, &logs.join("apt-install.log"))
}

/// Whether a package is installed in a version from the backports of Debian 12.
fn is_backport(name: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Abbrev} ${Version}", name]);
    cmd::output(&mut query).is_ok_and(|said| said.starts_with("ii") && said.contains("~bpo12"))
}

/// Whether this process is root's.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

fn as_root(program: &str) -> Command {
    let mut command;
    if is_root() {
        command = Command::new("env");
    } else {
        command = Command::new("sudo");
        command.arg("env");
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", program]);
    command
}

/// Keeps services that come with a package from running, now and after the next boot. Only those
/// of packages that are not installed yet pass through here, so nobody's running service is
/// touched.
struct Quiet<'a> {
    services: &'a [&'a str],
    systemd: bool,
}

impl<'a> Quiet<'a> {
    fn before(services: &'a [&'a str]) -> Result<Self> {
        let systemd = Path::new("/run/systemd/system").is_dir();
        if systemd && !services.is_empty() {
            // A runtime mask lives in /run: even if we die here, it ends with this boot.
            cmd::output(
                as_root("systemctl")
                    .args(["mask", "--runtime", "--quiet"])
                    .args(services),
            )?;
        }
        Ok(Self { services, systemd })
    }

    fn after(self) {
        for service in self.services {
            if self.systemd {
                let _ = cmd::output(as_root("systemctl").args([
                    "unmask",
                    "--runtime",
                    "--quiet",
                    service,
                ]));
                let _ = cmd::output(
                    as_root("systemctl").args(["disable", "--now", "--quiet", service]),
                );
            } else {
                let _ = cmd::output(as_root("invoke-rc.d").args([service, "stop"]));
                let _ = cmd::output(as_root("update-rc.d").args([service, "disable"]));
            }
        }
    }
}
