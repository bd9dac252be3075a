//! The corpus, as `xtask` puts it into the guest.

/// The capture file.
pub const CAPTURE: &str = "/usr/share/corpus.pcap";
/// What tshark made of it.
pub const PDML: &str = "/usr/share/corpus.pdml";
