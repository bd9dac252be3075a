//! `dns-trace --version --verbose`: what this kernel has to confine the reader, found out by trying.

use std::path::Path;

use dns_trace_event::{ABI_VERSION, BUNDLE_ROOT};

use crate::confine::{Needs, trial};

/// Prints it.
///
/// # Errors
/// [`crate::confine::Error`].
pub fn run() -> anyhow::Result<()> {
    println!("dns-trace {}", env!("CARGO_PKG_VERSION"));
    println!("kernel part   ABI {ABI_VERSION}");
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let needs = Needs::reading(Path::new(BUNDLE_ROOT));
    println!("\nWhile it reads, Linux {release} confines the reader by");
    println!("{}", trial(&needs)?);
    println!("and leaves beside what is open already:");
    print!("{needs}");
    Ok(())
}
