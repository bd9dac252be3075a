//! Lines through a spool: as many as the output takes, and the others counted.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::mpsc::{Receiver, Sender, channel};

use dns_trace::clock::WallClock;
use dns_trace::counts::Counts;
use dns_trace::interface::Interfaces;
use dns_trace::pipeline::Pipeline;
use dns_trace::sink::Sink;
use dns_trace::sink::json::JsonSink;
use dns_trace::sink::spooled::{Lines, Spooled, whole};
use dns_trace::sink::table::{Look, TableSink};
use dns_trace::spool::file::FileOutput;
use dns_trace::spool::{Chunk, Output, Queue, Spool};
use domain::base::Rtype;
use jiff::tz::TimeZone;
use rustix::fs::{CWD, Mode, OFlags, fcntl_getfl, fcntl_setfl, mkfifoat};

use crate::memory::{add_up, options};
use crate::records::{Rec, query};

/// Takes nothing until it may, or fails.
struct Gate {
    may: Receiver<io::Result<()>>,
    taken: Sender<Vec<u8>>,
}

impl Output for Gate {
    fn begin(&mut self, _: &Queue) {}

    fn write(&mut self, chunk: &Chunk, queue: &Queue) -> io::Result<()> {
        // Whoever dropped the other end lets everything through.
        self.may.recv().unwrap_or(Ok(()))?;
        queue.count_written(whole(&chunk.bytes).1);
        let _ = self.taken.send(chunk.bytes.clone());
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Ends = (Lines, Sender<io::Result<()>>, Receiver<Vec<u8>>);

fn gated(failed: impl FnOnce() + Send + 'static) -> Ends {
    let ((open, may), (taken, take)) = (channel(), channel());
    let spool = Spool::start(Box::new(Gate { may, taken }), failed).unwrap();
    (Lines::new(spool), open, take)
}

fn json(lines: &Lines) -> Spooled {
    let sink = JsonSink::new(lines.clone(), Interfaces::fixed(&[]));
    Spooled::new(Box::new(sink), lines.clone(), 0)
}

fn table(lines: &Lines) -> Spooled {
    let look = Look {
        width: None,
        colour: false,
        zone: TimeZone::UTC,
    };
    let sink = TableSink::new(lines.clone(), look);
    Spooled::new(Box::new(sink), lines.clone(), 1)
}

/// Malformed messages, which are shown at once, one at a drain; `end` is called before the end.
fn feed(sink: &mut dyn Sink, number: u64, end: impl FnOnce()) -> (Counts, io::Result<()>) {
    let mut pipeline = Pipeline::new(options(), sink);
    pipeline.set_clock(WallClock::with_offset(1_767_323_045_000_000_000));
    let mut result = Ok(());
    for at in 0..number {
        pipeline
            .record(&Rec::query(at * 1_000, vec![7; 8]).bytes())
            .unwrap();
        result = result.and(pipeline.drained());
    }
    end();
    let result = result.and(pipeline.finish());
    let counts = pipeline.counts();
    add_up(&counts);
    (counts, result)
}

#[test]
fn a_line_leaves_when_the_rings_are_empty() {
    let (lines, open, take) = gated(|| {});
    let mut sink = json(&lines);
    let mut pipeline = Pipeline::new(options(), &mut sink);
    open.send(Ok(())).unwrap();
    pipeline.record(&Rec::query(0, vec![7; 8]).bytes()).unwrap();
    pipeline.drained().unwrap();
    assert_eq!(whole(&take.recv().unwrap()).1, 1);
}

#[test]
fn what_waited_for_a_busy_output_leaves_without_another_lookup() {
    let (lines, open, take) = gated(|| {});
    let mut sink = json(&lines);
    let mut pipeline = Pipeline::new(options(), &mut sink);
    for at in 0..2 {
        pipeline
            .record(&Rec::query(at, vec![7; 8]).bytes())
            .unwrap();
        pipeline.drained().unwrap();
    }
    drop(open);
    let mut lines = 0;
    while lines < 2 {
        lines += whole(&take.recv().unwrap()).1;
    }
}

#[test]
fn an_output_that_stands_still_costs_lines_and_nothing_else() {
    let (lines, open, take) = gated(|| {});
    let (counts, result) = feed(&mut json(&lines), 60_000, || drop(open));
    result.unwrap();
    let taken: Vec<u8> = take.iter().flatten().collect();
    assert_eq!((counts.raw.malformed, counts.shown), (60_000, 60_000));
    assert!(counts.unwritten > 1_000, "{counts:?}");
    assert_eq!(
        whole(&taken),
        (taken.len(), counts.shown - counts.unwritten)
    );
    for line in taken.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()) {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert!(value["@timestamp"].is_string());
    }
}

#[test]
fn a_pipe_that_nobody_reads_has_the_lines_that_are_said_to_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    let mut other = File::options().read(true).write(true).open(&path).unwrap();
    let output = FileOutput::create(&path, None, whole).unwrap();
    let lines = Lines::new(Spool::start(Box::new(output), || {}).unwrap());
    let (counts, result) = feed(&mut json(&lines), 2_000, || {});
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let flags = fcntl_getfl(&other).unwrap();
    fcntl_setfl(&other, flags | OFlags::NONBLOCK).unwrap();
    let mut taken = Vec::new();
    let nothing_more = other.read_to_end(&mut taken).unwrap_err();
    assert_eq!(nothing_more.kind(), io::ErrorKind::WouldBlock);
    let (octets, written) = whole(&taken);
    assert_eq!(octets, taken.len());
    assert!(written > 100, "{written} lines in a pipe of 64 KiB");
    assert_eq!((counts.shown, counts.unwritten), (2_000, 2_000 - written));
}

#[test]
fn the_heading_is_no_lookup() {
    let (lines, open, take) = gated(|| {});
    let (counts, result) = feed(&mut table(&lines), 3, || drop(open));
    result.unwrap();
    let taken: Vec<u8> = take.iter().flatten().collect();
    assert_eq!((whole(&taken).1, counts.shown, counts.unwritten), (4, 3, 0));
}

#[test]
fn an_output_that_fails_ends_the_reading() {
    let (tell, told) = channel();
    let (lines, open, take) = gated(move || tell.send(()).unwrap());
    open.send(Ok(())).unwrap();
    open.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
    let mut sink = table(&lines);
    let mut pipeline = Pipeline::new(options(), &mut sink);
    let mut result = Ok(());
    for at in 0..1_000 {
        pipeline
            .record(&Rec::query(at, query(1, "a.example", Rtype::A)[..9].to_vec()).bytes())
            .unwrap();
        result = result.and(pipeline.drained());
        if at == 500 {
            told.recv().unwrap();
        }
    }
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    pipeline.finish().unwrap();
    let counts = pipeline.counts();
    // The heading, and the first rows.
    let written = whole(&take.recv().unwrap()).1 - 1;
    assert_eq!((counts.shown, counts.unwritten), (1_000, 1_000 - written));
}
