//! DNS traffic made from a seed, and what tshark says of it: one half of the differential test.
//!
//! [`corpus`] makes the packets, [`pcap`] writes them for tshark and tcpreplay, [`tshark`] reads what
//! tshark makes of the file, and [`compare`] holds the reader's JSON lines against that. Nothing here
//! knows the reader: it is compared by what it prints.

pub mod compare;
pub mod corpus;
pub mod differences;
mod exchange;
mod frame;
mod lookups;
mod message;
mod options;
mod pathologies;
pub mod pcap;
mod present;
mod rdata;
mod rng;
mod streams;
pub mod tshark;
