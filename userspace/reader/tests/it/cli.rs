//! The binary: help, usage, and every way of not getting in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command as Std;

use assert_cmd::Command;
use predicates::str::{contains, starts_with};

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
    insta::assert_snapshot!("help_top", help(&["top", "--help"]));
    insta::assert_snapshot!("help_record", help(&["record", "--help"]));
    insta::assert_snapshot!("help_serve", help(&["serve", "--help"]));
}

#[test]
fn the_version_tells_what_confines() {
    let version = format!("dns-trace {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(help(&["--version"]), version);
    for args in [["--version", "--verbose"], ["--verbose", "-V"]] {
        let text = help(&args);
        assert!(text.starts_with(&version), "{text}");
        for line in [
            "\n  no_new_privs  yes\n",
            "\n  Landlock      yes, ABI ",
            "\n  seccomp       yes, ",
            "\n  reading       /run/dns-trace\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
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
        &["record", "f"],
        &["record", "--format", "dnstap"],
        &["record", "--format", "dnstap", "f", "--unix", "s"],
        &["record", "--format", "dnstap", "--tcp", "localhost:6000"],
        &["record", "--format", "pcapng", "--unix", "s"],
        &["record", "--format", "pcapng", "-", "--rotate-size", "1M"],
        &["record", "--format", "pcapng", "f", "--rotate-files", "2"],
        &["record", "--format", "pcapng", "f", "--failures"],
        &["record", "--format", "pcapng", "f", "--min-latency", "1s"],
        &["serve", "--listen", "localhost"],
        &["serve", "--name-part", "whole"],
        &["serve", "--names", "0"],
        &["serve", "--max-series", "0"],
        &["serve", "--listen", "off"],
        &["serve", "--otlp", "https://localhost:4317"],
        &["serve", "--otlp", "localhost:4317"],
        &["serve", "--otlp-logs"],
        &[],
    ] {
        reader().args(args).assert().code(2);
    }
}

/// Understood: it is the instance that is missing.
#[test]
fn response_codes_are_names_or_numbers() {
    let root = tempfile::tempdir().unwrap();
    for code in ["NOERROR", "nxdomain", "SERVFAIL", "BADVERS", "3", "4095"] {
        let args = ["watch", "--rcode", code, "--root"];
        reader().args(args).arg(root.path()).assert().code(3);
    }
    let args = ["watch", "--rcode", "4096"];
    let run = reader().args(args).assert().code(2);
    run.stderr(contains("must be below 4096"));
}

#[test]
fn options_come_from_a_file() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("dns-trace.toml");
    let options = "[watch]\noutput = 'json'\nname = ['example.com', 'example.org']\n\
        timeout = '2s'\nmax-pending = 1024\nfailures = true\ninstance = 'other'\n\
        [stats]\ninterval = '5s'\n\
        [serve]\nlisten = '127.0.0.1:0'\nnames = 10\nname-part = 'whole'\ninstance = 'fourth'\n\
        [top]\ninstance = 'fifth'\n";
    fs::write(&file, options).unwrap();
    let run = |command, args: &[&str]| {
        let mut reader = reader();
        reader.arg("--config").arg(&file).arg(command);
        reader.arg("--root").arg(root.path()).args(args).assert()
    };
    run("watch", &[])
        .code(3)
        .stderr(contains("instance \"other\""));
    let args = ["--instance", "third"];
    run("watch", &args)
        .code(3)
        .stderr(contains("instance \"third\""));
    run("stats", &[])
        .code(3)
        .stderr(contains("instance \"default\""));
    run("serve", &[])
        .code(3)
        .stderr(contains("instance \"fourth\""));
    fs::write(&file, "\n[watch]\nintervall = '5s'\n").unwrap();
    let wanted = format!(
        "error: {}:3: unknown option intervall in [watch]; known are: output, count, idna, instance, ",
        file.display()
    );
    run("stats", &[]).code(2).stderr(starts_with(wanted));
}

#[test]
fn top_wants_a_terminal() {
    let run = reader().arg("top").assert().code(1).stdout("");
    run.stderr(contains("use dns-trace watch or dns-trace stats"));
}

#[test]
fn completions_and_pages_are_made_of_the_definition() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(help(&["completions", shell]).contains("summary-file"));
    }
    assert!(help(&["man"]).contains("\n.TH dns-trace 1 "));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(help(&["man", folder.path().to_str().unwrap()]), "");
    for page in [
        "dns-trace.1",
        "dns-trace-watch.1",
        "dns-trace-stats.1",
        "dns-trace-top.1",
    ] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
    let none = folder.path().join("none");
    let wanted = format!(
        "dns-trace: cannot write manual pages to {}: ",
        none.display()
    );
    let run = reader().arg("man").arg(&none).assert();
    run.code(1).stderr(starts_with(wanted));
}

