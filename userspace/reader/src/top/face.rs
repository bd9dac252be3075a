//! The two threads that have the terminal: one draws, one waits for keys. Neither ever makes the one that reads
//! the rings wait, and if the terminal takes nothing any more the process ends without them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use ratatui::Terminal;

use super::app::{App, Next};
use super::backend::Output;
use super::draw::{self, Look};
use super::input;
use super::keys::Key;
use super::screen::Screen;
use super::snapshot::Snapshot;
use crate::stop::Stop;

/// Messages that wait to be looked at; further keys are left out.
const MESSAGES: usize = 64;
/// How long the end waits for a picture that is being drawn.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the thread that draws is told.
#[derive(Debug)]
pub enum Message {
    /// There is news.
    Snapshot(Box<Snapshot>),
    /// A key.
    Key(Key),
    /// The terminal has another size.
    Size,
    /// It is over.
    End,
}

/// Both threads, and the terminal that they have taken.
#[derive(Debug)]
pub struct Face {
    screen: Screen,
    messages: SyncSender<Message>,
    boxes: Option<Receiver<Box<Snapshot>>>,
    over: Arc<AtomicBool>,
    done: Receiver<io::Result<()>>,
}

impl Face {
    /// Takes the terminal and starts the threads. When the user wants to end, or the terminal is gone, the
    /// signal is given.
    ///
    /// # Errors
    /// The kernel's; the terminal is given back then.
    pub fn start(look: Look, stop: &Stop) -> io::Result<Self> {
        let terminal = Terminal::new(Output::new()?)?;
        let screen = Screen::take()?;
        let (messages, inbox) = sync_channel(MESSAGES);
        let (give, boxes) = sync_channel(2);
        let (tell, done) = sync_channel(1);
        let over = Arc::new(AtomicBool::new(false));
        // One box is here, the other one goes to and fro.
        let _ = give.send(Box::default());
        let drawer = Drawer {
            terminal,
            look,
            app: App::default(),
            shown: Box::default(),
            held: None,
            inbox,
            boxes: give,
            over: Arc::clone(&over),
        };
        let end = EndOnDrop(stop.clone());
        let named = thread::Builder::new().name("draw".to_owned());
        named.spawn(move || {
            let _end = end;
            let _ = tell.send(drawer.run());
        })?;
        input::start(messages.clone(), stop.clone())?;
        Ok(Self {
            screen,
            messages,
            boxes: Some(boxes),
            over,
            done,
        })
    }

    /// Where snapshots go, and where boxes for them come from; once.
    pub(super) fn ends(&mut self) -> (SyncSender<Message>, Receiver<Box<Snapshot>>) {
        let boxes = self.boxes.take();
        let none = || sync_channel(0).1;
        (self.messages.clone(), boxes.unwrap_or_else(none))
    }

    /// Ends the drawing and gives the terminal back.
    ///
    /// # Errors
    /// What ended the drawing before.
    pub(super) fn end(self) -> io::Result<()> {
        self.over.store(true, Ordering::Relaxed);
        // If there is no room, there are messages to wake up by.
        let _ = self.messages.try_send(Message::End);
        let done = self.done.recv_timeout(PATIENCE);
        drop(self.screen);
        match done {
            Ok(result) => result,
            // The terminal has been stopped; what it does not take is no loss.
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(io::Error::other("the thread that draws panicked"))
            }
        }
    }
}

/// Ends the reading when the thread that draws ends, however it does.
struct EndOnDrop(Stop);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.give();
    }
}

/// The thread that draws.
struct Drawer {
    terminal: Terminal<Output>,
    look: Look,
    app: App,
    shown: Box<Snapshot>,
    /// News that came while the picture stands still.
    held: Option<Box<Snapshot>>,
    inbox: Receiver<Message>,
    boxes: SyncSender<Box<Snapshot>>,
    over: Arc<AtomicBool>,
}

impl Drawer {
    fn run(mut self) -> io::Result<()> {
        self.draw()?;
        while let Ok(first) = self.inbox.recv() {
            // All that has happened makes one picture.
            let mut message = Some(first);
            while let Some(taken) = message {
                if self.take(taken) == Next::Quit {
                    return Ok(());
                }
                message = self.inbox.try_recv().ok();
            }
            if self.over.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.draw()?;
        }
        Ok(())
    }

    fn take(&mut self, message: Message) -> Next {
        match message {
            Message::End => return Next::Quit,
            Message::Size => {}
            Message::Snapshot(snapshot) => self.held = Some(snapshot),
            Message::Key(key) => {
                let size = self.terminal.size().unwrap_or_default();
                let page = draw::page(size);
                if self.app.key(key, &self.shown, page) == Next::Quit {
                    return Next::Quit;
                }
            }
        }
        if !self.app.paused
            && let Some(news) = self.held.take()
        {
            let old = std::mem::replace(&mut self.shown, news);
            // Both boxes fit.
            let _ = self.boxes.try_send(old);
        }
        Next::Go
    }

    fn draw(&mut self) -> io::Result<()> {
        let (app, look, shown) = (&self.app, &self.look, &self.shown);
        self.terminal
            .draw(|frame| draw::draw(frame.buffer_mut(), app, shown, look))?;
        Ok(())
    }
}
