//! Connection errors, against real sockets.

use std::os::unix::net::UnixListener as StdListener;

use dns_trace_bpfman::{Client, Error, Filter};
use tokio::{io::AsyncReadExt, net::UnixListener};

async fn list(socket: &std::path::Path) -> Error {
    match Client::new(socket).list(&Filter::default()).await {
        Err(error) => error,
        Ok(programs) => unreachable!("nobody is there to list {programs:?}"),
    }
}

#[tokio::test]
async fn no_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let error = list(&socket).await;
    assert!(matches!(error, Error::NotRunning { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("systemctl start bpfman.socket"), "{text}");
    assert!(text.contains(&*socket.to_string_lossy()), "{text}");
    assert!(matches!(
        Client::new(&socket).probe().await,
        Err(Error::NotRunning { .. })
    ));
}

#[tokio::test]
async fn a_socket_that_nobody_listens_at() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("stale.sock");
    drop(StdListener::bind(&socket).unwrap());
    let error = list(&socket).await;
    let Error::NotRunning { source, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_daemon_that_dies_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dies.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let daemon = tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
    });
    let error = list(&socket).await;
    assert!(matches!(error, Error::Died { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("journalctl -u bpfman") && !text.contains('\n'),
        "{text}"
    );
    daemon.await.unwrap();
}

#[tokio::test]
async fn a_daemon_that_dies_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dies.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let daemon = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // The preface of HTTP/2 (RFC 9113, section 3.4) shows that a request is on its way.
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    });
    let error = list(&socket).await;
    assert!(matches!(error, Error::Died { .. }), "{error:?}");
    daemon.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_never_answers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("mute.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let error = list(&socket).await;
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert!(error.to_string().contains("in 30 s"), "{error}");
}

/// Root passes every permission check, so the test drops to another user, in a child process.
#[test]
fn no_permission() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};
    const SOCKET: &str = "DNS_TRACE_TEST_SOCKET";
    if let Some(socket) = std::env::var_os(SOCKET) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let error = runtime.block_on(list(socket.as_ref()));
        assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
        assert!(error.to_string().contains("with sudo"), "{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("root.sock");
    let _listener = StdListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut child = std::process::Command::new("/proc/self/exe");
    child
        .args(["--exact", "no_permission"])
        .env(SOCKET, &socket);
    if std::fs::metadata("/proc/self")
        .map(|m| std::os::unix::fs::MetadataExt::uid(&m))
        .unwrap()
        == 0
    {
        child.uid(65534).gid(65534);
    }
    let output = child.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
