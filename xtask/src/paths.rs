//! Where things are: the project, its build products, and the cache that outlives them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The project's root folder.
pub(crate) fn project() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => project().join(dir),
        None => project().join("target"),
    }
}

/// The cache: tools and kernels that `cargo clean` must not remove.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(dir) if Path::new(&dir).is_absolute() => PathBuf::from(dir),
        _ => PathBuf::from(env::var_os("HOME").context("cannot find the cache: HOME is not set")?)
            .join(".cache"),
    };
    Ok(base.join("dns-trace"))
}

/// Folder for `cargo install --root`; the programs are in its `bin`.
pub(crate) fn tools() -> Result<PathBuf> {
    Ok(cache()?.join("tools"))
}

/// A program that setup has built.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    Ok(tools()?.join("bin").join(name))
}
