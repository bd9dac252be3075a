//! A boot: starts QEMU, reads what the guest reports, and ends it when its time is over.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use dns_trace_tests::report::Report;

use crate::kernels::Fetched;

/// One boot of one kernel.
pub(crate) struct Boot<'a> {
    /// The kernel to boot.
    pub(crate) kernel: &'a Fetched,
    /// Its initramfs.
    pub(crate) initramfs: &'a Path,
    /// Where the console's log goes.
    pub(crate) console: PathBuf,
    /// Words for the guest's `/init` on the kernel's command line.
    pub(crate) arguments: String,
    /// A disk with which the guest may boot again; what it writes there is lost at the end.
    pub(crate) disk: Option<&'a Path>,
    /// How long the guest may take altogether.
    pub(crate) limit: Duration,
}

/// How a boot ended.
pub(crate) enum Outcome {
    /// The guest said that it is done.
    Done,
    /// It fell silent before, for the reason given.
    Broken(String),
}

/// QEMU, ended whatever happens.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Boot<'_> {
    /// Boots and hands each report to `on_report` as it comes.
    pub(crate) fn run(&self, mut on_report: impl FnMut(Report)) -> Result<Outcome> {
        let end = Instant::now() + self.limit;
        let _ = fs::remove_file(&self.console);
        let mut machine = Machine(
            self.command()
                .spawn()
                .context("cannot run qemu-system-x86_64; run: cargo xtask setup")?,
        );
        let output = machine.0.stdout.take().context("qemu has no output")?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left) {
                Ok(line) => match Report::parse(&line) {
                    Some(Report::Done) => return Ok(Outcome::Done),
                    Some(report) => on_report(report),
                    None => {}
                },
                Err(RecvTimeoutError::Timeout) => {
                    return Ok(Outcome::Broken(format!(
                        "the guest took longer than {} s",
                        self.limit.as_secs()
                    )));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Outcome::Broken("the guest ended before it was done".into()));
                }
            }
        }
    }

    fn command(&self) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        // Software emulation: nested virtualisation hangs on some hosts, and what we test does not
        // need the speed. QEMU 7.2 emulates cmpxchg16b wrongly, and kernels from 6.12 on use it.
        qemu.args([
            "-accel",
            "tcg,thread=multi",
            "-smp",
            "2",
            "-m",
            "2048",
            "-cpu",
            "max,cx16=off",
        ]);
        qemu.args(["-nodefaults", "-display", "none"]);
        match self.disk {
            Some(disk) => qemu.arg("-drive").arg(format!(
                "file={},format=raw,if=virtio,snapshot=on",
                disk.display()
            )),
            None => qemu.arg("-no-reboot"),
        };
        qemu.args(["-kernel".as_ref(), self.kernel.image.as_os_str()]);
        qemu.args(["-initrd".as_ref(), self.initramfs.as_os_str()]);
        qemu.arg("-append")
            .arg(format!("console=ttyS0 panic=-1 {}", self.arguments));
        qemu.arg("-serial")
            .arg(format!("file:{}", self.console.display()));
        qemu.args([
            "-chardev",
            "stdio,id=report,signal=off",
            "-serial",
            "chardev:report",
        ]);
        qemu.stdin(Stdio::null()).stdout(Stdio::piped());
        qemu
    }
}
