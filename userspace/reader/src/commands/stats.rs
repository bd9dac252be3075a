//! `dns-trace stats`: counters. It reads the ring, since only the reader can tell a time-out.

use std::io;

use super::Session;
use crate::cli::{StatsArgs, StatsOutput};
use crate::sink::Silent;
use crate::sink::stats::StatsTicker;

/// Runs the command.
///
/// # Errors
/// [`crate::bundle::OpenError`] in the chain, or what went wrong while reading or writing.
pub fn run(args: &StatsArgs) -> anyhow::Result<()> {
    let session = Session::open(&args.common, None)?;
    let json = args.output == StatsOutput::Json;
    let mut ticker = StatsTicker::new(io::stdout(), json, args.interval, session.kernel_start);
    if args.once {
        ticker = ticker.once();
    }
    let needs = session.needs();
    session.begin(needs)?.run(&mut Silent, &mut ticker)
}
