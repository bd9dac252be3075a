//! `dns-trace watch`: lookups as they end.

use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::{Session, on_terminal, with_colour};
use crate::cli::{WatchArgs, WatchOutput};
use crate::interface::Interfaces;
use crate::ring::NoTicker;
use crate::sink::Sink;
use crate::sink::json::JsonSink;
use crate::sink::spooled::{self, Lines, Spooled};
use crate::sink::table::{Look, TableSink};
use crate::spool::Spool;
use crate::spool::file::FileOutput;

/// Runs the command.
///
/// # Errors
/// [`crate::bundle::OpenError`] in the chain, or what went wrong while reading or writing.
pub fn run(args: &WatchArgs) -> anyhow::Result<()> {
    let session = Session::open(&args.common, args.count)?;
    let table = match args.output {
        WatchOutput::Auto => on_terminal(),
        WatchOutput::Table => true,
        WatchOutput::Json => false,
    };
    let output = FileOutput::stdout(spooled::whole).context(OUTPUT)?;
    let look = table.then(look);
    // It asks through a socket, which cannot be made any more once the process is confined.
    let interfaces = Interfaces::new();
    let needs = session.needs();
    let begun = session.begin(needs)?;
    let stop = begun.stop().clone();
    let spool = Spool::start(Box::new(output), move || stop.give()).context(OUTPUT)?;
    let lines = Lines::new(spool);
    let (sink, headings): (Box<dyn Sink>, _) = if let Some(look) = look {
        let sink = TableSink::new(lines.clone(), look);
        (Box::new(sink.with_idna(args.idna)), 1)
    } else {
        let sink = JsonSink::new(lines.clone(), interfaces);
        (Box::new(sink.with_idna(args.idna)), 0)
    };
    begun.run(&mut Spooled::new(sink, lines, headings), &mut NoTicker)
}

const OUTPUT: &str = "cannot write the output";

fn look() -> Look {
    let terminal = on_terminal();
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    Look {
        width: size
            .map(|size| usize::from(size.ws_col))
            .filter(|width| *width > 0),
        colour: terminal && with_colour(),
        zone: TimeZone::system(),
    }
}
