//! `dns-trace top`: a live picture on a terminal.

use std::env;
use std::io::{self, IsTerminal as _};
use std::rc::Rc;

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;

use super::{Session, on_terminal, with_colour};
use crate::cli::TopArgs;
use crate::top::draw::Look;
use crate::top::face::Face;
use crate::top::feed::Feed;
use crate::top::tally::TallySink;

/// What fails when the terminal does.
const TERMINAL: &str = "cannot use the terminal";

/// Runs the command.
///
/// # Errors
/// [`crate::bundle::OpenError`] in the chain, or what went wrong while reading or drawing.
pub fn run(args: &TopArgs) -> anyhow::Result<()> {
    if !on_terminal() || !io::stdin().is_terminal() {
        bail!(
            "top needs a terminal at standard input and output: use dns-trace watch or dns-trace stats"
        );
    }
    if env::var_os("TERM").is_some_and(|term| term == "dumb") {
        bail!(
            "top needs a terminal that can move the cursor, and this one is dumb: use dns-trace watch or \
             dns-trace stats"
        );
    }
    let session = Session::open(&args.common, None)?;
    let kernel_start = session.kernel_start;
    let look = Look {
        instance: args.common.instance.clone(),
        colour: with_colour(),
        zone: TimeZone::system(),
    };
    let needs = session.needs().terminal();
    let begun = session.begin(needs)?;
    let mut sink = TallySink::default();
    let face = Face::start(look, begun.stop()).context(TERMINAL)?;
    let mut feed = Feed::new(Rc::clone(&sink.0), kernel_start, face);
    begun.run(&mut sink, &mut feed)?;
    feed.outcome().context(TERMINAL)
}
