//! The binary: help, usage, and every way of not getting in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command as Std;

use assert_cmd::Command;
use predicates::str::contains;

fn reader() -> Command {
    Command::cargo_bin("dns-trace").unwrap()
}

fn help(args: &[&str]) -> String {
    let output = reader().args(args).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_texts() {
    insta::assert_snapshot!("help", help(&["--help"]));
    insta::assert_snapshot!("help_watch", help(&["watch", "--help"]));
    insta::assert_snapshot!("help_stats", help(&["stats", "--help"]));
}

#[test]
fn wrong_usage_is_2() {
    for args in [
        &["watch", "--duration", "soon"][..],
        &["watch", "--count", "0"],
        &["watch", "--name", "a..b"],
        &["watch", "--client", "10.0.0.0/99"],
        &["watch", "--rcode", "BROKEN"],
        &["watch", "--instance", "../etc"],
        &["stats", "--interval", "1ms"],
        &["watch", "--max-pending", "0"],
        &[],
    ] {
        reader().args(args).assert().code(2);
    }
}

#[test]
fn no_bundle_is_3() {
    let root = tempfile::tempdir().unwrap();
    for command in ["watch", "stats"] {
        let run = reader()
            .args([command, "--root"])
            .arg(root.path())
            .assert()
            .code(3);
        run.stderr(contains("sudo dns-tracectl load")).stdout("");
    }
}

#[test]
fn no_permission_is_4() {
    if !rustix::process::geteuid().is_root() {
        // Only root can become somebody else; then its own folders are closed to that somebody.
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("default/rings/0")).unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o750)).unwrap();
    // Where nobody may execute it.
    let place = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = place.path().join("dns-trace");
    fs::copy(assert_cmd::cargo::cargo_bin("dns-trace"), &binary).unwrap();
    let output = Std::new(&binary)
        .args(["watch", "--root"])
        .arg(root.path())
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains("sudo usermod -aG dns-trace $USER"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn another_reader_is_5() {
    let root = tempfile::tempdir().unwrap();
    let ring = root.path().join("default/rings/0");
    fs::create_dir_all(&ring).unwrap();
    let lock = fs::File::open(&ring).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let run = reader()
        .args(["watch", "--root"])
        .arg(root.path())
        .assert()
        .code(5);
    run.stderr(contains(format!("process {}", std::process::id())));
}
