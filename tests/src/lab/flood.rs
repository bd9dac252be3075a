//! Clients in great number that ask, each for a name of its own, and never learn the answer.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::net::{self, CLIENT_DEVICE, MUTE};
use super::sh::sh;
use super::share::query;

/// Addresses from which it is asked; each is a client.
const NETWORK: &str = "10.57.0.0/16";
const CLIENTS: u8 = 250;
/// Questions between two pauses: an emulated machine has others to run, too.
const BURST: u32 = 250;
const PAUSE: Duration = Duration::from_millis(5);

/// Makes every address of the clients one of the namespace `client`.
///
/// # Errors
/// If `ip` refuses.
pub fn prepare() -> Result<()> {
    sh(&[
        "ip",
        "-n",
        "client",
        "route",
        "add",
        "local",
        NETWORK,
        "dev",
        CLIENT_DEVICE,
    ])
    .map(drop)
}

/// Asks so many questions of a server that never answers.
///
/// # Errors
/// If one could not be sent.
pub fn ask(questions: u32) -> Result<()> {
    net::run("client", &["guest", "flood", &questions.to_string()])?
        .ok()
        .map(drop)
}

/// The other side of [`ask`].
///
/// # Errors
/// If one could not be sent.
pub fn main(questions: &str) -> Result<()> {
    let questions: u32 = questions.parse().context("no number of questions")?;
    let server = SocketAddrV4::new(MUTE.parse().context("no address")?, 53);
    let clients = (1..=CLIENTS)
        .map(|last| UdpSocket::bind((Ipv4Addr::new(10, 57, 0, last), 0)))
        .collect::<Result<Vec<_>, _>>()
        .context("cannot bind the clients' addresses")?;
    for (number, client) in (0..questions).zip(clients.iter().cycle()) {
        client
            .send_to(&query(&format!("q{number:08}.flood.test")), server)
            .with_context(|| format!("cannot send question {number}"))?;
        if number % BURST == BURST - 1 {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}
