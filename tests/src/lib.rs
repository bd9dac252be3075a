//! End-to-end scenarios with every real part in its place: daemons, clients, kernels.
//!
//! A scenario runs as root inside a guest that `cargo xtask vm` boots, never on the machine that
//! tests are started from. [`scenario`] is the list, [`lab`] what scenarios are made of, [`report`]
//! what the guest tells the machine outside, [`init`] the guest's first
//! process, [`demo`] the demonstration, [`systemd`] the units on a host that systemd runs.

pub mod demo;
pub mod init;
pub mod lab;
pub mod report;
pub mod scenario;
mod scenarios;
pub mod systemd;
