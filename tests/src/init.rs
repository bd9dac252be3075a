//! The guest's first process: mounts, loads modules, runs each scenario in a process of its own,
//! and cleans up after it.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, WaitOptions};

use crate::lab::kernel;
use crate::report::{PORT, Report};
use crate::scenario::{self, Scenario};
use crate::scenarios::soak;
use crate::systemd;

/// File in which a scenario that fails leaves its message.
pub const MESSAGE: &str = "/run/failure";
/// File in which a scenario leaves what is worth printing, a report each.
const NOTES: &str = "/run/notes";

/// Leaves a line that is printed below the scenario's result.
///
/// # Errors
/// If it cannot be written.
pub fn note(line: &str) -> Result<()> {
    let line = line.to_owned();
    leave(&Report::Said { line })
}

/// Leaves something about this kernel, for the table of kernels.
///
/// # Errors
/// If it cannot be written.
pub fn figure(name: &str, value: &str) -> Result<()> {
    let (name, value) = (name.to_owned(), value.to_owned());
    leave(&Report::Figure { name, value })
}

fn leave(report: &Report) -> Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(NOTES)?;
    report.write(file).context("cannot leave a note")
}

/// File systems that are mounted once: source and type, target.
pub(crate) const MOUNTS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("tracefs", "/sys/kernel/tracing"),
    ("securityfs", "/sys/kernel/security"),
];
/// File systems that are made anew for every scenario, so that none sees what another left.
const FRESH: &[(&str, &str)] = &[
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/var/lib"),
    ("bpf", "/sys/fs/bpf"),
];

/// Runs as process 1 and never returns: the machine is switched off at the end.
pub fn main() -> ! {
    if let Err(error) = boot_and_run() {
        println!("guest: {error:#}");
    }
    let _ = std::io::stdout().flush();
    rustix::fs::sync();
    let _ = rustix::system::reboot(rustix::system::RebootCommand::Restart);
    std::process::exit(1)
}

fn boot_and_run() -> Result<()> {
    for (kind, target) in MOUNTS {
        // A kernel without one of them is not an error here: the scenario that needs it says so.
        let _ = mount_at(kind, target);
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).ok();
    let mut port = OpenOptions::new()
        .write(true)
        .open(PORT)
        .with_context(|| format!("cannot open {PORT}"))?;
    load_modules()?;
    if argument("systemd")?.is_some() {
        return systemd::hand_over();
    }
    Report::Booted {
        release: kernel::release()?,
    }
    .write(&mut port)?;
    if argument("demo")?.is_some() {
        demo(&mut port)?;
        return finish(&mut port);
    }
    let filter = argument("filter")?;
    let version = kernel::version()?;
    for scenario in scenario::selected(filter.as_deref()) {
        if scenario.on(version).is_none() {
            continue;
        }
        let begin = Instant::now();
        println!("==== {}", scenario.name);
        let result = run_one(scenario);
        let (name, seconds) = (scenario.name.to_owned(), begin.elapsed().as_secs_f64());
        match result {
            Ok(notes) => {
                Report::Passed { name, seconds }.write(&mut port)?;
                for line in notes.lines() {
                    writeln!(port, "{line}")?;
                }
            }
            Err(error) => {
                let message = format!("{error:#}");
                println!("==== {} FAILED: {message}", scenario.name);
                let report = Report::Failed {
                    name,
                    seconds,
                    message,
                };
                report.write(&mut port)?;
            }
        }
    }
    finish(&mut port)
}

/// Says that nothing follows, and waits until it has been said.
fn finish(port: &mut File) -> Result<()> {
    Report::Done.write(&mut *port)?;
    rustix::termios::tcdrain(port).context("cannot finish the report")
}

