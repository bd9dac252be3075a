//! From runs to rows: each tracer beside the run without one, of the same round and rate.

use super::tracer::Kind;
use super::{Rate, Run};
use crate::table::{Budget, Samples, Table, number};

const MIB: f64 = 1024.0 * 1024.0;

/// A rate in words.
pub(super) fn rate_name(rate: Rate) -> String {
    match rate {
        Some(rate) => format!("{}k/s", rate / 1000),
        None => "highest rate".to_owned(),
    }
}

/// Runs of one tracer at one rate, each with the run of its round that it is compared with.
struct Pairs<'r>(Vec<(&'r Run, &'r Run)>);

impl<'r> Pairs<'r> {
    fn new(runs: &'r [Run], rate: Rate, kind: Kind, beside: Kind) -> Self {
        let of = |kind| move |run: &&Run| run.kind == kind && run.rate == rate;
        let pairs = runs.iter().filter(of(kind)).filter_map(|run| {
            let mut others = runs.iter().filter(of(beside));
            Some((run, others.find(|other| other.round == run.round)?))
        });
        Self(pairs.collect())
    }

    fn samples(&self, take: impl Fn(&Run, &Run) -> f64) -> Samples {
        Samples::new(self.0.iter().map(|(run, other)| take(run, other)))
    }
}

/// Adds the rows of all runs.
pub(super) fn rows(kinds: &[Kind], runs: &[Run], table: &mut Table) {
    let mut rates: Vec<Rate> = runs.iter().map(|run| run.rate).collect();
    rates.dedup();
    rates.sort_by_key(|rate| rate.unwrap_or(u32::MAX));
    rates.dedup();
    for rate in rates {
        let name = rate_name(rate);
        table.group(format!(
            "end to end, queries: {name}; a query is two messages"
        ));
        let none = Pairs::new(runs, rate, Kind::None, Kind::None);
        let achieved = none.samples(|run, _| run.load.rate);
        table.row("none: queries answered", achieved, "1/s", "", None);
        let latency = none.samples(|run, _| run.load.latency_us);
        table.row("none: client's mean latency", latency, "us", "", None);
        for kind in kinds {
            let pairs = Pairs::new(runs, rate, *kind, Kind::None);
            if *kind != Kind::None && !pairs.0.is_empty() {
                client(&pairs, rate, *kind, table);
                if rate.is_none() && kind.is_ours() && kinds.contains(&Kind::Tcpdump) {
                    let pairs = Pairs::new(runs, rate, *kind, Kind::Tcpdump);
                    let ratio = pairs.samples(|run, other| run.load.rate / other.load.rate);
                    let what = format!("{}: rate against tcpdump", kind.name());
                    table.row(what, ratio, "x", "", Some(Budget::AtLeast(1.0)));
                }
                cost(&pairs, rate, *kind, table);
            }
        }
    }
}

/// What the client notices.
fn client(pairs: &Pairs<'_>, rate: Rate, kind: Kind, table: &mut Table) {
    let name = kind.name();
    let budget = match (kind, rate) {
        (Kind::Watch, None) => Some(Budget::AtLeast(0.85)),
        (Kind::Stats | Kind::Serve, None) => Some(Budget::AtLeast(0.92)),
        _ => None,
    };
    let achieved = pairs.samples(|run, _| run.load.rate).median();
    table.row(
        format!("{name}: rate against none"),
        pairs.samples(|run, none| run.load.rate / none.load.rate),
        "x",
        format!("{} 1/s", number(achieved)),
        budget,
    );
    let budgeted = kind.is_ours() && rate.is_some_and(|rate| rate >= 5_000);
    let latency = pairs.samples(|run, _| run.load.latency_us).median();
    table.row(
        format!("{name}: client's mean latency against none"),
        pairs.samples(|run, none| run.load.latency_us / none.load.latency_us),
        "x",
        format!("{} us", number(latency)),
        budgeted.then_some(Budget::AtMost(1.03)),
    );
}

/// What the machine notices.
fn cost(pairs: &Pairs<'_>, rate: Rate, kind: Kind, table: &mut Table) {
    let name = kind.name();
    let fast = rate.is_none_or(|rate| rate >= 5_000);
    let own = match kind {
        Kind::Watch if fast => Some(Budget::AtMost(1.0)),
        Kind::Stats | Kind::Serve if fast => Some(Budget::AtMost(0.5)),
        _ => None,
    };
    let millions = |run: &Run| run.messages() / 1e6;
    table.row(
        format!("{name}: its CPU per million messages"),
        pairs.samples(|run, _| run.used.cpu_s / millions(run)),
        "s",
        "",
        own,
    );
    let extra =
        pairs.samples(|run, none| run.machine_s / millions(run) - none.machine_s / millions(none));
    let all = match rate {
        _ if !kind.is_ours() => None,
        Some(5_000) => Some(Budget::AtMost(2.0)),
        Some(rate) if rate < 20_000 => None,
        _ => Some(Budget::AtMost(1.0)),
    };
    let what = format!("{name}: extra CPU of the machine per million");
    table.row(what, extra, "s", "irq, softirq included", all);
    let lost = pairs.samples(|run, _| run.seen.lost);
    let what = format!("{name}: messages lost");
    if kind != Kind::Tshark {
        let never = kind.is_ours().then_some(Budget::Never);
        table.row(what, lost, "", "all others accounted for", never);
    }
    if kind.is_ours() {
        reader(pairs, rate, name, table);
    }
    if !kind.is_ours() && rate == Some(10_000) {
        let rss = pairs.samples(|run, _| run.used.peak_rss / MIB);
        table.row(format!("{name}: peak memory"), rss, "MiB", "", None);
    }
}

/// What is only known of our reader.
fn reader(pairs: &Pairs<'_>, rate: Rate, name: &str, table: &mut Table) {
    let wakeups = pairs.samples(|run, _| 100.0 * run.used.wakeups as f64 / run.messages());
    // 5,000 queries a second are 10,000 messages a second.
    let budgeted = rate.is_none_or(|rate| rate >= 5_000);
    let budget = budgeted.then_some(Budget::Below(1.0));
    table.row(
        format!("{name}: wake-ups per 100 messages"),
        wakeups,
        "",
        "",
        budget,
    );
    if rate.is_none() {
        let start = pairs.samples(|run, _| 1e3 * run.used.start_s);
        let what = format!("{name}: its CPU until it reads");
        table.row(what, start, "ms", "once, in no other row", None);
    }
    let lag = pairs.samples(|run, _| run.seen.lag_ms);
    table.row(format!("{name}: longest lag"), lag, "ms", "", None);
    if rate.is_none_or(|rate| rate >= 30_000) {
        let budget = rate.map(|_| Budget::AtMost(20.0));
        let rss = pairs.samples(|run, _| run.used.peak_rss / MIB);
        table.row(
            format!("{name}: peak memory"),
            rss,
            "MiB",
            "the ring's pages included",
            budget,
        );
        let anon = pairs.samples(|run, _| run.used.rss_anon / MIB);
        table.row(format!("{name}: memory of its own"), anon, "MiB", "", None);
    }
}
