//! The units of `images/deploy/systemd` on a host that systemd runs: Debian 12 on a disk, booted twice.
//!
//! The guest's `/init` installs our programs and the units on the disk and hands the machine over to
//! systemd. On that host a unit of the test, [`lab`], makes the interface that the units name, and
//! another, [`check`], looks at the result and reports.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use dns_trace_event::{BUNDLE_ROOT, DEFAULT_GROUP};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::init;
use crate::lab::ctl::ctl;
use crate::lab::names::{NameServers, ask};
use crate::lab::net;
use crate::lab::sh::{self, sh};
use crate::report::{PORT, Report};

/// The disk and where `/init` mounts it.
const DISK: &str = "/dev/vda";
const ROOT: &str = "/sysroot";
/// The interface that `dns-trace.env` names.
const DEVICE: &str = "eth0";
/// Counts the boots of the disk.
const BOOTS: &str = "/var/lib/dns-trace-boots";
/// What the host is to have: from the guest's file system, to the disk.
const FILES: &[(&str, &str)] = &[
    ("usr/bin/dns-trace", "usr/bin/dns-trace"),
    ("usr/bin/dns-tracectl", "usr/bin/dns-tracectl"),
    ("usr/bin/guest", "usr/bin/guest"),
    (
        "deploy/dns-trace.sysusers",
        "usr/lib/sysusers.d/dns-trace.conf",
    ),
    ("deploy/dns-trace.env", "etc/default/dns-trace"),
];
const BUNDLE: &str = "dns-trace-bundle.service";
const FOLLOW: &str = "dns-trace-follow.service";
const READER: &str = "dns-trace.service";
/// Units, ours first, then the test's.
const UNITS: &[&str] = &[
    BUNDLE,
    FOLLOW,
    READER,
    "dns-trace-lab.service",
    "dns-trace-check.service",
];
/// Users that systemd makes up for `DynamicUser=` (systemd.exec(5)).
const DYNAMIC: std::ops::RangeInclusive<u32> = 61184..=65519;

/// Installs on the disk and becomes its systemd.
///
/// # Errors
/// If a step fails; it does not return otherwise.
pub(crate) fn hand_over() -> Result<()> {
    sh::wait_for(DISK, 10, || Ok(Path::new(DISK).exists()))?;
    fs::create_dir_all(ROOT)?;
    mount(DISK, ROOT, "ext4", MountFlags::empty(), None).context("cannot mount the disk")?;
    for (from, to) in FILES {
        install(from, to)?;
    }
    let mut enable = vec!["chroot", ROOT, "systemctl", "enable"];
    for unit in UNITS {
        install(
            &format!("deploy/{unit}"),
            &format!("etc/systemd/system/{unit}"),
        )?;
        enable.push(unit);
    }
    sh(&enable)?;
    for (_, target) in init::MOUNTS.iter().rev() {
        // What is not mounted needs no unmounting; systemd mounts its own.
        let _ = unmount(*target, UnmountFlags::DETACH);
    }
    let mut next = Command::new("/bin/busybox");
    Err(next.args(["switch_root", ROOT, "/sbin/init"]).exec()).context("cannot start systemd")
}

fn install(from: &str, to: &str) -> Result<()> {
    let (from, to) = (Path::new("/").join(from), Path::new(ROOT).join(to));
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(&from, &to).with_context(|| format!("cannot install {}", to.display()))?;
    let mode = if to.starts_with("/sysroot/usr/bin") {
        0o755
    } else {
        0o644
    };
    Ok(fs::set_permissions(&to, Permissions::from_mode(mode))?)
}

fn refuse_elsewhere() -> Result<()> {
    ensure!(
        init::argument("systemd")?.is_some() && Path::new(DISK).exists(),
        "this runs inside a guest only; use: cargo xtask systemd"
    );
    Ok(())
}

/// Makes the interface: the server's side is the host's own namespace.
///
/// # Errors
/// If `ip` refuses.
pub fn lab() -> Result<()> {
    refuse_elsewhere()?;
    sh(&["ip", "netns", "attach", "server", "1"])?;
    net::join(DEVICE)
}

