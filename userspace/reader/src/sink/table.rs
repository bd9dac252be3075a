//! A table for people: one line a lookup, as wide as the terminal.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::time::Duration;
use std::{io, mem};

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;

use super::Sink;
use super::rdata::Data;
use crate::clock::WallClock;
use crate::filter::failed;
use crate::lookup::{Lookup, Outcome};
use crate::message::edns::Edns;
use crate::name::Presented;
use crate::unicode;

/// Bytes kept back until the rings are empty, at most; a line more.
const BUFFER: usize = 64 * 1024;
/// Widths of the columns before the name; addresses and processes longer than theirs push the rest.
const TIME: usize = 12;
const PROCESS: usize = 20;
const ENDPOINT: usize = 21;
/// On a narrow terminal: the name of the process, or where it is not known the client's address.
const WHO: usize = 16;
const PROTO: usize = 5;
const TYPE: usize = 6;
const RCODE: usize = 9;
const LATENCY: usize = 9;
const FIXED: usize = TIME + PROCESS + 2 * ENDPOINT + PROTO + TYPE + RCODE + LATENCY + 9;
const FIXED_NARROW: usize = TIME + WHO + TYPE + RCODE + LATENCY + 6;
/// Least widths of name and answers; on a terminal of less than 78 columns lines wrap.
const NAME_MIN: usize = 20;
const ANSWERS_MIN: usize = 16;
const _: () = assert!(FIXED_NARROW + NAME_MIN <= 80);

/// Which columns there are, and the widths of those that have what is left.
#[derive(Clone, Copy, Debug)]
struct Columns {
    /// All of them.
    wide: bool,
    server: bool,
    name: usize,
    /// 0 for none.
    answers: usize,
}

impl Columns {
    fn new(width: Option<usize>) -> Self {
        let all = |name, answers| Self {
            wide: true,
            server: true,
            name,
            answers,
        };
        let Some(width) = width else {
            return all(NAME_MIN * 2, usize::MAX);
        };
        if let Some(rest) = width.checked_sub(FIXED)
            && rest > NAME_MIN + ANSWERS_MIN
        {
            return all(rest / 2, rest - rest / 2 - 1);
        }
        let mut rest = width.saturating_sub(FIXED_NARROW);
        let server = rest >= ENDPOINT + 1 + NAME_MIN + ANSWERS_MIN + 2;
        if server {
            rest -= ENDPOINT + 1;
        }
        let answers = rest >= NAME_MIN + ANSWERS_MIN + 2;
        let name = if answers {
            rest / 2
        } else {
            rest.max(NAME_MIN)
        };
        Self {
            wide: false,
            server,
            name,
            answers: if answers { rest - name - 2 } else { 0 },
        }
    }
}

/// Looks of the table.
#[derive(Clone, Debug)]
pub struct Look {
    /// Columns of the terminal; `None` writes names and answers in full.
    pub width: Option<usize>,
    /// Whether to colour.
    pub colour: bool,
    /// Zone of the times.
    pub zone: TimeZone,
}

/// Writes lookups as a table.
#[derive(Debug)]
pub struct TableSink<W: Write> {
    writer: W,
    /// Lines, whole ones but within [`Sink::lookup`].
    lines: Vec<u8>,
    look: Look,
    columns: Columns,
    cell: String,
    heading: bool,
    idna: bool,
}

impl<W: Write> TableSink<W> {
    /// A table into a writer.
    pub fn new(writer: W, look: Look) -> Self {
        Self {
            writer,
            lines: Vec::new(),
            columns: Columns::new(look.width),
            look,
            cell: String::new(),
            heading: false,
            idna: false,
        }
    }

    /// Whether to show names in Unicode beside those in ASCII.
    #[must_use]
    pub fn with_idna(mut self, idna: bool) -> Self {
        self.idna = idna;
        self
    }

