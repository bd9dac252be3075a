//! Fields of the kernel's structures that are elsewhere, or nowhere: the running kernel with changed types.
//!
//! The changed types lie where loaders look for them, so it is our own tool that loads; what the programs
//! read then comes from where the changed types say.

use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context, Result, ensure};
use aya::{Btf, EbpfLoader, Endianness};
use dns_trace_event::PacketHeader;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::verifier;
use crate::lab::btf::Types;
use crate::lab::ctl::{ctl, load_hook, nothing_left};
use crate::lab::image;
use crate::lab::names::{NameServers, ask};
use crate::lab::net::{self, CLIENT_DEVICE, SERVER_DEVICE};
use crate::lab::relocation::{self, fields};
use crate::lab::ring::Ring;
use crate::lab::sh::sh;

/// No index of a device in a guest.
const MTU: u32 = 1411;
/// Where loaders look for the kernel's types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The object follows the types of this kernel, and whatever one field is missing, the kernel takes every
/// program.
pub(crate) fn relocations() -> Result<()> {
    let kernel = Types::of_this_kernel()?;
    let object = image::object()?;
    relocation::check(&object, &kernel)?;
    for (owner, member) in fields() {
        let mut types = kernel.clone();
        types.remove(owner, member)?;
        load_all(&object, &types).with_context(|| format!("without {owner}::{member}"))?;
    }
    nothing_left()
}

fn load_all(object: &[u8], types: &Types) -> Result<()> {
    let btf = Btf::parse(types.bytes(), Endianness::default())?;
    let mut ebpf = EbpfLoader::new().btf(Some(&btf)).load(object)?;
    for (name, function) in verifier::programs()? {
        let program = ebpf.program_mut(name).context("it is not in the object")?;
        verifier::load(program, function).with_context(|| format!("cannot load {name}"))?;
    }
    Ok(())
}

/// What has moved is read where it is now: the index of a device from where its MTU is, the cookie of a
/// namespace from where its number is.
pub(crate) fn moved() -> Result<()> {
    let mut types = Types::of_this_kernel()?;
    let place = |owner, member| types.offset(owner, member)?.context(member);
    let mtu = place("net_device", "mtu")?;
    let number = place("net", "ns")? + place("ns_common", "inum")?;
    types.move_to("net_device", "ifindex", mtu)?;
    types.move_to("net", "net_cookie", number)?;
    let numbers = namespaces()?;
    for packet in capture(&types, 4)? {
        ensure!(packet.ifindex == MTU, "the index is {}", packet.ifindex);
        let number = packet.netns_cookie & u64::from(u32::MAX);
        ensure!(
            numbers.contains(&number),
            "the namespace is {number}, not one of {numbers:?}"
        );
    }
    nothing_left()
}

/// What is missing is told as unknown, and the messages are told all the same; where they cannot be found
/// without it, every packet is counted.
pub(crate) fn missing() -> Result<()> {
    namespaces()?;
    let mut types = Types::of_this_kernel()?;
    for (owner, member) in [
        ("net_device", "ifindex"),
        ("net", "net_cookie"),
        ("sock_common", "skc_cookie"),
    ] {
        types.remove(owner, member)?;
    }
    for packet in capture(&types, 4)? {
        let unknown = (packet.ifindex, packet.netns_cookie, packet.socket_cookie);
        ensure!(unknown == (0, 0, 0), "known after all: {unknown:?}");
    }
    let mut types = Types::of_this_kernel()?;
    types.remove("sk_buff", "len")?;
    capture(&types, 0)?;
    nothing_left()
}

/// Makes the namespaces, with devices of that MTU, and returns their numbers.
fn namespaces() -> Result<[u64; 2]> {
    net::create()?;
    let mtu = MTU.to_string();
    for (namespace, device) in [("client", CLIENT_DEVICE), ("server", SERVER_DEVICE)] {
        sh(&["ip", "-n", namespace, "link", "set", device, "mtu", &mtu])?;
    }
    let number = |name| std::fs::metadata(net::path(name)).map(|file| file.ino());
    Ok([number("client")?, number("server")?])
}

/// Loads the tracepoints on a kernel with these types, has a lookup pass, and returns its packets, which
/// have to be so many.
fn capture(types: &Types, count: usize) -> Result<Vec<PacketHeader>> {
    let names = NameServers::start()?;
    let changed = Changed::show(types)?;
    load_hook("tracepoint", &["--local"])?.ok()?;
    drop(changed);
    ask("www.example.test", "A", "NOERROR")?;
    let mut ring = Ring::of_bundle()?;
    let packets = ring.packets();
    let stats = ring.stats()?;
    ensure!(
        packets.len() == count,
        "{} packets: {stats:?}",
        packets.len()
    );
    ensure!(
        count > 0 || (stats.packets > 0 && stats.unparsable == stats.packets),
        "packets that nobody knows are not counted: {stats:?}"
    );
    drop((ring, names));
    ctl(&["unload"])?.ok()?;
    Ok(packets)
}

/// Types in the place of the kernel's, as long as the value lives.
struct Changed;

impl Changed {
    fn show(types: &Types) -> Result<Self> {
        let file = "/run/lab/vmlinux";
        std::fs::write(file, types.bytes())?;
        mount_bind(file, VMLINUX).with_context(|| format!("cannot cover {VMLINUX}"))?;
        Ok(Self)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = unmount(VMLINUX, UnmountFlags::DETACH);
    }
}
