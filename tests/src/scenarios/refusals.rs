//! What the reader refuses, and how it says so.

use anyhow::{Result, ensure};

use crate::lab::ctl::{ctl, load_hook, nothing_left};
use crate::lab::net;
use crate::lab::reader::{GROUP, Watch, unprivileged};
use crate::lab::sh;

/// No bundle, no membership, a second reader; and then a member reads after all.
pub(crate) fn reader() -> Result<()> {
    net::create()?;
    let watch = |group| sh::run(&mut unprivileged(group, &["dns-trace", "watch"]));
    watch(Some(GROUP))?
        .exits(3)?
        .refuses(&["not loaded", "dns-tracectl load"])?;
    load_hook("tc", &["--local"])?.ok()?;
    watch(None)?
        .exits(4)?
        .refuses(&["permission denied", "usermod -aG dns-trace"])?;
    watch(Some("65534"))?
        .exits(4)?
        .refuses(&["permission denied"])?;
    let first = Watch::start(&[])?;
    watch(Some(GROUP))?.exits(5)?.refuses(&["one reader"])?;
    first.stop()?;
    Watch::start(&[])?.stop()?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// Nobody but root may load, and root is told apart before anything is touched.
pub(crate) fn operator() -> Result<()> {
    for words in [
        ["load", "--local", "--iface", "lo"].as_slice(),
        &["unload"],
        &["grant"],
    ] {
        let mut line = vec!["dns-tracectl"];
        line.extend(words);
        sh::run(&mut unprivileged(Some(GROUP), &line))?
            .exits(4)?
            .refuses(&["root"])?;
    }
    ensure!(
        !std::path::Path::new("/run/dns-trace").exists(),
        "a refused command made /run/dns-trace"
    );
    nothing_left()
}
