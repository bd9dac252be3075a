//! Lookups that lead to encrypted DNS: counted when real clients make them, and no others.

use std::fs;

use anyhow::Result;

use crate::lab::ctl::{ctl, load_at_server, nothing_left};
use crate::lab::names::{NameServers, dig};
use crate::lab::net::{self, SERVER};
use crate::lab::reader::Watch;

/// curl that is to resolve by HTTPS, and dig for the rest. The name server refuses all of these names.
pub(crate) fn bootstraps() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    fs::create_dir_all("/etc/netns/client")?;
    let server = format!("nameserver {}\noptions attempts:1\n", SERVER.0);
    fs::write("/etc/netns/client/resolv.conf", server)?;
    load_at_server(&["--local"])?.ok()?;
    let watch = Watch::start(&[])?;
    let line = [
        "curl",
        "-s",
        "--doh-url",
        "https://dns.google/dns-query",
        "http://www.example.test/",
    ];
    // Nobody tells it where dns.google is: it ends with 6, and www.example.test is never asked for.
    net::run("client", &line)?.exits(6)?;
    for (name, kind) in [
        ("_dns.resolver.arpa", "SVCB"),
        ("use-application-dns.net", "A"),
        ("www.example.test", "A"),
        ("dns.google.example.test", "A"),
    ] {
        dig(SERVER.0, name, kind)?.ok()?;
    }
    let seen = watch.stop()?;
    let of = |name: &str| {
        let is = |line: &&serde_json::Value| {
            line.pointer("/dns/question/name").and_then(|n| n.as_str()) == Some(name)
        };
        seen.lookups.iter().filter(is).count() as u64
    };
    let curl = of("dns.google");
    anyhow::ensure!(curl >= 2, "curl asked {curl} times");
    seen.counts(&[
        ("reader/lookups", curl + 4),
        ("reader/encrypted/bootstraps/resolvers", curl),
        ("reader/encrypted/bootstraps/discoveries", 1),
        ("reader/encrypted/bootstraps/designated", 0),
        ("reader/encrypted/bootstraps/canaries", 1),
        ("reader/encrypted/packets", 0),
    ])?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}
