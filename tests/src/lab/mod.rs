//! What scenarios are made of: namespaces, daemons, clients, and ways to run our programs.

pub mod btf;
pub mod cgroup;
pub mod chains;
pub mod ctl;
pub mod daemon;
pub mod doorbell;
pub mod flood;
pub mod foreign;
pub mod forgetful;
pub mod image;
#[cfg(test)]
mod instructions;
pub mod kernel;
pub mod left;
pub mod lookup;
pub mod mute;
pub mod names;
pub mod net;
pub mod packet;
pub mod reader;
pub mod registry;
pub mod relocation;
pub mod replay;
pub mod ring;
pub mod sh;
pub mod share;
pub mod terminal;
pub mod traffic;
mod uring;
