//! Another vendor's programs (`tests/foreign/foreign.bpf.c`), held by a process of their own.

use std::path::Path;

use anyhow::{Context, Result, bail};
use aya::programs::{SchedClassifier, TcAttachType, Xdp, XdpMode, tc::TcAttachOptions};
use aya::{Ebpf, programs::LinkOrder};

use super::daemon::Daemon;
use super::net;

/// The object, in the guest.
pub const OBJECT: &str = "/usr/bin/foreign.bpf.o";
/// Its program for XDP.
pub const XDP: &str = "foreign_xdp";
/// Its program for TCX.
pub const NEXT: &str = "foreign_next";
/// Its program for clsact.
pub const PIPE: &str = "foreign_pipe";

/// Starts a process that holds a program at a device of the server's: `tcx` behind the programs that are
/// there, or `xdp` by a link.
///
/// # Errors
/// If it does not come up.
pub fn hold(hook: &str, device: &str) -> Result<Daemon> {
    let words = ["guest", "hold", hook, device];
    Daemon::start("foreign", &mut net::inside("server", &words))?
        .ready(20, |d| Ok(d.stdout().contains("holding")))
}

/// The other side of [`hold`]: attaches and waits to be killed.
///
/// # Errors
/// If the program cannot be loaded or attached.
pub fn main(hook: &str, device: &str) -> Result<()> {
    let mut ebpf = Ebpf::load_file(Path::new(OBJECT)).context("cannot load the object")?;
    match hook {
        "tcx" => {
            let program: &mut SchedClassifier = named(&mut ebpf, NEXT)?.try_into()?;
            program.load()?;
            let last = TcAttachOptions::TcxOrder(LinkOrder::last());
            program.attach_with_options(device, TcAttachType::Ingress, last)?;
        }
        "xdp" => {
            let program: &mut Xdp = named(&mut ebpf, XDP)?.try_into()?;
            program.load()?;
            program.attach(device, XdpMode::Skb)?;
        }
        _ => bail!("nothing to hold at {hook}"),
    }
    println!("holding {device}");
    loop {
        std::thread::park();
    }
}

fn named<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut aya::programs::Program> {
    ebpf.program_mut(name)
        .with_context(|| format!("the object has no program {name}"))
}
