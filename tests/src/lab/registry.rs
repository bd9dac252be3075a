//! A real registry over TLS, with a certificate authority of its own, and the bpfman daemon.

use std::fs;
use std::os::unix::net::UnixStream;

use anyhow::Result;

use super::daemon::Daemon;
use super::sh::{self, sh};

/// Where the registry is reached.
pub const REGISTRY: &str = "registry.test:5000";
/// Certificate of the authority that signed the registry's.
pub const CA: &str = "/run/lab/ca.pem";
/// The daemon's socket.
pub const SOCKET: &str = "/run/bpfman-sock/bpfman.sock";
/// The daemon's bpffs: `prog_ID`, `maps/ID`.
pub const PINS: &str = "/run/bpfman/fs";

const CONFIG: &str = "\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: /run/lab/registry
http:
  addr: 127.0.0.1:5000
  tls:
    certificate: /run/lab/registry.pem
    key: /run/lab/registry.key
";

/// User of the registry with a password.
pub const USER: &str = "user";
/// Password of that user.
pub const PASSWORD: &str = "U*U";
/// The same for the registry: a vector of crypt_blowfish.
const HTPASSWD: &str = "user:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";
const AUTH: &str = "\
auth:
  htpasswd:
    realm: test
    path: /run/lab/htpasswd
";

/// Starts the registry and waits until it accepts connections.
///
/// # Errors
/// If it does not come up.
pub fn start() -> Result<Daemon> {
    serve(CONFIG)
}

/// Starts the registry for [`USER`] alone.
///
/// # Errors
/// If it does not come up.
pub fn start_with_password() -> Result<Daemon> {
    fs::create_dir_all("/run/lab")?;
    fs::write("/run/lab/htpasswd", HTPASSWD)?;
    serve(&format!("{CONFIG}{AUTH}"))
}

fn serve(config: &str) -> Result<Daemon> {
    fs::create_dir_all("/run/lab")?;
    certificates()?;
    fs::write("/run/lab/registry.yml", config)?;
    let daemon = Daemon::start(
        "registry",
        &mut sh::command(&["docker-registry", "serve", "/run/lab/registry.yml"]),
    )?;
    daemon.ready(30, |_| {
        Ok(std::net::TcpStream::connect("127.0.0.1:5000").is_ok())
    })
}

/// Makes the authority and the registry's certificate.
fn certificates() -> Result<()> {
    let config = "[req]\ndistinguished_name=n\n[n]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n\
                  [leaf]\nbasicConstraints=CA:FALSE\nsubjectAltName=DNS:registry.test\nextendedKeyUsage=serverAuth\n";
    fs::write("/run/lab/openssl.cnf", config)?;
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-config",
        "/run/lab/openssl.cnf",
    ];
    let mut ca = vec![
        "openssl",
        "req",
        "-x509",
        "-days",
        "3650",
        "-subj",
        "/CN=test authority",
        "-extensions",
        "ca",
    ];
    ca.extend(key);
    ca.extend(["-keyout", "/run/lab/ca.key", "-out", CA]);
    sh(&ca)?;
    let mut leaf = vec![
        "openssl",
        "req",
        "-x509",
        "-days",
        "3650",
        "-subj",
        "/CN=registry.test",
        "-extensions",
        "leaf",
    ];
    leaf.extend(key);
    leaf.extend([
        "-CA",
        CA,
        "-CAkey",
        "/run/lab/ca.key",
        "-keyout",
        "/run/lab/registry.key",
        "-out",
        "/run/lab/registry.pem",
    ]);
    sh(&leaf)?;
    Ok(())
}

/// Starts the bpfman daemon, which trusts the test's authority, and waits for its socket.
///
/// # Errors
/// If it does not come up.
pub fn bpfman() -> Result<Daemon> {
    let mut command = sh::command(&["bpfman-rpc", "--timeout=0"]);
    command.env("SSL_CERT_FILE", CA).env("RUST_LOG", "info");
    Daemon::start("bpfman-rpc", &mut command)?
        .ready(30, |_| Ok(UnixStream::connect(SOCKET).is_ok()))
}
