//! The reader's pipeline on records as the kernel program writes them, and its command line.

mod cli;
mod hostile;
mod json;
mod memory;
mod model;
mod pipeline;
mod records;
