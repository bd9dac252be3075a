//! `dns-trace top`: the most frequent of everything, and a picture of it.
//!
//! ```text
//! thread that reads the rings                      thread "draw"          thread "keys"
//! pipeline -> tally (heavy, few, histogram)
//!             feed: a snapshot at times  --box-->  app, rows, draw  <----  input, keys
//!                                        <--box--  screen, backend
//! ```
//!
//! The thread that reads never waits for the others: no box, no snapshot. Only [`screen`], [`backend`] and `input`
//! touch the terminal; what is drawn is printable ASCII and characters of our own.

pub mod app;
pub mod backend;
pub mod draw;
pub mod face;
pub mod feed;
pub mod few;
pub mod heavy;
pub mod histogram;
mod input;
pub mod keys;
pub mod rates;
pub mod rows;
pub mod screen;
pub mod snapshot;
pub mod tally;
pub mod text;
