//! `cargo xtask vm`: boots kernels and runs scenarios on them.

use std::collections::HashSet;
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use dns_trace_tests::report::Report;
use dns_trace_tests::scenario;

use crate::guest::{Base, Boot, Outcome};
use crate::kernels::{self, Fetched, Kernel};
use crate::matrix::{self, Column};
use crate::{build, paths, setup};

/// Arguments of `cargo xtask vm`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kernels to boot: `all`, or names separated by commas
    #[arg(long, value_name = "LIST")]
    kernels: Option<String>,
    /// Run only the scenarios whose name contains this
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Keep the console's log of kernels where nothing failed, too
    #[arg(long)]
    keep_logs: bool,
    /// Let the scenario `soak` go on for so many minutes: --scenario soak --soak 30
    #[arg(long, value_name = "MINUTES", requires = "scenario")]
    soak: Option<u32>,
    /// Which faults `soak` has in which order; the same number, the same order
    #[arg(long, value_name = "N", requires = "soak", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seed: u64,
    /// Use the binaries that an earlier run has built
    #[arg(long)]
    no_build: bool,
    /// Name the scenarios and end
    #[arg(long)]
    list: bool,
}

/// How many tests passed and failed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
}

impl Tally {
    /// The closing line.
    pub(crate) fn print(self) {
        println!("{} passed, {} failed", self.passed, self.failed);
    }
}

/// Runs `cargo xtask vm`.
pub(crate) fn run(args: &Args) -> Result<bool> {
    if args.list {
        scenario::ALL.iter().for_each(|s| println!("{}", s.name));
        return Ok(true);
    }
    setup::ensure()?;
    let binaries = if args.no_build {
        build::folder()
    } else {
        build::binaries()?
    };
    let choice = Choice {
        kernels: args.kernels.as_deref(),
        filter: args.scenario.as_deref(),
        keep_logs: args.keep_logs,
        soak: args
            .soak
            .map(|minutes| (u64::from(minutes) * 60, args.seed)),
    };
    let tally = scenarios(&binaries, choice)?;
    tally.print();
    Ok(tally.failed == 0)
}

/// Which scenarios to run, and on what.
#[derive(Clone, Copy, Default)]
pub(crate) struct Choice<'a> {
    /// See [`Args`].
    pub(crate) kernels: Option<&'a str>,
    /// Those whose name contains this.
    pub(crate) filter: Option<&'a str>,
    /// See [`Args`].
    pub(crate) keep_logs: bool,
    /// Seconds by which `soak` takes longer, and the order of its faults.
    pub(crate) soak: Option<(u64, u64)>,
}

impl Choice<'_> {
    /// Words for the guest, on its kernel's command line.
    fn arguments(&self) -> String {
        let filter = self.filter.map(|f| format!("dns_trace.filter={f}"));
        let soak = self
            .soak
            .map(|(seconds, seed)| format!("dns_trace.soak={seconds},{seed}"));
        let words: Vec<_> = [filter, soak].into_iter().flatten().collect();
        words.join(" ")
    }
}

/// Guests at a time. One uses four fifths of a core in the mean, and its scenarios wait for time to pass now
/// and then.
const AT_ONCE: usize = 2;

/// Boots the chosen kernels and counts.
pub(crate) fn scenarios(binaries: &Path, choice: Choice<'_>) -> Result<Tally> {
    let kernels = kernels::select(choice.kernels)?;
    let selected = scenario::selected(choice.filter);
    if selected.is_empty() {
        anyhow::bail!(
            "no scenario's name contains {}; see: cargo xtask vm --list",
            choice.filter.unwrap_or_default()
        );
    }
    let mut extra = build::go_programs()?;
    extra.push(build::foreign_programs()?);
    let base = Base::build(binaries, &extra)?;
    let mut boots = Vec::new();
    for kernel in kernels {
        boots.push((kernel, kernel.fetch()?));
    }
    let mut tally = Tally::default();
    let mut columns = Vec::new();
    for (kernel, (one, figures)) in boot_all(&boots, &base, choice)? {
        tally.passed += one.passed;
        tally.failed += one.failed;
        columns.push(Column { kernel, figures });
    }
    println!("\n{}", matrix::table(&columns));
    Ok(tally)
}

