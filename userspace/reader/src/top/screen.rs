//! The terminal: taken over as a whole, and given back whatever happens.
//!
//! Giving back goes by plain system calls, past the buffers and locks of the standard library: a thread that draws
//! may be stuck in a write to a terminal that has been stopped, and may hold them.

use std::io;
use std::panic;
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdout;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// To the other screen (xterm, 1049), cleared, and the cursor hidden.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[2J\x1b[?25l";
/// Attributes off, the cursor shown, and back.
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";

/// The modes from before, as long as the terminal is taken.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal as long as it is taken.
#[derive(Debug)]
pub struct Screen(());

impl Screen {
    /// Takes the terminal at standard output: single keys instead of lines, no echo, the other screen. A panic
    /// of any thread gives it back before it says what happened, also where panics end the process at once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn take() -> io::Result<Self> {
        let before = tcgetattr(stdout())?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let screen = Self(());
        let said = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            give_back();
            said(panic);
        }));
        tcsetattr(stdout(), OptionalActions::Now, &raw)?;
        write_all(ENTER)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, once. Never waits longer than a moment: a terminal that takes no bytes gets its
/// modes back all the same.
fn give_back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(before) = before else {
        return;
    };
    if is_writable() {
        // Whether it works or not, there is nothing else to be tried.
        let _ = write_all(LEAVE);
    }
    let _ = tcsetattr(stdout(), OptionalActions::Now, &before);
}

fn is_writable() -> bool {
    let out = stdout();
    let mut fds = [PollFd::new(&out, PollFlags::OUT)];
    let moment = Timespec {
        tv_sec: 0,
        tv_nsec: 200_000_000,
    };
    matches!(poll(&mut fds, Some(&moment)), Ok(1))
}

fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(stdout(), bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
