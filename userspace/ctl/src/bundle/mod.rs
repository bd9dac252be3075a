//! The bundle's own bpffs: the mount, the folders in it, and the maps that are handed over there.
//! How the programs came into the kernel does not matter here.

mod claim;
mod grant;
mod group;
mod layout;
mod maps;
mod mount;
mod readers;

pub(crate) use claim::Claim;
pub(crate) use grant::{Granted, add_rings, grant, granted, remove_instance, remove_rings_but};
pub(crate) use group::Group;
pub(crate) use layout::{Layout, Way, instances, make_folder, names, note};
pub(crate) use maps::{RingMaps, counters, rings_of};
pub(crate) use mount::{Mount, is_bpffs};
pub(crate) use readers::holder_of;
