//! `dns-trace serve`: lookups as metrics, for Prometheus.

use anyhow::Context as _;

use super::Session;
use crate::cli::{Listen, ServeArgs};
use crate::metrics::{BoardTicker, Meter};
use crate::serve::{Plan, http};

/// Runs the command.
///
/// # Errors
/// [`crate::bundle::OpenError`] in the chain, or what went wrong while reading or serving.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let listener = match args.listen {
        Listen::At(address) => Some(http::listen(address)?),
        Listen::Off => None,
    };
    let address = listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());
    let session = Session::open(&args.common, None)?;
    let mut meter = Meter::new(args.limits());
    let mut ticker = BoardTicker::new(meter.measures(), session.kernel_start);
    let plan = Plan::new(listener, meter.measures()).context("cannot start the event loop")?;
    let mut needs = session.needs();
    if address.is_some() {
        needs = needs.accepts();
    }
    let begun = session.begin(needs)?;
    let server = plan.start().context("cannot start to serve")?;
    if let Some(address) = address {
        eprintln!("dns-trace: serving http://{address}/metrics");
    }
    let result = begun.run(&mut meter, &mut ticker);
    result.and(server.stop().context("cannot serve"))
}
