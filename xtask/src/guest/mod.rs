//! The virtual machine: its file system, its modules, and a boot of it.
//!
//! One boot runs many scenarios. Results come over a serial port of their own, so that kernel
//! messages, which go to the console, cannot disturb them.

mod files;
mod initramfs;
mod modules;
mod qemu;

pub(crate) use initramfs::Base;
pub(crate) use qemu::{Boot, Outcome};
