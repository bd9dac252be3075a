//! A name server that answers every second query only, and a client that sends the same query until it
//! is answered, from one socket: retransmissions, to the packet.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// `again.example.test A`, with id 7 and the RD bit.
const QUERY: &[u8] = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x05again\x07example\x04test\0\0\x01\0\x01";

/// Serves at an address such as `10.53.0.4:53` until it is killed. The answer is REFUSED.
///
/// # Errors
/// If the address cannot be bound.
pub fn main(address: &str) -> Result<()> {
    let socket = UdpSocket::bind(address).with_context(|| format!("cannot bind {address}"))?;
    let mut buffer = [0; 512];
    loop {
        socket.recv_from(&mut buffer).context("cannot receive")?;
        let (len, client) = socket.recv_from(&mut buffer).context("cannot receive")?;
        let Some(answer) = buffer.get_mut(..len) else {
            bail!("a datagram of {len} bytes");
        };
        if let Some([high, low]) = answer.get_mut(2..4) {
            (*high, *low) = (*high | 0x80, 5);
        }
        socket.send_to(answer, client).context("cannot send")?;
    }
}

/// Asks a server until it answers, once a second.
///
/// # Errors
/// If it does not.
pub fn ask(server: &str) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("cannot bind")?;
    socket
        .connect(server)
        .with_context(|| format!("cannot connect to {server}"))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    for _ in 0..4 {
        socket.send(QUERY).context("cannot send")?;
        match socket.recv(&mut [0; 512]) {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).context("cannot receive"),
        }
    }
    bail!("{server} does not answer")
}
