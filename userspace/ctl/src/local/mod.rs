//! `load --local`: programs and links through aya, without a daemon, pinned in the bundle's bpffs.

mod attach;
mod netns;
mod object;
mod programs;
mod tc;
mod trial;

pub(crate) use attach::{Detached, Neighbour, attach, detach, is_attached, neighbours, wait_gone};
pub(crate) use netns::Netns;
pub(crate) use object::{Object, stored_login};
pub(crate) use programs::{LoadedProgram, load, loaded};
pub(crate) use trial::try_object;