/// Looks at what the units have done, reports, and boots again or ends.
///
/// # Errors
/// If the report cannot be made; what it finds goes into the report.
pub fn check() -> Result<()> {
    refuse_elsewhere()?;
    let mut port = OpenOptions::new().write(true).open(PORT)?;
    let boot = 1 + fs::read_to_string(BOOTS).map_or(0, |text| text.trim().parse().unwrap_or(0));
    fs::write(BOOTS, boot.to_string())?;
    let begin = Instant::now();
    let result = works().and_then(|()| if boot == 1 { Ok(()) } else { stops() });
    let name = format!("systemd_boot_{boot}");
    let seconds = begin.elapsed().as_secs_f64();
    match result {
        Ok(()) => {
            Report::Passed { name, seconds }.write(&mut port)?;
            if boot == 1 {
                sh(&["systemctl", "--no-block", "reboot"])?;
                return Ok(());
            }
        }
        Err(error) => {
            let message = format!("{error:#}\n{}", last_words()?);
            let failed = Report::Failed {
                name,
                seconds,
                message,
            };
            failed.write(&mut port)?;
        }
    }
    Report::Done.write(&mut port)?;
    rustix::termios::tcdrain(port).context("cannot finish the report")
}

/// The end of what our units said.
fn last_words() -> Result<String> {
    let ours = ["-u", BUNDLE, "-u", FOLLOW, "-u", READER];
    let mut journal = sh::command(&["journalctl", "-b", "--no-pager", "-n", "16", "-o", "cat"]);
    Ok(sh::run(journal.args(ours))?.stdout)
}

/// Group, bundle and reader are there, a lookup is reported, and doing it again changes nothing.
fn works() -> Result<()> {
    let gid = sh(&["getent", "group", DEFAULT_GROUP])?;
    let gid: u32 = gid
        .split(':')
        .nth(2)
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("no group in {gid}"))?;
    let _names = NameServers::start()?;
    are_active()?;
    reads_as_nobody(gid)?;
    reports("www.example.test")?;

    let before = loaded()?;
    sh(&["systemctl", "reload", BUNDLE])?;
    are_active()?;
    let after = loaded()?;
    ensure!(before == after, "a reload made {after} of {before}");

    sh(&["systemctl", "restart", BUNDLE])?;
    are_active()?;
    reads_as_nobody(gid)?;
    reports("text.example.test")?;
    follows()?;
    is_killed_at_its_limit()
}

/// Interfaces that come are attached to while the unit runs, and when it starts; starting anew changes
/// nothing.
fn follows() -> Result<()> {
    appears("veth7")?;
    attached("veth7", 2)?;
    sh(&["systemctl", "stop", FOLLOW])?;
    // One that failed would be called so.
    is(FOLLOW, "inactive")?;
    is(BUNDLE, "active")?;
    attached("veth7", 2)?;
    appears("veth8")?;
    attached("veth8", 0)?;
    sh(&["systemctl", "start", FOLLOW])?;
    attached("veth8", 2)?;
    let before = loaded()?;
    sh(&["systemctl", "restart", FOLLOW])?;
    appears("veth9")?;
    attached("veth9", 2)?;
    sh(&["ip", "link", "del", "veth9"])?;
    attached("veth9", 0)?;
    let after = loaded()?;
    ensure!(before == after, "a restart made {after} of {before}");
    for device in ["veth7", "veth8"] {
        sh(&["ip", "link", "del", device])?;
        attached(device, 0)?;
    }
    are_active()
}

fn appears(device: &str) -> Result<()> {
    let peer = device.replace("veth", "peer");
    let pair = [
        "ip", "link", "add", device, "type", "veth", "peer", "name", &peer,
    ];
    sh(&pair).map(drop)
}

/// Waits until the instance is attached so many times at an interface, by its links.
fn attached(device: &str, times: usize) -> Result<()> {
    let count = || -> Result<usize> {
        let status = ctl(&["status"])?.stdout;
        ensure!(!status.is_empty(), "nothing is loaded");
        let rows = status.lines().filter(|line| {
            let mut words = line.split_whitespace();
            let is_gone = line.contains("(gone)");
            // A heading has two words.
            is_gone || words.next() == Some(device) && words.count() > 1
        });
        Ok(rows.count())
    };
    sh::wait_for(device, 20, || Ok(count()? == times))
        .with_context(|| format!("{} times attached, expected {times}", count().unwrap_or(0)))
}

