//! Programs that ask in the ways of today: each looks up all the names that it is given, from its own
//! process.

use std::net::{ToSocketAddrs as _, UdpSocket};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;

use super::net::SERVER;
use super::share::{answered, query};
use super::uring;

/// Looks names up in one of the ways that [`crate::scenario`]'s `owners_side_by_side` lists.
///
/// # Errors
/// If a name has no answer.
pub fn main(way: &str, names: &[&str]) -> Result<()> {
    match way {
        "std" => glibc(names),
        "hickory" => hickory(names),
        "mapped" => mapped(false, names),
        "mapped-connected" => mapped(true, names),
        "uring" => uring::ask(uring::Submitter::Caller, names),
        "uring-worker" => uring::ask(uring::Submitter::Worker, names),
        "uring-poller" => uring::ask(uring::Submitter::Poller, names),
        _ => bail!("there is no way {way}"),
    }
}

/// The standard library, which calls glibc's getaddrinfo, in a thread a name.
fn glibc(names: &[&str]) -> Result<()> {
    thread::scope(|scope| {
        let all: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || (*name, 80).to_socket_addrs()))
            .collect();
        for (one, name) in all.into_iter().zip(names) {
            let addresses = one.join().map_err(|_| anyhow::anyhow!("panicked"))?;
            let addresses = addresses.with_context(|| format!("cannot look up {name}"))?;
            ensure!(addresses.count() > 0, "{name} has no address");
        }
        Ok(())
    })
}

/// A resolver in Rust, which asks for all at once.
fn hickory(names: &[&str]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut builder = TokioResolver::builder_tokio()?;
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let resolver = builder.build()?;
        let mut all = tokio::task::JoinSet::new();
        for name in names {
            let (resolver, name) = (resolver.clone(), (*name).to_owned());
            all.spawn(async move { resolver.lookup_ip(name).await });
        }
        while let Some(one) = all.join_next().await {
            ensure!(one??.iter().next().is_some(), "a name has no address");
        }
        Ok(())
    })
}

/// A socket of IPv6 that speaks IPv4: the kernel goes through both of its send functions.
fn mapped(connected: bool, names: &[&str]) -> Result<()> {
    let server = (format!("::ffff:{}", SERVER.0), 53);
    let server = server
        .to_socket_addrs()?
        .next()
        .context("no address of the server")?;
    let socket = UdpSocket::bind("[::]:0").context("cannot bind")?;
    if connected {
        socket.connect(server)?;
    }
    for name in names {
        let message = query(name);
        if connected {
            socket.send(&message)?;
        } else {
            socket.send_to(&message, server)?;
        }
        answered(&socket, name)?;
    }
    Ok(())
}
