//! The name server with its zones, the one that is mute, and a real client.

use std::fs;

use anyhow::Result;

use super::daemon::Daemon;
use super::net::{self, MUTE, SERVER};
use super::sh::Outcome;

/// The zone that is served.
const ZONE: &str = "\
$ORIGIN example.test.
$TTL 300
@ IN SOA ns.example.test. hostmaster.example.test. 1 3600 600 86400 60
@ IN NS ns
@ IN MX 10 mail
ns IN A 10.53.0.2
mail IN A 192.0.2.25
www IN A 192.0.2.80
www IN AAAA 2001:db8::80
alias IN CNAME www
text IN TXT \"v=spf1 -all\" \"second; string\"
*.wild IN A 192.0.2.99
";

/// Strings of 250 bytes in the TXT record of `long.example.test`: too long for a datagram.
const LONG: usize = 12;

fn zone() -> String {
    let string = format!(" \"{}\"", "x".repeat(250));
    format!("{ZONE}long IN TXT{}\n", string.repeat(LONG))
}

/// `broken.test` is configured but has no file: nsd answers SERVFAIL for it. Names outside both
/// zones are REFUSED.
const CONFIG: &str = "\
server:
  server-count: 1
  ip-address: 10.53.0.2
  ip-address: fd00:53::2
  username: \"\"
  zonesdir: \"/run/lab\"
  database: \"\"
  logfile: \"/run/lab/nsd.log\"
  pidfile: \"/run/lab/nsd.pid\"
  xfrdfile: \"/run/lab/xfrd.state\"
  zonelistfile: \"/run/lab/zone.list\"
  cookie-secret-file: \"\"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: example.test
  zonefile: example.test.zone
zone:
  name: broken.test
  zonefile: nowhere.zone
";

/// The name servers, which end with this value.
#[derive(Debug)]
pub struct NameServers {
    _nsd: Daemon,
    _mute: Daemon,
}

impl NameServers {
    /// Starts both in the server's namespace and waits until they listen.
    ///
    /// # Errors
    /// If one does not come up.
    pub fn start() -> Result<Self> {
        fs::create_dir_all("/run/lab")?;
        fs::write("/run/lab/example.test.zone", zone())?;
        fs::write("/run/lab/nsd.conf", CONFIG)?;
        let nsd = Daemon::start(
            "nsd",
            &mut net::inside("server", &["nsd", "-d", "-c", "/run/lab/nsd.conf"]),
        )?;
        let nsd = nsd.ready(20, |d| net::listens(d.pid(), 53))?;
        let address = format!("{MUTE}:53");
        let mute = Daemon::start(
            "mute",
            &mut net::inside("server", &["guest", "mute", &address]),
        )?;
        let mute = mute.ready(5, |d| Ok(is(d, "guest") && listens_on(d.pid(), MUTE)))?;
        Ok(Self {
            _nsd: nsd,
            _mute: mute,
        })
    }
}

/// Whether a daemon has become the program of that name, after `ip netns exec`.
fn is(daemon: &Daemon, name: &str) -> bool {
    fs::read_link(format!("/proc/{}/exe", daemon.pid())).is_ok_and(|exe| exe.ends_with(name))
}

fn listens_on(pid: u32, address: &str) -> bool {
    // The table has addresses as they lie in memory: 10.53.0.3 is 0300350A.
    let hex: String = address
        .split('.')
        .rev()
        .filter_map(|n| n.parse::<u8>().ok())
        .map(|n| format!("{n:02X}"))
        .collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/udp")).unwrap_or_default();
    table.contains(&format!("{hex}:0035"))
}

/// Asks once, without retry, over UDP.
///
/// # Errors
/// If dig cannot be started. What it exits with is for the caller to judge.
pub fn dig(server: &str, name: &str, kind: &str) -> Result<Outcome> {
    dig_with(server, &[name, kind, "+notcp", "+nocookie"])
}

/// Asks once, without retry, and with more of dig's words.
///
/// # Errors
/// If dig cannot be started. What it exits with is for the caller to judge.
pub fn dig_with(server: &str, words: &[&str]) -> Result<Outcome> {
    let at = format!("@{server}");
    let mut line = vec!["dig", &at, "+tries=1", "+time=2"];
    line.extend(words);
    net::run("client", &line)
}

/// Asks the name server over IPv4 and insists on a status such as `NOERROR`.
///
/// # Errors
/// If there is no answer, or another.
pub fn ask(name: &str, kind: &str, status: &str) -> Result<Outcome> {
    let outcome = dig(SERVER.0, name, kind)?.ok()?;
    if !outcome.stdout.contains(&format!("status: {status},")) {
        anyhow::bail!(
            "{name} {kind} should be answered with {status}: {}",
            outcome.stdout
        );
    }
    Ok(outcome)
}
