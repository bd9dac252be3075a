//! Questions to the kernel, answered by trying rather than by its version.

use std::{io, path::Path};

use anyhow::Result;
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};

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
