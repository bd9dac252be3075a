//! A name server that never answers: it takes every query, so that no ICMP error goes back.

use std::net::UdpSocket;

use anyhow::{Context, Result};

/// Receives on an address such as `10.53.0.3:53` until it is killed.
///
/// # Errors
/// If the address cannot be bound.
pub fn main(address: &str) -> Result<()> {
    let socket = UdpSocket::bind(address).with_context(|| format!("cannot bind {address}"))?;
    let mut buffer = [0; 64];
    loop {
        // A datagram longer than the buffer is cut; nobody looks at it.
        socket.recv_from(&mut buffer).context("cannot receive")?;
    }
}
