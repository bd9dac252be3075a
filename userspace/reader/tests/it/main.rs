//! The reader's pipeline on records as the kernel program writes them, and its command line.
#![expect(
    clippy::unwrap_used,
    reason = "a test or bench that cannot be set up has failed"
)]

mod cli;
mod doorbell;
mod encrypted;
mod fields;
mod hops;
mod hostile;
mod json;
mod libraries;
mod memory;
mod messages;
mod model;
mod owners;
mod pipeline;
mod rdata;
mod recording;
mod records;
mod scaled;
mod serve;
mod spooled;
mod streams;
mod tcp;
mod top;
mod tshark;
mod walk;
