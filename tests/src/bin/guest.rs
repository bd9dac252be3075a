//! The program inside the guest: its `/init`, and what scenarios start in processes of their own.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use dns_trace_tests::{demo, init, lab, scenario, systemd};

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().collect();
    // Process 1 alone does not tell: the demo is that of its own namespace.
    if std::process::id() == 1 && words.first().is_some_and(|word| word == "/init") {
        init::main();
    }
    words.drain(..words.len().min(1));
    match dispatch(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let message = format!("{error:#}");
            println!("guest: {message}");
            let _ = std::fs::write(init::MESSAGE, message);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["run", name] => run(name),
        ["demo", "local"] => demo::run(demo::Way::Local),
        ["demo", "bpfman"] => demo::run(demo::Way::Bpfman),
        ["systemd", "lab"] => systemd::lab(),
        ["systemd", "check"] => systemd::check(),
        ["mute", address] => lab::mute::main(address),
        ["flood", questions] => lab::flood::main(questions),
        ["within", group, ref words @ ..] => lab::cgroup::main(group, words),
        ["forgetful", address] => lab::forgetful::main(address),
        ["insist", server] => lab::forgetful::ask(server),
        ["hold", hook, device] => lab::foreign::main(hook, device),
        ["share", kind, server] => lab::share::main(kind, server),
        ["lookup", way, ref names @ ..] => lab::lookup::main(way, names),
        ["share-other", ref words @ ..] => lab::share::other_main(words),
        _ => bail!(
            "usage: guest run SCENARIO | guest demo local|bpfman | guest systemd lab|check | \
             guest mute|forgetful ADDRESS | guest insist SERVER | guest hold tcx|xdp DEVICE | \
             guest share KIND SERVER | guest lookup WAY NAME... | guest flood QUESTIONS | \
             guest within CGROUP COMMAND..."
        ),
    }
}

fn run(name: &str) -> Result<()> {
    lab::kernel::refuse_outside_guest()?;
    let scenario = scenario::ALL
        .iter()
        .find(|s| s.name == name)
        .with_context(|| format!("there is no scenario {name}"))?;
    match scenario.on(lab::kernel::version()?) {
        Some(run) => run(),
        None => Ok(()),
    }
}
