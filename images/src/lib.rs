//! Bytecode images.
