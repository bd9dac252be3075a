//! The scenarios themselves, a file a subject. The list is in [`crate::scenario`].

pub(crate) mod askers;
pub(crate) mod bad_image;
pub(crate) mod bad_input;
pub(crate) mod boot;
pub(crate) mod by_hand;
pub(crate) mod choice;
pub(crate) mod credentials;
pub(crate) mod doctor;
pub(crate) mod full_disk;
pub(crate) mod interrupted;
pub(crate) mod loaders;
pub(crate) mod local;
pub(crate) mod neighbours;
pub(crate) mod no_link_layer;
pub(crate) mod owners;
pub(crate) mod packets;
pub(crate) mod parts;
pub(crate) mod pipeline;
pub(crate) mod rate;
pub(crate) mod refusals;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod tcp;
pub(crate) mod top;
pub(crate) mod upgrade;
pub(crate) mod verifier;
