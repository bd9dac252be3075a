//! A terminal of our own, and a program on it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Action, Winsize, tcflow, tcgetattr, tcsetwinsize};

use super::sh;

/// A terminal, and what has been written to it.
#[derive(Debug)]
pub struct Terminal {
    user: OwnedFd,
    program: OwnedFd,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Makes one of 80 columns and 24 rows.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> Result<Self> {
        if !Path::new("/dev/pts/ptmx").exists() {
            fs::create_dir_all("/dev/pts")?;
            let options = CString::new("ptmxmode=0666,mode=0620")?;
            mount(
                "devpts",
                "/dev/pts",
                "devpts",
                MountFlags::empty(),
                &*options,
            )
            .context("cannot mount /dev/pts")?;
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let user = openpt(flags).context("cannot open a terminal")?;
        unlockpt(&user)?;
        let program = ioctl_tiocgptpeer(&user, flags)?;
        let written = Arc::new(Mutex::new(Vec::new()));
        let terminal = Self {
            user,
            program,
            written,
        };
        terminal.resize(80, 24)?;
        terminal.read()?;
        Ok(terminal)
    }

    /// Reads what is written, on a thread that ends with the terminal.
    fn read(&self) -> Result<()> {
        let mut from = File::from(self.user.try_clone()?);
        let written = Arc::clone(&self.written);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                written.extend_from_slice(bytes.get(..read).unwrap_or_default());
            }
        });
        Ok(())
    }

    /// Changes its size, which whoever runs on it is told.
    ///
    /// # Errors
    /// The kernel's.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let size = Winsize {
            ws_col: columns,
            ws_row: rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(tcsetwinsize(&self.user, size)?)
    }

    /// Its modes, as `stty -a` would show them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn modes(&self) -> Result<String> {
        Ok(format!("{:?}", tcgetattr(&self.program)?))
    }

    /// Stops the output, as Ctrl-S does where it is a key for that.
    ///
    /// # Errors
    /// The kernel's.
    pub fn stop(&self) -> Result<()> {
        Ok(tcflow(&self.program, Action::OOff)?)
    }

    /// Lets the output go on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn go_on(&self) -> Result<()> {
        Ok(tcflow(&self.program, Action::OOn)?)
    }

    /// Types.
    ///
    /// # Errors
    /// The kernel's.
    pub fn press(&self, keys: &str) -> Result<()> {
        rustix::io::write(&self.user, keys.as_bytes())?;
        Ok(())
    }

    /// Everything that has been written.
    #[must_use]
    pub fn written(&self) -> String {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&written).into_owned()
    }

    /// Waits until a text has been written.
    ///
    /// # Errors
    /// If it takes longer than `seconds`.
    pub fn shows(&self, text: &str, seconds: u64) -> Result<()> {
        let waited = sh::wait_for(text, seconds, || Ok(self.written().contains(text)));
        waited.with_context(|| format!("the terminal shows {:?}", self.written()))
    }

    /// Starts a program on it, which has it as its controlling terminal. Standard error goes to a file.
    ///
    /// # Errors
    /// If that does not start.
    pub fn run(&self, command: &Command, errors: &str) -> Result<OnTerminal> {
        let mut line = Command::new("setsid");
        line.arg("--ctty").arg(command.get_program());
        line.args(command.get_args()).env("TERM", "xterm");
        sh::log(&format!("$ {} &", sh::line(&line)));
        let child = line
            .stdin(Stdio::from(self.program.try_clone()?))
            .stdout(Stdio::from(self.program.try_clone()?))
            .stderr(File::create(errors)?)
            .spawn()?;
        Ok(OnTerminal(child))
    }
}

/// A program on a terminal.
#[derive(Debug)]
pub struct OnTerminal(Child);

impl OnTerminal {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?).context("no process id")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Waits for its end, which is to be a good one.
    ///
    /// # Errors
    /// If it takes longer than `seconds`, or ends with something other than 0.
    pub fn ends(mut self, seconds: u64) -> Result<()> {
        let mut status = None;
        sh::wait_for("the end of the program on the terminal", seconds, || {
            status = self.0.try_wait()?;
            Ok(status.is_some())
        })?;
        match status {
            Some(status) if status.success() => Ok(()),
            other => bail!("the program on the terminal ended with {other:?}"),
        }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
