//! `docker-registry`, a real one, with certificates made on the spot.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::common::run;

/// A `docker-registry` of one's own; ends with the test.
pub(crate) struct DockerRegistry {
    process: Child,
    pub(crate) address: String,
    pub(crate) folder: TempDir,
}

pub(crate) enum Kind {
    Plain,
    Tls,
    /// TLS and a password: user `user`, password `U*U`.
    TlsWithPassword,
}

impl DockerRegistry {
    pub(crate) fn start(kind: &Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path();
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: {address}\n",
            path.join("data").display()
        );
        if !matches!(kind, Kind::Plain) {
            certificates(path);
            config += &format!(
                "  tls: {{certificate: {0}/server.pem, key: {0}/server.key}}\n",
                path.display()
            );
        }
        if matches!(kind, Kind::TlsWithPassword) {
            // A vector of crypt_blowfish.
            let line = "user:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";
            fs::write(path.join("htpasswd"), line).unwrap();
            config += &format!(
                "auth: {{htpasswd: {{realm: test, path: {}/htpasswd}}}}\n",
                path.display()
            );
        }
        fs::write(path.join("config.yml"), config).unwrap();
        let log = fs::File::create(path.join("log")).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(path.join("config.yml"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self {
            process,
            address,
            folder,
        };
        let start = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            let log = fs::read_to_string(registry.folder.path().join("log")).unwrap();
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "docker-registry does not start: {log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A CA and a certificate of it for 127.0.0.1.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        run(Command::new("openssl")
            .current_dir(folder)
            .args(arguments.split_whitespace()));
    };
    fs::write(folder.join("extensions"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca -addext keyUsage=critical,keyCertSign",
    );
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.csr -subj /CN=127.0.0.1",
    );
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem",
    );
}
