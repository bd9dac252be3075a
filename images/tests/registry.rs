//! Against a real `docker-registry`, and with `skopeo` as a second opinion.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;
mod docker_registry;

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
};

use dns_trace_images::{Error, Login, Origin, Registry, Transport, find_login};
use docker_registry::{DockerRegistry, Kind};

fn plain() -> Registry {
    Registry::new(&Transport::PlainHttp, None).unwrap()
}

fn login(password: &str) -> Option<Login> {
    Some(Login {
        username: "user".into(),
        password: password.into(),
    })
}

async fn pull_error(registry: &Registry, reference: &str) -> Error {
    let origin = Origin::Registry {
        registry,
        reference: reference.to_owned(),
    };
    origin.pull("amd64").await.unwrap_err()
}

#[tokio::test]
async fn push_pull_inspect_over_plain_http() {
    let server = DockerRegistry::start(&Kind::Plain);
    let registry = plain();
    let bundle = common::bundle();
    let reference = format!("{}/acme/dns-trace:1.2.3", server.address);
    for _ in 0..2 {
        assert_eq!(
            registry.push(&reference, &bundle).await.unwrap(),
            bundle.index.digest
        );
    }
    let by_digest = format!("{}/acme/dns-trace@{}", server.address, bundle.index.digest);
    for reference in [reference, by_digest] {
        let origin = Origin::Registry {
            registry: &registry,
            reference,
        };
        assert!(origin.pull("amd64").await.unwrap().object == common::little());
        assert!(origin.pull("s390x").await.unwrap().object == common::big());
        let inspection = origin.inspect().await.unwrap();
        assert_eq!(inspection.digest.as_ref(), Some(&bundle.index.digest));
        assert_eq!(inspection.platforms.len(), 5);
    }
    // One manifest of the index is an image too.
    let reference = format!(
        "{}/acme/dns-trace@{}",
        server.address, bundle.manifests[0].digest
    );
    let origin = Origin::Registry {
        registry: &registry,
        reference,
    };
    assert_eq!(
        origin.inspect().await.unwrap().platforms[0].architecture,
        "amd64"
    );
}

#[tokio::test]
async fn skopeo_accepts_it() {
    let server = DockerRegistry::start(&Kind::Plain);
    let bundle = common::bundle();
    let reference = format!("{}/dns-trace:1", server.address);
    plain().push(&reference, &bundle).await.unwrap();
    let remote = format!("docker://{reference}");
    let text = common::run(Command::new("skopeo").args(["inspect", "--tls-verify=false", &remote]));
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["Digest"], *bundle.index.digest);
    assert!(
        shown["Labels"]["io.ebpf.programs"]
            .as_str()
            .unwrap()
            .contains("dns_tcx"),
        "{text}"
    );
    assert_eq!(shown["Layers"].as_array().unwrap().len(), 1);

    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    common::run(Command::new("skopeo").args([
        "copy",
        "--all",
        "--src-tls-verify=false",
        &remote,
        &format!("oci:{}:1", copy.display()),
    ]));
    let inspection = Origin::Layout(copy).inspect().await.unwrap();
    assert_eq!(inspection.digest.as_ref(), Some(&bundle.index.digest));

    let ours = folder.path().join("ours");
    dns_trace_images::write_layout(&ours, &bundle).unwrap();
    let archive = folder.path().join("ours.tar");
    dns_trace_images::write_layout_archive(&archive, &bundle).unwrap();
    for source in [
        format!("oci:{}", ours.display()),
        format!("oci-archive:{}", archive.display()),
    ] {
        let raw = common::run(Command::new("skopeo").args(["inspect", "--raw", &source]));
        assert_eq!(raw.as_bytes(), bundle.index.bytes, "{source}");
    }
}

#[tokio::test]
async fn tls_wants_the_right_ca() {
    let server = DockerRegistry::start(&Kind::Tls);
    let reference = format!("{}/dns-trace:1", server.address);
    let trusting = Registry::new(&Transport::TlsWithCa(server.ca()), None).unwrap();
    trusting.push(&reference, &common::bundle()).await.unwrap();
    let origin = Origin::Registry {
        registry: &trusting,
        reference: reference.clone(),
    };
    origin.inspect().await.unwrap();

    let strict = Registry::new(&Transport::Tls, None).unwrap();
    for error in [
        pull_error(&strict, &reference).await,
        strict
            .push(&reference, &common::bundle())
            .await
            .unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::UntrustedCertificate { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("--ca-file"), "{error}");
    }
}

/// Where the host has no CA certificate the HTTP client does not start, and oci-client panics.
#[test]
fn a_host_without_authorities_is_told() {
    const MARK: &str = "DNS_TRACE_TEST_BARE";
    if std::env::var_os(MARK).is_some() {
        let made = Registry::new(&Transport::PlainHttp, None);
        let error = made.err().unwrap();
        assert!(matches!(error, Error::NoAuthorities { .. }), "{error}");
        assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
        return;
    }
    common::run(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_host_without_authorities_is_told"])
            .env("SSL_CERT_FILE", "/no/such.pem")
            .env("SSL_CERT_DIR", "/no/such")
            .env(MARK, "1"),
    );
}

