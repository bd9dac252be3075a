//! The files that others install: checked by the tools that will read them.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use dns_trace_images::Description;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// The labels of the Containerfile are those of the object, before a build finds out.
#[test]
fn the_containerfiles_labels_are_derived() {
    let description = Description::of(dns_trace_bytecode::OBJECT_NATIVE).unwrap();
    let containerfile = read("../Containerfile");
    let given: BTreeMap<&str, &str> = containerfile
        .lines()
        .filter_map(|line| line.strip_prefix("ARG ")?.split_once('='))
        .map(|(name, value)| (name, value.trim_matches('\'')))
        .collect();
    assert_eq!(given["PROGRAMS"], description.programs_label());
    assert_eq!(given["MAPS"], description.maps_label());
    assert_eq!(given["ABI"], description.abi.to_string());
    assert_eq!(given["VERSION"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn systemd_accepts_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for name in [
        "dns-trace-bundle.service",
        "dns-trace-follow.service",
        "dns-trace.service",
    ] {
        // The programs are not installed where tests run; that they are is not what is checked.
        let text = read(&format!("deploy/systemd/{name}"))
            .replace("/usr/bin/dns-tracectl ", "/bin/true ")
            .replace("/usr/bin/dns-trace ", "/bin/true ");
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        units.push(path);
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(&units)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !text.contains("dns-trace"),
        "{text}"
    );
}

#[test]
fn sysusers_makes_the_group() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let status = Command::new("systemd-sysusers")
        .arg(format!("--root={}", root.path().display()))
        .arg(file("deploy/systemd/dns-trace.sysusers"))
        .status()
        .unwrap();
    assert!(status.success());
    let groups = fs::read_to_string(root.path().join("etc/group")).unwrap();
    let name = format!("{}:", dns_trace_event::DEFAULT_GROUP);
    assert!(
        groups.lines().any(|line| line.starts_with(&name)),
        "{groups}"
    );
}

/// The group and the paths that the files name are those of the contract.
#[test]
fn the_files_agree_with_the_contract() {
    let reader = read("deploy/systemd/dns-trace.service");
    assert!(reader.contains(&format!(
        "SupplementaryGroups={}\n",
        dns_trace_event::DEFAULT_GROUP
    )));
    assert!(reader.contains(&format!(
        "ReadWritePaths=-{}\n",
        dns_trace_event::BUNDLE_ROOT
    )));
    let kubernetes = read("deploy/kubernetes/dns-trace.yaml");
    assert!(kubernetes.contains(&format!("path: {}\n", dns_trace_event::BUNDLE_ROOT)));
}
