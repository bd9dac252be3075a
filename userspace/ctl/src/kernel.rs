//! Questions to the kernel, answered by trying rather than by its version.

use std::{io, path::Path};

use anyhow::{Context, Result, anyhow};
use aya::{
    maps::{MapData, MapError},
    programs::{ProgramError, SchedClassifier, TcAttachType},
};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::exit::{Exit, Failure};

/// Where the kernel shows its types.
pub(crate) const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Whether the kernel has TCX (Linux 6.6): it is asked which programs the loopback interface has.
pub(crate) fn has_tcx() -> Result<bool> {
    match SchedClassifier::query_tcx("lo", TcAttachType::Ingress) {
        Ok(_) => Ok(true),
        Err(ProgramError::SyscallError(error))
            if error.io_error.kind() == io::ErrorKind::InvalidInput =>
        {
            Ok(false)
        }
        Err(error) => Err(anyhow::Error::new(error).context("cannot ask the kernel for TCX")),
    }
}

/// Whether a process without any capability may open that pin, as far as the kernel is asked (the pin's
/// own permissions are another matter, and it need not be there): a thread gives up its capabilities and
/// tries. Before Linux 5.19 every `bpf()` of such a thread is refused.
pub(crate) fn lets_others_read(pin: &Path) -> Result<bool> {
    let attempt = || {
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, none).context("cannot give up capabilities")?;
        Ok(!matches!(
            MapData::from_pin(pin),
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::EPERM)
        ))
    };
    std::thread::scope(|scope| scope.spawn(attempt).join())
        .unwrap_or_else(|_| Err(anyhow!("the thread without capabilities panicked")))
}

/// Refuses anybody but root.
pub(crate) fn need_root(what: &str) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Permission,
        format!("{what} needs root (run it with sudo)"),
    ))
}

/// Refuses a kernel that does not show its types.
pub(crate) fn need_btf() -> Result<()> {
    if Path::new(BTF).exists() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Kernel,
        format!("the kernel shows no types at {BTF} (boot a kernel with CONFIG_DEBUG_INFO_BTF=y)"),
    ))
}