#[tokio::test]
async fn tls_to_a_plain_server_and_back() {
    let server = DockerRegistry::start(&Kind::Plain);
    let tls = Registry::new(&Transport::Tls, None).unwrap();
    let error = pull_error(&tls, &format!("{}/x:1", server.address)).await;
    assert!(matches!(error, Error::NotTls { .. }), "{error}");
    assert!(error.to_string().contains("--plain-http"), "{error}");
}

#[tokio::test]
async fn passwords_are_asked_for() {
    let server = DockerRegistry::start(&Kind::TlsWithPassword);
    let reference = format!("{}/dns-trace:1", server.address);
    let with = |login| Registry::new(&Transport::TlsWithCa(server.ca()), login).unwrap();
    for wrong in [None, login("wrong")] {
        let error = with(wrong.clone())
            .push(&reference, &common::bundle())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Unauthorised { .. }), "{error}");
        assert!(error.to_string().contains("docker login"), "{error}");
        let error = pull_error(&with(wrong), &reference).await;
        assert!(matches!(error, Error::Unauthorised { .. }), "{error}");
    }
    let registry = with(login("U*U"));
    registry.push(&reference, &common::bundle()).await.unwrap();
    Origin::Registry {
        registry: &registry,
        reference,
    }
    .pull("arm64")
    .await
    .unwrap();
}

/// `skopeo login` writes the file as `docker login` does.
#[test]
fn logins_of_other_tools_are_found() {
    const REGISTRY: &str = "DNS_TRACE_TEST_REGISTRY";
    if let Ok(registry) = std::env::var(REGISTRY) {
        assert_eq!(find_login(&registry).unwrap(), login("U*U"));
        assert_eq!(find_login("other.example").unwrap(), None);
        return;
    }
    let server = DockerRegistry::start(&Kind::TlsWithPassword);
    let file = server.folder.path().join("auth.json");
    common::run(
        Command::new("skopeo")
            .args([
                "login",
                "--tls-verify=false",
                "-u",
                "user",
                "-p",
                "U*U",
                "--authfile",
            ])
            .args([file.to_str().unwrap(), &server.address]),
    );
    common::run(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "logins_of_other_tools_are_found"])
            .env("REGISTRY_AUTH_FILE", &file)
            .env(REGISTRY, &server.address),
    );
}

#[tokio::test]
async fn what_is_not_there() {
    let server = DockerRegistry::start(&Kind::Plain);
    let missing = format!("{}/nothing:1", server.address);
    let error = pull_error(&plain(), &missing).await;
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let address = server.address.clone();
    drop(server);
    let error = pull_error(&plain(), &format!("{address}/x:1")).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[tokio::test]
async fn an_image_without_labels() {
    let server = DockerRegistry::start(&Kind::Plain);
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("bare");
    dns_trace_images::write_layout(&bare, &common::bundle()).unwrap();
    // The labels go; the digests are made right again.
    let manifest = relabel(&bare);
    let origin = Origin::Layout(bare);
    let error = origin.pull("amd64").await.unwrap_err();
    assert!(
        matches!(error, Error::NoLabels { .. }),
        "{manifest}: {error}"
    );
    drop(server);
}

/// Replaces the image of a layout by its first manifest, with a config without labels.
fn relabel(layout: &std::path::Path) -> String {
    use sha2::{Digest, Sha256};
    let path = |digest: &str| layout.join("blobs").join(digest.replace(':', "/"));
    let load = |path: &std::path::Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let store = |value: &serde_json::Value| {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = format!("sha256:{:x}", Sha256::digest(&bytes));
        fs::write(path(&digest), bytes).unwrap();
        digest
    };
    let bundle = common::bundle();
    let mut manifest = load(&path(&bundle.manifests[0].digest));
    let mut config = load(&path(manifest["config"]["digest"].as_str().unwrap()));
    config["config"] = serde_json::json!({});
    manifest["config"]["digest"] = store(&config).into();
    let digest = store(&manifest);
    let mut index = load(&layout.join("index.json"));
    index["manifests"][0]["digest"] = digest.clone().into();
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    digest
}

/// A server that never stops sending.
#[tokio::test]
async fn endless_answers_are_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap();
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                if text.starts_with("GET /v2/ ") {
                    let head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    stream.write_all(head.as_bytes()).unwrap();
                    return;
                }
                let mut go = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
                    .is_ok();
                while go {
                    go = stream.write_all(&[b' '; 65536]).is_ok();
                }
            });
        }
    });
    let error = pull_error(&plain(), &format!("{address}/x:1")).await;
    assert!(
        matches!(
            error,
            Error::TooLarge {
                what: "the manifest",
                ..
            }
        ),
        "{error}"
    );
}