    fn head(&mut self) -> io::Result<()> {
        let bold = self.style(Style::new().bold());
        let Columns {
            wide,
            server,
            name,
            answers,
        } = self.columns;
        write!(self.lines, "{bold}{:TIME$} ", "TIME")?;
        if wide {
            write!(self.lines, "{:PROCESS$} {:ENDPOINT$} ", "PROCESS", "CLIENT")?;
        } else {
            write!(self.lines, "{:WHO$} ", "PROCESS")?;
        }
        if server {
            write!(self.lines, "{:ENDPOINT$} ", "SERVER")?;
        }
        if wide {
            write!(self.lines, "{:PROTO$} ", "PROTO")?;
        }
        write!(
            self.lines,
            "{:TYPE$} {:name$} {:RCODE$} {:>LATENCY$}",
            "TYPE", "NAME", "RCODE", "LATENCY"
        )?;
        let answers = if answers > 0 { " ANSWERS" } else { "" };
        writeln!(self.lines, "{answers}{bold:#}")
    }

    fn style(&self, style: Style) -> Style {
        if self.look.colour {
            style
        } else {
            Style::new()
        }
    }

    /// Writes one cell: printable ASCII only, padded to `width`, cut to `most`, and a space after it. The
    /// last one of a line has no width and no space, which on a full line would begin the next.
    fn cell(&mut self, width: usize, most: usize, content: impl fmt::Display) -> io::Result<()> {
        let mut cell = mem::take(&mut self.cell);
        cell.clear();
        let mut safe = Safe {
            out: &mut cell,
            left: most.saturating_add(1),
        };
        // An error means that the cell is full.
        let _ = write!(safe, "{content}");
        if cell.len() > most {
            cell.truncate(most.saturating_sub(1));
            cell.push('…');
        }
        let result = match width {
            0 => write!(self.lines, "{cell}"),
            _ => write!(self.lines, "{cell:width$} "),
        };
        self.cell = cell;
        result
    }

    fn row(&mut self, lookup: &Lookup<'_>, clock: WallClock) -> io::Result<()> {
        let time = clock.at(lookup.time_ns);
        let offset = self.look.zone.to_offset(time);
        let time = offset.to_datetime(time).time();
        self.cell(TIME, TIME, format_args!("{time:.3}"))?;
        self.ends(lookup)?;
        let dns = lookup.dns.as_ref();
        match dns.and_then(|dns| dns.qtype()) {
            Some(qtype) => self.cell(TYPE, 10, qtype)?,
            None => self.cell(TYPE, TYPE, "-")?,
        }
        let name = dns.map_or(&[][..], |dns| dns.question.name);
        let width = self.columns.name;
        let most = self.look.width.map_or(usize::MAX, |_| width);
        self.cell(width, most, Presented(name))?;
        self.outcome(lookup)?;
        match lookup.duration_ns {
            Some(duration) => self.cell(LATENCY, LATENCY, Latency(duration))?,
            None => self.cell(LATENCY, LATENCY, "")?,
        }
        if self.columns.answers > 0 {
            let taken = self.unicode(name)?;
            self.cell(0, self.columns.answers - taken, AnswerList(lookup))?;
        }
        writeln!(self.lines)
    }

    /// Writes a name in Unicode where that is asked for, harmless and leaves room for answers; how
    /// many columns it took.
    fn unicode(&mut self, name: &[u8]) -> io::Result<usize> {
        if !self.idna {
            return Ok(0);
        }
        let Some(unicode) = unicode::of(&Presented(name).to_string()) else {
            return Ok(0);
        };
        // In brackets, and a space.
        let columns = unicode::columns(&unicode).map(|columns| columns + 3);
        match columns.filter(|columns| columns + ANSWERS_MIN <= self.columns.answers) {
            Some(columns) => write!(self.lines, "[{unicode}] ").map(|()| columns),
            None => Ok(0),
        }
    }

    /// Who asks whom.
    fn ends(&mut self, lookup: &Lookup<'_>) -> io::Result<()> {
        let Columns { wide, server, .. } = self.columns;
        let endpoint = match (wide, self.look.width) {
            (false, _) => ENDPOINT,
            (true, Some(_)) => 47,
            (true, None) => usize::MAX,
        };
        match lookup.process {
            Some(process) if wide => {
                let (name, pid) = (process.name, process.pid);
                self.cell(PROCESS, 4 * PROCESS, format_args!("{name}/{pid}"))?;
            }
            Some(process) => self.cell(WHO, WHO, process.name)?,
            None if wide => self.cell(PROCESS, PROCESS, "")?,
            None => self.cell(WHO, WHO, lookup.client.ip())?,
        }
        if wide {
            self.cell(ENDPOINT, endpoint, lookup.client.socket())?;
        }
        if server {
            self.cell(ENDPOINT, endpoint, lookup.server.socket())?;
        }
        if wide {
            self.cell(PROTO, PROTO, lookup.transport.name())?;
        }
        Ok(())
    }