#[test]
fn no_bundle_is_3() {
    let root = tempfile::tempdir().unwrap();
    for command in [
        &["watch"][..],
        &["stats"],
        &["record", "--format", "pcapng", "-"],
        &["serve", "--listen", "127.0.0.1:0"],
    ] {
        let run = reader()
            .args(command)
            .arg("--root")
            .arg(root.path())
            .assert()
            .code(3);
        run.stderr(contains("sudo dns-tracectl load")).stdout("");
    }
}

/// Runs the binary where it may be executed by anybody, as nobody if this is root.
fn refused(root: &Path) -> String {
    let place = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = place.path().join("dns-trace");
    // By another process: were the copy open for writing here, a child that another test forks
    // meanwhile would keep it so, and it could not be executed (ETXTBSY).
    let mut copy = Std::new("cp");
    copy.arg(assert_cmd::cargo::cargo_bin("dns-trace"))
        .arg(&binary);
    assert!(copy.status().unwrap().success());
    let mut command = Std::new(&binary);
    command.args(["watch", "--root"]).arg(root);
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

/// A bundle whose instance is open to `mode` and a group; root itself can be entered by all.
fn bundle(mode: u32, gid: Option<u32>) -> tempfile::TempDir {
    let root = tempfile::tempdir_in("/tmp").unwrap();
    let instance = root.path().join("default");
    fs::create_dir_all(instance.join("rings/0")).unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).unwrap();
    std::os::unix::fs::chown(&instance, None, gid).unwrap();
    fs::set_permissions(&instance, fs::Permissions::from_mode(mode)).unwrap();
    root
}

#[test]
fn no_permission_is_4() {
    // Closed to everybody: as root's for nobody, as one's own for oneself.
    let root = bundle(0o000, None);
    let stderr = refused(root.path());
    fs::set_permissions(
        root.path().join("default"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    assert!(stderr.contains("sudo dns-tracectl grant"), "{stderr}");
}

#[test]
fn the_group_that_may_read_is_named() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test gives a folder to another group and becomes another user: run it as root"
    );
    // As `load --group` leaves it; usermod knows no group by its number.
    for (gid, wanted) in [
        (4, "not in group adm; run: sudo usermod -aG adm $USER"),
        (
            4_000_000_001,
            "group 4000000001 may read, and has no name here; run this process with that group",
        ),
    ] {
        let root = bundle(0o750, Some(gid));
        let stderr = refused(root.path());
        assert!(stderr.contains(wanted), "{stderr}");
    }
}

#[test]
fn a_summary_that_cannot_be_written_is_said_at_once() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("missing/summary");
    let run = reader()
        .args(["watch", "--root"])
        .arg(root.path())
        .arg("--summary-file")
        .arg(&file)
        .assert()
        .code(1);
    let wanted = format!(
        "dns-trace: cannot write the summary to {}: ",
        file.display()
    );
    run.stderr(starts_with(wanted));
}

#[test]
fn a_port_that_is_taken_is_said_with_what_mends_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port();
    let run = reader()
        .args(["serve", "--listen", &address])
        .assert()
        .code(1);
    run.stderr(format!(
        "dns-trace: cannot listen on {address} for scrapes (see who does: sudo ss -ltnp sport = {port}; \
         or give another: --listen ADDRESS:PORT): Address already in use (os error 98)\n"
    ));
}

#[test]
fn a_collector_that_is_not_found_is_said_with_what_mends_it() {
    let url = "http://collector.invalid:4317";
    let args = ["serve", "--listen", "127.0.0.1:0", "--otlp", url];
    let run = reader().args(args).assert().code(1);
    run.stderr(starts_with(
        "dns-trace: cannot find the collector http://collector.invalid:4317/ (look it up: getent hosts \
         collector.invalid; or give an address: --otlp http://ADDRESS:PORT): ",
    ));
}

#[test]
fn a_session_that_did_not_start_leaves_no_summary() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("summary");
    let mut run = reader();
    run.args(["stats", "--root"]).arg(root.path());
    run.arg("--summary-file").arg(&file).assert().code(3);
    assert!(!file.exists());
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
