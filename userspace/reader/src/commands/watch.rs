//! `dns-trace watch`: lookups as they end.

use std::io;

use jiff::tz::TimeZone;

use super::{Session, on_terminal, with_colour};
use crate::cli::{WatchArgs, WatchOutput};
use crate::interface::Interfaces;
use crate::ring::NoTicker;
use crate::sink::Sink;
use crate::sink::json::JsonSink;
use crate::sink::table::{Look, TableSink};

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
    let mut sink: Box<dyn Sink> = if table {
        Box::new(TableSink::new(io::stdout(), look()).with_idna(args.idna))
    } else {
        Box::new(JsonSink::new(io::stdout(), Interfaces::new()).with_idna(args.idna))
    };
    let needs = session.needs();
    session.begin(needs)?.run(&mut *sink, &mut NoTicker)
}

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
