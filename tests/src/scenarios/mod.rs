//! The scenarios themselves, a file a subject. The list is in [`crate::scenario`].

pub(crate) mod boot;
pub(crate) mod parts;
