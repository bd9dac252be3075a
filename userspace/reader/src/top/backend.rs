//! Where ratatui draws: crossterm's sequences, but nothing that asks the terminal a question. crossterm asks for
//! the cursor's place through standard input, where the keys come from, and for the size through another file, or
//! by another program where that fails.

use std::fs::File;
use std::io::{self, BufWriter};
use std::os::fd::AsFd as _;

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use rustix::termios::tcgetwinsize;

/// The terminal at standard output.
#[derive(Debug)]
pub struct Output {
    inner: CrosstermBackend<BufWriter<File>>,
    size_of: File,
    cursor: Position,
}

impl Output {
    /// Opens standard output a second time, past the standard library's lock.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<Self> {
        let output: File = rustix::stdio::stdout().as_fd().try_clone_to_owned()?.into();
        let size_of = output.try_clone()?;
        // Room for a screen, so that it goes out at once.
        let writer = BufWriter::with_capacity(64 * 1024, output);
        Ok(Self {
            inner: CrosstermBackend::new(writer),
            size_of,
            cursor: Position::ORIGIN,
        })
    }
}

impl Backend for Output {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        self.inner.draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        // `Screen` does, when the terminal is given back.
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(self.cursor)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.cursor = position.into();
        self.inner.set_cursor_position(self.cursor)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.inner.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.inner.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        let size = tcgetwinsize(&self.size_of)?;
        Ok(Size::new(size.ws_col, size.ws_row))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        let size = tcgetwinsize(&self.size_of)?;
        Ok(WindowSize {
            columns_rows: Size::new(size.ws_col, size.ws_row),
            pixels: Size::new(size.ws_xpixel, size.ws_ypixel),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        io::Write::flush(&mut self.inner)
    }
}
