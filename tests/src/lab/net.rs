//! Two network namespaces, `client` and `server`, joined by a pair of devices.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::sh::{self, Outcome};

/// The client's addresses.
pub const CLIENT: (&str, &str) = ("10.53.0.1", "fd00:53::1");
/// The name server's addresses.
pub const SERVER: (&str, &str) = ("10.53.0.2", "fd00:53::2");
/// An address of the server where queries arrive and nobody answers.
pub const MUTE: &str = "10.53.0.3";
/// An address of the server at which every first query is dropped, see [`super::forgetful`].
pub const FORGETFUL: &str = "10.53.0.4";
/// The device in the server's namespace, the one that scenarios trace.
pub const SERVER_DEVICE: &str = "srv0";
/// The device in the client's namespace.
pub const CLIENT_DEVICE: &str = "cli0";

/// Makes the namespaces.
///
/// # Errors
/// If `ip` refuses.
pub fn create() -> Result<()> {
    sh::sh(&["ip", "netns", "add", "server"])?;
    join(SERVER_DEVICE)
}

/// Makes the client's namespace and joins it to the server's, which is there, with a device of that name
/// on the server's side.
///
/// # Errors
/// If `ip` refuses.
pub fn join(device: &str) -> Result<()> {
    let lines = [
        "link set lo up".to_owned(),
        "netns add client".into(),
        format!("link add {CLIENT_DEVICE} netns client type veth peer name {device} netns server"),
        "-n client link set lo up".into(),
        "-n server link set lo up".into(),
        format!("-n client addr add {}/24 dev {CLIENT_DEVICE}", CLIENT.0),
        format!(
            "-n client addr add {}/64 dev {CLIENT_DEVICE} nodad",
            CLIENT.1
        ),
        format!("-n server addr add {}/24 dev {device}", SERVER.0),
        format!("-n server addr add {MUTE}/24 dev {device}"),
        format!("-n server addr add {}/64 dev {device} nodad", SERVER.1),
        format!("-n client link set {CLIENT_DEVICE} up"),
        format!("-n server link set {device} up"),
    ];
    for line in lines {
        let words: Vec<&str> = std::iter::once("ip").chain(line.split(' ')).collect();
        sh::sh(&words)?;
    }
    Ok(())
}

/// The bridge of [`route`].
pub const BRIDGE: &str = "br0";

/// Makes the namespaces, joined by the guest's own: the client's device is a port of a bridge, the server
/// is behind another device, and the guest forwards between the two.
///
/// # Errors
/// If `ip` or `sysctl` refuses.
pub fn route() -> Result<()> {
    let lines = [
        "link set lo up".to_owned(),
        "netns add client".into(),
        "netns add server".into(),
        format!("link add {BRIDGE} type bridge"),
        format!("link add {CLIENT_DEVICE} netns client type veth peer name port0"),
        format!("link add {SERVER_DEVICE} netns server type veth peer name up0"),
        format!("link set port0 master {BRIDGE}"),
        "-n client link set lo up".into(),
        "-n server link set lo up".into(),
        format!("-n client addr add 10.54.0.1/24 dev {CLIENT_DEVICE}"),
        format!("-n server addr add {}/24 dev {SERVER_DEVICE}", SERVER.0),
        format!("-n server addr add {MUTE}/24 dev {SERVER_DEVICE}"),
        format!("-n server addr add {FORGETFUL}/24 dev {SERVER_DEVICE}"),
        format!(
            "-n server addr add {}/64 dev {SERVER_DEVICE} nodad",
            SERVER.1
        ),
        format!("addr add 10.54.0.254/24 dev {BRIDGE}"),
        "addr add 10.53.0.254/24 dev up0".into(),
        "link set port0 up".into(),
        format!("link set {BRIDGE} up"),
        "link set up0 up".into(),
        format!("-n client link set {CLIENT_DEVICE} up"),
        format!("-n server link set {SERVER_DEVICE} up"),
        "-n client route add default via 10.54.0.254".into(),
        "-n server route add default via 10.53.0.254".into(),
    ];
    for line in lines {
        let words: Vec<&str> = std::iter::once("ip").chain(line.split(' ')).collect();
        sh::sh(&words)?;
    }
    sh::sh(&["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])?;
    Ok(())
}

/// Lets a device send nothing of its own accord: no neighbour discovery, no multicast reports, no
/// answers. What is on the wire then is what a scenario puts there, to the packet.
///
/// # Errors
/// If `ip` or `sysctl` refuses.
pub fn mute(namespace: &str, device: &str) -> Result<()> {
    sh::sh(&["ip", "-n", namespace, "addr", "flush", "dev", device])?;
    sh::sh(&["ip", "-n", namespace, "link", "set", device, "arp", "off"])?;
    let setting = format!("net.ipv6.conf.{device}.disable_ipv6=1");
    run(namespace, &["sysctl", "-q", "-w", &setting])?.ok()?;
    Ok(())
}

/// A command that runs inside a namespace.
#[must_use]
pub fn inside(namespace: &str, words: &[&str]) -> Command {
    let mut command = sh::command(&["ip", "netns", "exec", namespace]);
    command.args(words);
    command
}

/// Runs a command inside a namespace to its end.
///
/// # Errors
/// If it cannot be started.
pub fn run(namespace: &str, words: &[&str]) -> Result<Outcome> {
    sh::run(&mut inside(namespace, words))
}

/// Does something on a thread that is inside a namespace; a socket stays there for good.
///
/// # Errors
/// If there is no such namespace.
pub fn enter<T: Send>(namespace: &str, what: impl FnOnce() -> T + Send) -> Result<T> {
    let file = File::open(path(namespace)).context("cannot open the namespace")?;
    let enter = || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        rustix::io::Result::Ok(what())
    };
    let joined = thread::scope(|scope| scope.spawn(enter).join());
    let done = joined.map_err(|_| anyhow::anyhow!("a thread in {namespace} panicked"))?;
    done.with_context(|| format!("cannot enter {namespace}"))
}

/// Path of a namespace, as `--netns` takes it.
#[must_use]
pub fn path(namespace: &str) -> String {
    format!("/run/netns/{namespace}")
}

/// Whether a process has a UDP socket bound to a port in its namespace.
///
/// # Errors
/// If the process is gone.
pub fn listens(pid: u32, port: u16) -> Result<bool> {
    let wanted = format!(":{port:04X}");
    for table in ["udp", "udp6"] {
        let file = format!("/proc/{pid}/net/{table}");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        if text
            .lines()
            .filter_map(|l| l.split_whitespace().nth(1))
            .any(|local| local.ends_with(&wanted))
        {
            return Ok(true);
        }
    }
    Ok(false)
}
