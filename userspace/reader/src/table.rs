//! What the tables of pending queries, flows and sockets are made of, beside the slab that holds the
//! entries: how they are found, and how old they are.

pub(crate) mod index;
pub(crate) mod order;
