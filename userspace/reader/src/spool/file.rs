//! Files, and whatever else has a path or is standard output. A file ends with a whole message, whatever
//! happens.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Chunk, Output, Queue, Whole, named, write_all};

/// Only the owner may read what was asked for here.
const MODE: u32 = 0o600;

/// Writes a file, or one file after the other.
#[derive(Debug)]
pub struct FileOutput {
    name: String,
    /// Where to open another file.
    path: Option<PathBuf>,
    /// How many full files are kept, if there is to be more than one.
    keep: Option<u32>,
    /// `None` between two files.
    file: Option<File>,
    whole: Whole,
}

impl FileOutput {
    /// Creates or replaces a file. With `keep`, a file that is there already is kept like a full one.
    ///
    /// # Errors
    /// The kernel's, with the path.
    pub fn create(path: &Path, keep: Option<u32>, whole: Whole) -> io::Result<Self> {
        let mut output = Self {
            name: path.display().to_string(),
            path: Some(path.to_owned()),
            keep,
            file: None,
            whole,
        };
        if let Some(keep) = keep {
            match fs::metadata(path) {
                Ok(found) if !found.is_file() => {
                    let error = io::Error::other("not a file, so that there cannot be several");
                    return Err(named(&output.name, &error));
                }
                Ok(found) if found.len() > 0 => shift(path, keep)?,
                _ => {}
            }
        }
        output.file()?;
        Ok(output)
    }

    /// Writes to standard output.
    ///
    /// # Errors
    /// The kernel's.
    pub fn stdout(whole: Whole) -> io::Result<Self> {
        let name = "standard output".to_owned();
        let file = io::stdout().as_fd().try_clone_to_owned();
        Ok(Self {
            file: Some(file.map_err(|error| named(&name, &error))?.into()),
            name,
            path: None,
            keep: None,
            whole,
        })
    }

    /// The file, opened if there is none.
    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let path = self.path.as_deref().unwrap_or(Path::new("/dev/stdout"));
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(MODE);
            let file = options.open(path);
            self.file = Some(file.map_err(|error| named(&self.name, &error))?);
        }
        self.file
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write_file(&mut self, bytes: &[u8], queue: &Queue) -> io::Result<()> {
        let (written, result) = write_all(self.file()?, bytes);
        let (octets, messages) = (self.whole)(&bytes[..written]);
        queue.count_written(messages);
        if result.is_err() {
            self.repair(written - octets);
        }
        result
    }

    /// Writes to what may stand still, as a pipe or a terminal does, until it is told to give up.
    fn write_stream(&mut self, mut bytes: &[u8], queue: &Queue) -> io::Result<()> {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.piece(bytes));
            let (written, result) = write_piece(self.file()?, piece, queue);
            queue.count_written((self.whole)(&piece[..written]).1);
            if !result? {
                break;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// How many bytes to write next: whole messages that find room in a pipe once there is any, or one that is
    /// larger. So what was written is known if the rest never is, and several writers of one pipe do not break
    /// each other's lines (pipe(7), `PIPE_BUF`).
    fn piece(&self, bytes: &[u8]) -> usize {
        let mut most = libc::PIPE_BUF;
        while most < bytes.len() {
            match (self.whole)(&bytes[..most]) {
                (0, _) => most *= 2,
                (octets, _) => return octets,
            }
        }
        bytes.len()
    }

    /// Takes back the part of a message that was written before an error, unless somebody else has written
    /// behind it: standard output may be a file that had something in it.
    fn repair(&mut self, part: usize) {
        if let Some(file) = &mut self.file
            && let (Ok(data), Ok(end)) = (file.metadata(), file.stream_position())
            && data.is_file()
            && data.len() == end
        {
            // What went wrong before is what is reported.
            let end = end.saturating_sub(part as u64);
            let _ = file
                .set_len(end)
                .and_then(|()| file.seek(SeekFrom::Start(end)));
        }
    }
}

impl Output for FileOutput {
    fn begin(&mut self, _: &Queue) {}

