//! The unprivileged reader of dns-trace: rings in, lookups out.
//!
//! One room after the other, each knowing only those before it:
//! [`bundle`] opens the maps that the operator handed over, [`heartbeat`] tells whether they are still fed, [`ring`] drains them and sleeps,
//! [`record`] checks a record, [`encrypted`] counts what cannot be read, [`tcp`] puts segments together, [`message`] decodes DNS, [`matcher`] finds the query to a response, [`owners`] the [`process`] that asked and
//! [`cgroups`] the [`container`] it is in,
//! [`path`] keeps where a host-wide hook saw them,
//! [`lookup`] is what comes of it, [`filter`] and [`sink`] decide what is shown and how ([`unicode`]: which names a terminal may see).
//! [`tap`] takes packets and messages as they are, on their way, and [`spool`] writes them without making anybody wait.
//! [`metrics`] makes bounded numbers of lookups, and [`serve`] offers them.
//! [`top`] keeps the most frequent of everything, and shows it on a terminal.
//! [`confine`] takes away what the process does not need for it.
//! [`pipeline`] ties them together; [`cli`] and [`commands`] are the command line.

pub mod bundle;
pub mod cgroups;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod confine;
pub mod container;
pub mod counts;
pub mod encrypted;
pub mod filter;
pub mod heartbeat;
pub mod interface;
pub mod lookup;
pub mod matcher;
pub mod message;
pub mod metrics;
pub mod name;
pub mod owners;
pub mod path;
pub mod pipeline;
pub mod process;
pub mod record;
pub mod ring;
pub mod serve;
pub mod sink;
pub mod spool;
pub mod stop;
mod table;
pub mod tap;
pub mod tcp;
pub mod top;
pub mod unicode;