/// The kernel kills a reader that needs more than its unit allows, and systemd starts the next one.
fn is_killed_at_its_limit() -> Result<()> {
    let limit = format!("/sys/fs/cgroup/system.slice/{READER}/memory.max");
    let allowed = fs::read_to_string(&limit)?;
    ensure!(allowed.trim() == "268435456", "the unit allows {allowed}");
    let before = reader()?;
    fs::write(&limit, "1").with_context(|| format!("cannot write {limit}"))?;
    sh::wait_for("the next reader", 30, || {
        let pid = sh(&["systemctl", "show", "-P", "MainPID", READER])?;
        Ok(pid.trim() != "0" && pid.trim() != before)
    })?;
    let allowed = fs::read_to_string(&limit)?;
    ensure!(allowed.trim() == "268435456", "the next one has {allowed}");
    let said = sh(&["journalctl", "-b", "-o", "cat", "-u", READER])?;
    ensure!(said.contains("oom-kill"), "no word of oom-kill: {said}");
    are_active()?;
    reports("www.example.test")
}

fn are_active() -> Result<()> {
    [BUNDLE, FOLLOW, READER]
        .iter()
        .try_for_each(|unit| is(unit, "active"))
}

fn is(unit: &str, expected: &str) -> Result<()> {
    let shown = sh::run(&mut sh::command(&["systemctl", "is-active", unit]))?.stdout;
    ensure!(shown.trim() == expected, "{unit} is {}", shown.trim());
    Ok(())
}

/// The programs, as `status` shows them.
fn loaded() -> Result<String> {
    let status = ctl(&["status"])?.ok()?.stdout;
    ensure!(status.contains(DEVICE), "nothing at {DEVICE}: {status}");
    let programs: Vec<&str> = status.lines().filter(|l| l.contains("dns_tc")).collect();
    ensure!(!programs.is_empty(), "no program in {status}");
    Ok(programs.join("\n"))
}

/// The reader's process, once it is the reader: between fork and exec it is systemd's.
fn reader() -> Result<String> {
    let pid = sh(&["systemctl", "show", "-P", "MainPID", READER])?;
    let pid = pid.trim().to_owned();
    sh::wait_for("the reader's process", 10, || {
        let exe = fs::read_link(format!("/proc/{pid}/exe"));
        Ok(exe.is_ok_and(|exe| exe.ends_with("dns-trace")))
    })?;
    Ok(pid)
}

/// The reader's user is made up, has no capability, and is in the group.
fn reads_as_nobody(gid: u32) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{}/status", reader()?))?;
    let field = |name: &str| -> Vec<String> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let words = line.unwrap_or_default().split_whitespace();
        words.map(str::to_owned).collect()
    };
    for uid in field("Uid:") {
        let uid: u32 = uid.parse().context("no user")?;
        ensure!(DYNAMIC.contains(&uid), "the reader runs as {uid}");
    }
    for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        ensure!(field(set) == ["0000000000000000"], "{set} {:?}", field(set));
    }
    ensure!(field("NoNewPrivs:") == ["1"], "it may get privileges");
    ensure!(
        field("Groups:").contains(&gid.to_string()),
        "it is not in group {gid}: {:?}",
        field("Groups:")
    );
    Ok(())
}

/// A lookup of a real client appears in the journal.
fn reports(name: &str) -> Result<()> {
    let kind = if name.starts_with("text") { "TXT" } else { "A" };
    let process = format!("_PID={}", reader()?);
    let said = || sh(&["journalctl", "-b", "-o", "cat", &process]);
    sh::wait_for("the reader", 30, || {
        Ok(said()?
            .lines()
            .any(|line| line.contains("dns-trace: reading")))
    })?;
    ask(name, kind, "NOERROR")?;
    let wanted = format!("\"name\":\"{name}\"");
    let seen = sh::wait_for("the lookup in the journal", 15, || {
        let said = said()?;
        Ok(said
            .lines()
            .any(|line| line.contains(&wanted) && line.contains("NOERROR")))
    });
    if seen.is_err() {
        bail!("the journal has no lookup of {name}: {}", said()?);
    }
    Ok(())
}

/// What the units started they take away.
fn stops() -> Result<()> {
    sh(&["systemctl", "stop", BUNDLE])?;
    is(READER, "inactive")?;
    is(FOLLOW, "inactive")?;
    ctl(&["status"])?.exits(3)?;
    ensure!(!Path::new(BUNDLE_ROOT).exists(), "{BUNDLE_ROOT} is left");
    Ok(())
}
