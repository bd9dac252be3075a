//! Devices without a link-layer header, and addresses that look like what stands in one.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::lab::ctl::{ctl, nothing_left};
use crate::lab::net::{self, CLIENT, SERVER};
use crate::lab::reader::Watch;
use crate::lab::sh;

/// A tunnel: its kind, and the addresses of client and server in it.
struct Tunnel {
    name: &'static str,
    kind: &'static str,
    client: &'static str,
    server: &'static str,
}

/// Bytes 12 and 13 of an IPv4 packet are the first of its source, of an IPv6 packet the third group
/// of it: here the ethertypes of IPv4 and IPv6.
const TUNNELS: [Tunnel; 3] = [
    tunnel("like4", "ipip", "8.0.69.1", "8.0.69.2"),
    tunnel("like4in6", "sit", "2001:db8:800::1", "2001:db8:800::2"),
    tunnel(
        "like6in6",
        "sit",
        "2001:db8:86dd:6000::1",
        "2001:db8:86dd:6000::2",
    ),
];

const fn tunnel(
    name: &'static str,
    kind: &'static str,
    client: &'static str,
    server: &'static str,
) -> Tunnel {
    Tunnel {
        name,
        kind,
        client,
        server,
    }
}

/// Both sides ask the other through each tunnel, one at a time. Nobody answers, so that each query is
/// one lookup that times out.
pub(crate) fn lookups() -> Result<()> {
    net::create()?;
    for tunnel in &TUNNELS {
        dig_through(tunnel)?;
    }
    Ok(())
}

fn dig_through(tunnel: &Tunnel) -> Result<()> {
    for (namespace, local, remote, address) in [
        ("client", CLIENT.0, SERVER.0, tunnel.client),
        ("server", SERVER.0, CLIENT.0, tunnel.server),
    ] {
        let (length, flag) = if address.contains(':') {
            ("64", " nodad")
        } else {
            ("24", "")
        };
        let Tunnel { name, kind, .. } = tunnel;
        for line in [
            format!("-n {namespace} link add {name} type {kind} local {local} remote {remote}"),
            format!("-n {namespace} addr add {address}/{length} dev {name}{flag}"),
            format!("-n {namespace} link set {name} up"),
        ] {
            let words: Vec<&str> = std::iter::once("ip").chain(line.split(' ')).collect();
            sh::sh(&words)?;
        }
    }
    ctl(&[
        "load",
        "--local",
        "--netns",
        "server",
        "--iface",
        tunnel.name,
    ])?
    .ok()?;
    let watch = Watch::start(&["--timeout", "1s", "--count", "2"])?;
    for (namespace, server, name) in [
        ("client", tunnel.server, "in.example.test"),
        ("server", tunnel.client, "out.example.test"),
    ] {
        let at = format!("@{server}");
        let words = ["dig", &at, name, "+tries=1", "+time=1", "+notcp"];
        // Refused, since nobody listens.
        net::run(namespace, &words)?;
    }
    let seen = watch.ends(10)?;
    let mut names: Vec<&str> = seen
        .lookups
        .iter()
        .filter_map(|line| line.pointer("/dns/question/name").and_then(Value::as_str))
        .collect();
    names.sort_unstable();
    ensure!(
        names == ["in.example.test", "out.example.test"],
        "through {} were seen: {names:?}",
        tunnel.name
    );
    seen.counts(&[
        ("reader/queries", 2),
        ("reader/timeouts", 2),
        ("kernel/submitted", 2),
        ("kernel/malformed", 0),
        ("kernel/unparsable", 0),
    ])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()?;
    for namespace in ["client", "server"] {
        sh::sh(&["ip", "-n", namespace, "link", "delete", tunnel.name])?;
    }
    Ok(())
}
