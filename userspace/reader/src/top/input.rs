//! The thread that waits for keys and for another size of the terminal.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::face::Message;
use super::keys::{Key, Parser};
use crate::stop::Stop;

/// How long the rest of a sequence may take, on a slow line.
const REST: Duration = Duration::from_millis(50);

/// Starts the thread. It ends when the terminal is gone, and else with the process.
pub(super) fn start(messages: SyncSender<Message>, stop: Stop) -> io::Result<()> {
    let named = thread::Builder::new().name("keys".to_owned());
    named.spawn(move || {
        // Without a terminal there is nobody to look at the picture.
        let _ = run(&messages, &stop);
        stop.give();
    })?;
    Ok(())
}

fn run(messages: &SyncSender<Message>, stop: &Stop) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let size = signal(SignalKind::window_change())?;
        let stdin = rustix::stdio::stdin();
        // SAFETY: standard input stays open, and its number the same, until the process ends.
        let input = unsafe { AsyncFd::register_with_interest(stdin, Interest::READABLE) }?;
        let mut input = Input {
            input,
            size,
            parser: Parser::default(),
        };
        while let Some(read) = input.next().await? {
            read.into_messages(messages, stop);
        }
        Ok(())
    })
}

struct Input {
    input: AsyncFd<BorrowedFd<'static>>,
    size: Signal,
    parser: Parser,
}

/// What happened.
enum Read {
    Size,
    Keys(Vec<Key>),
}

impl Input {
    /// Waits; `None` when the terminal is gone.
    async fn next(&mut self) -> io::Result<Option<Read>> {
        let mut bytes = [0; 256];
        tokio::select! {
            _ = self.size.recv() => Ok(Some(Read::Size)),
            () = sleep(REST), if self.parser.is_waiting() => {
                Ok(Some(Read::Keys(self.parser.give_up().into_iter().collect())))
            }
            ready = self.input.readable() => {
                let mut ready = ready?;
                let read = rustix::io::read(rustix::stdio::stdin(), &mut bytes)?;
                // There may be more only if all room was used.
                if read < bytes.len() {
                    ready.clear_ready();
                }
                if read == 0 {
                    return Ok(None);
                }
                let mut keys = Vec::new();
                let bytes = bytes.get(..read).unwrap_or_default();
                self.parser.feed(bytes, &mut |key| keys.push(key));
                Ok(Some(Read::Keys(keys)))
            }
        }
    }
}

impl Read {
    /// A thread that cannot draw may leave keys out, but not this one: Ctrl-C ends.
    fn into_messages(self, messages: &SyncSender<Message>, stop: &Stop) {
        let Self::Keys(keys) = self else {
            let _ = messages.try_send(Message::Size);
            return;
        };
        for key in keys {
            if key == Key::Interrupt {
                stop.give();
            }
            let _ = messages.try_send(Message::Key(key));
        }
    }
}