/// Runs the demo and reports what it prints.
fn demo(port: &mut File) -> Result<()> {
    for (kind, target) in FRESH {
        mount_at(kind, target)?;
    }
    let mut child = Command::new("/usr/bin/guest")
        .args(["demo", "bpfman"])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("the demo has no output")?;
    for line in BufReader::new(output).lines() {
        Report::Said { line: line? }.write(&mut *port)?;
    }
    let status = child.wait()?;
    let (name, seconds) = ("demo".to_owned(), 0.0);
    let report = if status.success() {
        Report::Passed { name, seconds }
    } else {
        let message = fs::read_to_string(MESSAGE).unwrap_or_else(|_| status.to_string());
        Report::Failed {
            name,
            seconds,
            message,
        }
    };
    report.write(port).context("cannot report")
}

fn mount_at(kind: &str, target: &str) -> Result<()> {
    fs::create_dir_all(target)?;
    mount(kind, target, kind, MountFlags::empty(), None)
        .with_context(|| format!("cannot mount {target}"))
}

/// Loads what is in `/modules`; the names say the order.
fn load_modules() -> Result<()> {
    let mut files: Vec<_> = fs::read_dir("/modules")?
        .filter_map(Result::ok)
        .map(|e| e.path())
        .collect();
    files.sort();
    for file in files {
        let module = File::open(&file)?;
        rustix::system::finit_module(&module, &CString::default(), 0)
            .with_context(|| format!("cannot load {}", file.display()))?;
    }
    Ok(())
}

/// A word that the machine outside put on the kernel's command line: `dns_trace.NAME=VALUE`.
pub(crate) fn argument(name: &str) -> Result<Option<String>> {
    let prefix = format!("dns_trace.{name}=");
    let line = fs::read_to_string("/proc/cmdline")?;
    Ok(line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(&prefix))
        .map(str::to_owned))
}

/// Runs a scenario in a process of its own and returns its notes.
fn run_one(scenario: &Scenario) -> Result<String> {
    for (kind, target) in FRESH {
        mount_at(kind, target)?;
    }
    fs::set_permissions("/tmp", std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
    let mut command = Command::new("/usr/bin/guest");
    command.args(["run", scenario.name]).process_group(0);
    let result = command
        .spawn()
        .context("cannot start the scenario")
        .and_then(|child| {
            wait(child, scenario.limit + soak::longer()?)?;
            Ok(fs::read_to_string(NOTES).unwrap_or_default())
        });
    clean_up()?;
    unmount_all()?;
    for (_, target) in FRESH.iter().rev() {
        while unmount(*target, UnmountFlags::DETACH).is_ok() {}
    }
    result
}

/// Waits for the scenario to end, but no longer than it may take.
fn wait(mut child: Child, limit: Duration) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            match fs::read_to_string(MESSAGE) {
                Ok(message) => bail!("{message}"),
                Err(_) => bail!("the scenario ended with {status}"),
            }
        }
        if Instant::now() > end {
            bail!(
                "the scenario took longer than {} s; its last step is in the console's log",
                limit.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends every process but this one and removes every network namespace that was made.
fn clean_up() -> Result<()> {
    for _ in 0..100 {
        let others = processes()?;
        for pid in &others {
            let _ = rustix::process::kill_process(*pid, Signal::KILL);
        }
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        if others.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    if Path::new("/run/netns").is_dir() {
        for entry in fs::read_dir("/run/netns")?.filter_map(Result::ok) {
            while unmount(entry.path(), UnmountFlags::DETACH).is_ok() {}
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Processes with a program; kernel threads have none.
fn processes() -> Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        if pid != 1 && fs::read(entry.path().join("cmdline")).is_ok_and(|line| !line.is_empty()) {
            pids.extend(Pid::from_raw(pid));
        }
    }
    Ok(pids)
}

/// Unmounts what the scenario mounted. Pins of file systems that are made anew go with them, links in
/// namespaces go with those; what a scenario must not leave, it checks itself.
fn unmount_all() -> Result<()> {
    for mount in fs::read_to_string("/proc/mounts")?
        .lines()
        .filter_map(|l| l.split(' ').nth(1))
    {
        if ["/run/", "/tmp/", "/sys/kernel/btf"]
            .iter()
            .any(|place| mount.starts_with(place))
        {
            let _ = unmount(mount, UnmountFlags::DETACH);
        }
    }
    Ok(())
}