/// What a kernel's scenarios came to, with its name.
type Booted = (&'static str, (Tally, Figures));

/// Boots all of them, some at a time; gives them in order.
fn boot_all(
    boots: &[(&'static Kernel, Fetched)],
    base: &Base,
    choice: Choice<'_>,
) -> Result<Vec<Booted>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Booted)>> {
        let mut done = Vec::new();
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let Some((kernel, fetched)) = boots.get(turn) else {
                return Ok(done);
            };
            let result = boot(kernel, fetched, base, choice)?;
            done.push((turn, (kernel.name, result)));
        }
    };
    let mut all = thread::scope(|scope| {
        let workers = [(); AT_ONCE].map(|()| scope.spawn(work));
        let join = |worker: ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        let done: Result<Vec<_>> = workers.map(join).into_iter().collect();
        done.map(|parts| parts.concat())
    })?;
    all.sort_by_key(|(turn, _)| *turn);
    Ok(all.into_iter().map(|(_, booted)| booted).collect())
}

/// Names and values.
type Figures = Vec<(String, String)>;

/// Boots one kernel, prints a line for each of its scenarios, and returns what they found out.
fn boot(
    kernel: &Kernel,
    fetched: &Fetched,
    base: &Base,
    choice: Choice<'_>,
) -> Result<(Tally, Figures)> {
    let folder = paths::target().join("vm").join(kernel.name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let initramfs = folder.join("initramfs.cpio");
    base.with_modules(fetched, &initramfs)?;
    let selected = scenario::selected(choice.filter);
    let longer = Duration::from_secs(choice.soak.map_or(0, |(seconds, _)| seconds));
    let limit =
        selected.iter().map(|s| s.limit + longer).sum::<Duration>() + Duration::from_secs(60);
    let console = folder.join("console.log");
    let boot = Boot {
        kernel: fetched,
        initramfs: &initramfs,
        console: console.clone(),
        arguments: choice.arguments(),
        disk: None,
        limit,
    };
    let mut results = Results {
        kernel: kernel.name,
        console,
        tally: Tally::default(),
        seen: HashSet::new(),
        figures: Vec::new(),
    };
    let outcome = boot.run(|report| results.take(report))?;
    if let Outcome::Broken(why) = outcome {
        for scenario in selected
            .iter()
            .filter(|s| !results.seen.contains(s.name))
            .collect::<Vec<_>>()
        {
            results.print(scenario.name, Err(&why), 0.0);
        }
    }
    if results.tally.failed == 0 && !choice.keep_logs {
        let _ = fs::remove_file(&results.console);
    }
    let _ = fs::remove_file(&initramfs);
    Ok((results.tally, results.figures(selected.len())))
}

/// What the scenarios of one kernel came to.
struct Results {
    kernel: &'static str,
    console: PathBuf,
    tally: Tally,
    seen: HashSet<String>,
    figures: Figures,
}

impl Results {
    /// What the scenarios found out, and how many of the selected ones there are for this kernel.
    fn figures(self, selected: usize) -> Figures {
        let Tally { passed, failed } = self.tally;
        let others = selected - self.seen.len().min(selected);
        let counts = [
            ("scenarios passed", passed.to_string()),
            ("scenarios failed", failed.to_string()),
            ("scenarios for later kernels", others.to_string()),
        ];
        let counts = counts.map(|(name, count)| (name.to_owned(), count));
        self.figures.into_iter().chain(counts).collect()
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Booted { release } => {
                println!("{} boots {release}", self.kernel);
                self.figures.push(("release".into(), release));
            }
            Report::Passed { name, seconds } => {
                self.print(&name, Ok(()), seconds);
                self.seen.insert(name);
            }
            Report::Failed {
                name,
                seconds,
                message,
            } => {
                self.print(&name, Err(&message), seconds);
                self.seen.insert(name);
            }
            Report::Said { line } => println!("    {}: {line}", self.kernel),
            Report::Figure { name, value } => {
                println!("    {}: {name}: {value}", self.kernel);
                self.figures.push((name, value));
            }
            Report::Done => {}
        }
    }

    fn print(&mut self, name: &str, result: Result<(), &str>, seconds: f64) {
        let kernel = self.kernel;
        match result {
            Ok(()) => {
                self.tally.passed += 1;
                println!("test {kernel}::{name} ... ok ({seconds:.1} s)");
            }
            Err(message) => {
                self.tally.failed += 1;
                let message = message.replace('\n', "\n    ");
                let console = self.console.display();
                println!(
                    "test {kernel}::{name} ... FAILED ({seconds:.1} s)\n    {message}\n    console: {console}"
                );
            }
        }
    }
}