    fn write(&mut self, chunk: &Chunk, queue: &Queue) -> io::Result<()> {
        let is_file = self.file()?.metadata().is_ok_and(|data| data.is_file());
        let written = if is_file {
            self.write_file(&chunk.bytes, queue)
        } else {
            self.write_stream(&chunk.bytes, queue)
        };
        written.map_err(|error| named(&self.name, &error))?;
        if chunk.ends_file
            && let (Some(path), Some(keep)) = (&self.path, self.keep)
        {
            self.file = None;
            shift(path, keep)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes when there is room. How many bytes were written, and whether it was all, rather than as many as
/// there were when nobody waited any more.
fn write_piece(mut file: &File, piece: &[u8], queue: &Queue) -> (usize, io::Result<bool>) {
    let mut written = 0;
    while written < piece.len() {
        match queue.wait_writable(file) {
            Ok(true) => {}
            gave_up => return (written, gave_up),
        }
        match io::Write::write(&mut file, &piece[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(number) => written += number,
            Err(error) if is_for_later(&error) => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(true))
}

/// Whether a write is to be tried again: who gave us the pipe may have made it one that does not block.
fn is_for_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// `FILE.1`, `FILE.2` and so on; the highest number is the oldest.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Makes way for another file: each becomes one older, and the oldest goes.
fn shift(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return fs::remove_file(path).map_err(|error| named(&path.display().to_string(), &error));
    }
    for number in (1..keep).rev() {
        replace(&numbered(path, number), &numbered(path, number + 1))?;
    }
    replace(path, &numbered(path, 1))
}

fn replace(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let name = format!("cannot rename {} to {}", from.display(), to.display());
            Err(named(&name, &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of one byte.
    fn bytes(bytes: &[u8]) -> (usize, u64) {
        (bytes.len(), bytes.len() as u64)
    }

    fn contents(folder: &Path) -> Vec<(String, String)> {
        let files = fs::read_dir(folder).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        });
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    }

    fn file(text: &str) -> Chunk {
        Chunk {
            bytes: text.into(),
            ends_file: true,
        }
    }

    #[test]
    fn so_many_full_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "before").unwrap();
        let queue = Queue::new().unwrap();
        let mut output = FileOutput::create(&path, Some(2), bytes).unwrap();
        for text in ["one", "two", "three"] {
            output.write(&file(text), &queue).unwrap();
        }
        let mut last = file("four");
        last.ends_file = false;
        output.write(&last, &queue).unwrap();
        let wanted = [("f", "four"), ("f.1", "three"), ("f.2", "two")];
        assert_eq!(
            contents(folder.path()),
            wanted.map(|(n, c)| (n.into(), c.into()))
        );
        assert_eq!(queue.state().written, 15);
        // None besides the current one.
        let mut output = FileOutput::create(&path, Some(0), bytes).unwrap();
        output.write(&file("five"), &queue).unwrap();
        assert_eq!(contents(folder.path()).len(), 2);
    }

    #[test]
    fn only_files_are_several() {
        let error = FileOutput::create(Path::new("/dev/null"), Some(1), bytes).unwrap_err();
        let wanted = "/dev/null: not a file, so that there cannot be several";
        assert_eq!(error.to_string(), wanted);
    }

    #[test]
    fn only_the_part_of_a_message_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "before").unwrap();
        let mut options = OpenOptions::new();
        let mut output = FileOutput {
            name: "f".to_owned(),
            path: None,
            keep: None,
            file: Some(options.append(true).open(&path).unwrap()),
            whole: bytes,
        };
        output.write(&file("one"), &Queue::new().unwrap()).unwrap();
        output.repair(2);
        assert_eq!(fs::read_to_string(&path).unwrap(), "beforeo");
        let mut other = options.open(&path).unwrap();
        io::Write::write_all(&mut other, b"other").unwrap();
        output.repair(1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "beforeoother");
    }

    #[test]
    fn a_full_disk_is_one_error() {
        let mut output = FileOutput::create(Path::new("/dev/full"), None, bytes).unwrap();
        let error = output
            .write(&file("one"), &Queue::new().unwrap())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "/dev/full: No space left on device (os error 28)"
        );
    }
}
