//! The load: dnsperf in the client's namespace, and what it says at its end.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use dns_trace_tests::lab::net::{self, SERVER};

use super::Rate;

const QUESTIONS: &str = "/run/lab/questions";

/// What dnsperf counted.
#[derive(Debug)]
pub(super) struct Load {
    /// Queries sent.
    pub(super) sent: u64,
    /// Queries answered.
    pub(super) completed: u64,
    /// Queries answered, a second.
    pub(super) rate: f64,
    /// The client's mean latency, microseconds.
    pub(super) latency_us: f64,
}

/// Writes the questions: 1000 names that exist, and 100 that do not.
pub(super) fn prepare() -> Result<()> {
    let mut text = String::new();
    for i in 0..1000 {
        // Writing into a string does not fail.
        let _ = writeln!(text, "host{i}.wild.example.test A");
        if i % 10 == 0 {
            let _ = writeln!(text, "nobody{i}.example.test AAAA");
        }
    }
    fs::write(QUESTIONS, text).with_context(|| format!("cannot write {QUESTIONS}"))
}

/// Asks for a while.
pub(super) fn run(time: Duration, rate: Rate) -> Result<Load> {
    let seconds = time.as_secs().to_string();
    let mut words = vec![
        "dnsperf", "-s", SERVER.0, "-d", QUESTIONS, "-l", &seconds, "-c", "4", "-q", "100",
    ];
    let rate = rate.map(|rate| rate.to_string());
    if let Some(rate) = &rate {
        words.extend(["-Q", rate]);
    }
    let outcome = net::run("client", &words)?.ok()?;
    parse(&outcome.stdout)
        .with_context(|| format!("cannot read what dnsperf said: {}", outcome.stdout))
}

fn parse(text: &str) -> Option<Load> {
    let number = |name: &str| -> Option<&str> {
        let line = text.lines().find_map(|l| l.trim().strip_prefix(name))?;
        line.split_whitespace().next()
    };
    Some(Load {
        sent: number("Queries sent:")?.parse().ok()?,
        completed: number("Queries completed:")?.parse().ok()?,
        rate: number("Queries per second:")?.parse().ok()?,
        latency_us: number("Average Latency (s):")?.parse::<f64>().ok()? * 1e6,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_dnsperf_says() {
        let text = "Statistics:\n\n  Queries sent:         12\n  Queries completed:    11 (91.67%)\n  \
                    Queries lost:         1 (8.33%)\n\n  Run time (s):         1.000044\n  \
                    Queries per second:   10.5\n\n  Average Latency (s):  0.000064 (min 0.00003, max 0.1)\n";
        let load = parse(text).unwrap();
        assert_eq!((load.sent, load.completed), (12, 11));
        assert_eq!((load.rate, load.latency_us), (10.5, 64.0));
        assert!(parse("Error: no server").is_none());
    }
}
