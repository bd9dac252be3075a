//! Our object and one with programs to measure it against, loaded and attached nowhere: `BPF_PROG_TEST_RUN` hands
//! the packets over. The maps are pinned as a bundle, so that the reader's own code opens them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use aya::programs::{Program, TestRun as _, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use dns_trace::bundle::Ring;
use dns_trace_bytecode::OBJECT_NATIVE;
use dns_trace_event::{GLOBAL_NETNS_COOKIE, MAP_CONTROL, MAP_EVENTS, MAP_STATS, RINGS_DIR};

/// A bpffs of our own, mounted before we start.
const ROOT: &str = "/run/bench/bpf";
/// Source of the programs that ours are measured against.
const YARDSTICKS: &str = include_str!("yardsticks.c");
/// Names of the compiler with LLVM 22, the best name first.
const COMPILERS: [&str; 2] = ["clang-22", "clang"];

/// Loads our object with the programs named and pins its maps as an instance of that name.
pub(crate) fn ours(instance: &str, programs: &[&str]) -> Result<Ebpf> {
    let mut ebpf = EbpfLoader::new()
        .override_global(GLOBAL_NETNS_COOKIE, &7_u64, true)
        .load(OBJECT_NATIVE)
        .context("cannot load our object")?;
    load(&mut ebpf, programs)?;
    let folder = Path::new(ROOT).join(instance).join(RINGS_DIR).join("0");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in [MAP_EVENTS, MAP_STATS, MAP_CONTROL] {
        let map = ebpf
            .map(name)
            .with_context(|| format!("no map {name} in our object"))?;
        map.pin(folder.join(name))
            .with_context(|| format!("cannot pin {name}"))?;
    }
    Ok(ebpf)
}

/// Opens the ring of an instance as the reader does.
pub(crate) fn rings(instance: &str) -> Result<Vec<Ring>> {
    Ok(dns_trace::bundle::open(Path::new(ROOT), instance)?)
}

/// Compiles and loads the programs named, which ours are measured against.
pub(crate) fn yardsticks(programs: &[&str]) -> Result<Ebpf> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let (source, object) = (
        folder.path().join("yardsticks.c"),
        folder.path().join("yardsticks.o"),
    );
    fs::write(&source, YARDSTICKS).context("cannot write the yardsticks")?;
    let compiled = COMPILERS.iter().any(|compiler| {
        let mut command = Command::new(compiler);
        command.args(["-target", "bpf", "-O2", "-g", "-c", "-o"]);
        let status = command.arg(&object).arg(&source).status();
        status.is_ok_and(|status| status.success())
    });
    ensure!(
        compiled,
        "cannot compile the yardsticks with {} (run: cargo xtask setup)",
        COMPILERS.join(" or ")
    );
    let bytes = fs::read(&object).context("cannot read the yardsticks")?;
    let mut ebpf = Ebpf::load(&bytes).context("cannot load the yardsticks")?;
    load(&mut ebpf, programs)?;
    Ok(ebpf)
}

fn load(ebpf: &mut Ebpf, names: &[&str]) -> Result<()> {
    for name in names {
        let program = ebpf
            .program_mut(name)
            .with_context(|| format!("no program {name}"))?;
        match program {
            Program::SchedClassifier(program) => program.load(),
            Program::Xdp(program) => program.load(),
            _ => bail!("{name} is neither a tc nor an XDP program"),
        }
        .with_context(|| format!("cannot load {name}"))?;
    }
    Ok(())
}

/// Runs a program `repeat` times on a packet; nanoseconds a time, the kernel's loop included.
pub(crate) fn time(ebpf: &Ebpf, name: &str, packet: &[u8], repeat: u32) -> Result<f64> {
    let options = TestRunOptions {
        data_in: Some(packet),
        repeat,
        ..TestRunOptions::default()
    };
    let program = ebpf
        .program(name)
        .with_context(|| format!("no program {name}"))?;
    let result = match program {
        Program::SchedClassifier(program) => program.test_run(options),
        Program::Xdp(program) => program.test_run(options),
        _ => bail!("{name} is neither a tc nor an XDP program"),
    };
    let result = result.with_context(|| format!("cannot run {name}"))?;
    Ok(result.duration.as_nanos() as f64)
}
