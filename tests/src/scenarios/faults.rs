//! The world breaks under a reader: its mount, its pins, its group are taken away. It says so, goes on with
//! what it has, and what the message names mends it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use dns_trace_event::{BUNDLE_ROOT, DEFAULT_INSTANCE, LINKS_DIR, LOCAL_DIR, RINGS_DIR};

use super::lifecycle::{DEVICE, asks, is_broken, says, silent, traffic, uplink};
use crate::init::note;
use crate::lab::ctl::{ctl, load_at_server, nothing_left};
use crate::lab::names::NameServers;
use crate::lab::net;
use crate::lab::reader::{GROUP, Watch, unprivileged};
use crate::lab::sh::{self, sh};

const TAKEN: &str = "or its pins taken away: waiting until it is loaded again";

/// The bundle's mount goes, and later the group whose members may read.
pub(crate) fn mount_and_group() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    // Links go with the mount once nobody has it open; filters stay.
    let load = ["--local", "--no-owners", "--hook", "tc"];
    load_at_server(&load)?.ok()?;
    let mut reader = Watch::start(&[])?;
    asks(1)?;
    sh(&["umount", "-l", BUNDLE_ROOT])?;
    says(&mut reader, TAKEN)?;
    asks(2)?;
    ctl(&["status"])?
        .exits(3)?
        .refuses(&["dns-tracectl load"])?;
    // Filters outlive their pins, and nobody knows of them any more but tc.
    net::run("server", &["tc", "qdisc", "del", "dev", "srv0", "clsact"])?.ok()?;
    load_at_server(&load)?.ok()?;
    says(&mut reader, "loaded anew: reading 1 ring(s)")?;
    asks(4)?;
    group_goes()?;
    asks(8)?;
    let asked = 1 + 2 + 4 + 8;
    reader.stop()?.counts(&[
        ("reader/reloads", 1),
        ("reader/answered", asked),
        ("reader/lookups", asked),
        ("kernel/submitted", 2 * asked),
        ("kernel/ring_full", 0),
    ])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// The entry of the group is removed and put back; a reader that runs does not notice.
fn group_goes() -> Result<()> {
    let table = fs::read_to_string("/etc/group")?;
    let without: Vec<&str> = table
        .lines()
        .filter(|l| !l.starts_with("dns-trace:"))
        .collect();
    fs::write("/etc/group", without.join("\n") + "\n")?;
    let watch = |group| sh::run(&mut unprivileged(group, &["dns-trace", "watch"]));
    let mends = || -> Result<()> {
        let said = ctl(&["status"])?.ok()?.stdout;
        ensure!(said.contains("groupadd --system dns-trace"), "{said}");
        ctl(&["grant"])?
            .exits(3)?
            .refuses(&["groupadd --system dns-trace"])?;
        watch(None)?
            .exits(4)?
            .refuses(&["permission denied", "group 990 may read"])?;
        watch(Some(GROUP))?.exits(5)?.refuses(&["one reader"])?;
        Ok(())
    };
    let result = mends();
    fs::write("/etc/group", table)?;
    result?;
    ctl(&["grant"])?.ok().map(drop)
}

/// Somebody removes the pins of the links, then those of the rings.
pub(crate) fn pins() -> Result<()> {
    uplink()?;
    let load = ["load", "--local", "--iface", DEVICE, "--no-owners"];
    ctl(&load)?.ok()?;
    let mut reader = Watch::start(&[])?;
    let (sends, ends) = (AtomicBool::new(true), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| traffic(&sends, &ends));
        let result = removed(&mut reader, &load);
        ends.store(true, Ordering::Relaxed);
        result
    })?;
    reader.stop()?.counts(&[("reader/reloads", 1)])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

fn removed(reader: &mut Watch, load: &[&str]) -> Result<()> {
    let instance = format!("{BUNDLE_ROOT}/{DEFAULT_INSTANCE}");
    // A filter of tc stays; a link of TCX goes with its pin.
    let stays = sh(&["tc", "qdisc", "show", "dev", DEVICE])?.contains("clsact");
    thread::sleep(std::time::Duration::from_secs(5));
    silent(reader, "before")?;
    fs::remove_dir_all(format!("{instance}/{LOCAL_DIR}/{LINKS_DIR}"))?;
    is_broken("sudo dns-tracectl load")?;
    if stays {
        ctl(&["unload"])?
            .exits(3)?
            .refuses(&["dns-tracectl load"])?;
    } else {
        says(reader, "interfaces count packets, the programs none")?;
    }
    ctl(load)?.ok()?;
    ctl(&["status"])?.ok()?;
    if stays {
        for way in ["ingress", "egress"] {
            let filters = sh(&["tc", "filter", "show", "dev", DEVICE, way])?;
            let ours = filters.matches("direct-action").count();
            ensure!(ours == 1, "{ours} filters at {way}: {filters}");
        }
        silent(reader, "of filters that stay")?;
    } else {
        says(reader, "the heartbeat is back")?;
    }
    fs::remove_dir_all(format!("{instance}/{RINGS_DIR}"))?;
    says(reader, TAKEN)?;
    is_broken("sudo dns-tracectl unload")?;
    ctl(load)?.ok()?;
    says(reader, "loaded anew: reading 1 ring(s)")?;
    note(if stays {
        "filters of tc stayed, and were found again"
    } else {
        "links of TCX went with their pins, and were told"
    })
    .map(drop)
}
