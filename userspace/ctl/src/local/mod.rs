//! `load --local`: programs and links through aya, without a daemon, pinned in the bundle's bpffs.

mod attach;
mod interfaces;
mod netns;
mod object;
mod probe;
mod programs;
mod replace;
mod tc;
mod trial;
mod xdp;

pub(crate) use attach::{Detached, attach, detach, is_attached, wait_gone};
pub(crate) use interfaces::{Changes, Interfaces, News, interfaces};
pub(crate) use netns::Netns;
pub(crate) use object::{Object, stored_login};
pub(crate) use probe::try_hook;
pub(crate) use programs::{LoadedProgram, load, loaded, try_owners, unattached};
pub(crate) use replace::{replace, undo_interrupted};
pub(crate) use tc::{Filter, filters, has_qdisc};
pub(crate) use trial::try_object;
pub(crate) use xdp::xdp_programs;
