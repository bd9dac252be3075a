//! Client of the bpfman daemon.