    fn outcome(&mut self, lookup: &Lookup<'_>) -> io::Result<()> {
        let failed = failed(lookup);
        let colour = if failed {
            AnsiColor::Red
        } else {
            AnsiColor::Yellow
        };
        let plain = matches!(lookup.outcome, Outcome::Answered | Outcome::Response) && !failed;
        let style = if plain {
            Style::new()
        } else {
            self.style(colour.on_default())
        };
        write!(self.lines, "{style}")?;
        match (
            lookup.outcome,
            lookup.dns.as_ref().and_then(|dns| dns.rcode()),
        ) {
            (Outcome::Answered | Outcome::Response, Some(rcode)) => self.cell(RCODE, 16, rcode)?,
            (outcome, _) => self.cell(RCODE, 16, outcome_name(outcome))?,
        }
        write!(self.lines, "{style:#}")
    }
}

pub(crate) const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered | Outcome::Response => "ANSWERED",
        Outcome::Timeout => "TIMEOUT",
        Outcome::Orphan => "ORPHAN",
        Outcome::Evicted => "EVICTED",
        Outcome::Multicast => "MULTICAST",
        Outcome::Announcement => "ANNOUNCED",
        Outcome::Malformed => "MALFORMED",
    }
}

impl<W: Write> Sink for TableSink<W> {
    fn lookup(&mut self, lookup: &Lookup<'_>, clock: WallClock) -> io::Result<()> {
        if !mem::replace(&mut self.heading, true) {
            self.head()?;
        }
        self.row(lookup, clock)?;
        if self.lines.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What could not be written is not tried again: the session ends with the error.
        let result = self.writer.write_all(&self.lines);
        self.lines.clear();
        result?;
        self.writer.flush()
    }
}

/// Lets printable ASCII through, everything else as `\DDD` a byte, and stops when full.
struct Safe<'a> {
    out: &'a mut String,
    left: usize,
}

impl fmt::Write for Safe<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.left == 0 {
                return Err(fmt::Error);
            }
            if byte.is_ascii_graphic() || byte == b' ' {
                self.out.push(char::from(byte));
                self.left -= 1;
            } else {
                write!(self.out, "\\{byte:03}")?;
                self.left = self.left.saturating_sub(4);
            }
        }
        Ok(())
    }
}

struct Latency(u64);

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duration = Duration::from_nanos(self.0);
        let text = match self.0 {
            0..1_000_000 => format!("{:.0} us", duration.as_nanos() as f64 / 1e3),
            1_000_000..1_000_000_000 => format!("{:.1} ms", duration.as_secs_f64() * 1e3),
            _ => format!("{:.2} s", duration.as_secs_f64()),
        };
        write!(f, "{text:>LATENCY$}")
    }
}

/// Answers in a line.
pub(crate) struct AnswerList<'a>(pub(crate) &'a Lookup<'a>);

impl fmt::Display for AnswerList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.retransmissions > 0 {
            write!(f, "[sent {} times] ", u64::from(self.0.retransmissions) + 1)?;
        }
        if self.0.retry_of_truncated {
            f.write_str("[after truncated answer] ")?;
        }
        let Some(response) = self.0.dns.as_ref().and_then(|dns| dns.response) else {
            return Ok(());
        };
        if failed(self.0) {
            for (code, text) in response.edns.iter().flat_map(Edns::errors) {
                write!(f, "[{code}")?;
                if !text.is_empty() {
                    write!(f, ": {}", String::from_utf8_lossy(text))?;
                }
                f.write_str("] ")?;
            }
        }
        for (i, record) in response.answer_records().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if record.rtype.to_int() != self.0.dns.as_ref().map_or(0, |d| d.question.qtype) {
                write!(f, "{} ", record.rtype)?;
            }
            write!(f, "{}", Data(record))?;
        }
        Ok(())
    }
}
