//! A disk without room: what cannot be written whole is not there, and what was there still is.

use std::ffi::CString;
use std::fs;

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount, mount_remount};

use super::rate::send;
use crate::lab::ctl::{ctl, load_hook, nothing_left};
use crate::lab::daemon::Daemon;
use crate::lab::left::names;
use crate::lab::names::{NameServers, ask};
use crate::lab::net;
use crate::lab::reader::{GROUP, unprivileged, writable_lab};
use crate::lab::sh::{self, Outcome, sh};

/// A file system of its own.
const DISK: &str = "/run/lab/disk";
/// Its size, in bytes: four pages.
const SIZE: usize = 4 * 4096;

fn make_disk() -> Result<()> {
    writable_lab()?;
    fs::create_dir_all(DISK)?;
    let options = CString::new(format!("size={SIZE},mode=1777"))?;
    mount("tmpfs", DISK, "tmpfs", MountFlags::empty(), &*options).context("cannot mount")
}

fn resize(bytes: u64) -> Result<()> {
    let options = CString::new(format!("size={bytes}"))?;
    mount_remount(DISK, MountFlags::empty(), &*options).context("cannot resize")
}

/// Bytes that files take.
fn used() -> Result<u64> {
    let disk = rustix::fs::statvfs(DISK)?;
    Ok((disk.f_blocks - disk.f_bfree) * disk.f_frsize)
}

fn fill() -> Result<()> {
    fs::write(format!("{DISK}/fill"), vec![0; SIZE]).context("cannot fill the disk")
}

/// `image build` and `image object`.
pub(crate) fn image() -> Result<()> {
    make_disk()?;
    let folder = format!("{DISK}/deep/image");
    let archive = format!("{DISK}/image.tar");
    let object = format!("{DISK}/object");
    for words in [
        ["build", "--output", &folder].as_slice(),
        &["build", "--output", &archive],
        &["object", "--byte-order", "little", "--output", &object],
    ] {
        let mut line = vec!["image"];
        line.extend(words);
        ctl(&line)?
            .exits(1)?
            .refuses(&["No space left on device", DISK])?;
        let left = names(DISK)?;
        ensure!(left.is_empty(), "{words:?} left {left:?}");
    }

    // Room for one image, not for a second beside it.
    resize(1 << 20)?;
    ctl(&["image", "build", "--output", &folder])?.ok()?;
    let digest = ctl(&["image", "inspect", &folder])?.ok()?.stdout;
    resize(used()?)?;
    ctl(&["image", "build", "--output", &folder])?
        .exits(1)?
        .refuses(&["No space left on device"])?;
    let after = ctl(&["image", "inspect", &folder])?.ok()?.stdout;
    ensure!(after == digest, "the image was {digest} and is {after}");
    nothing_left()
}

/// The reader's summary and its output.
pub(crate) fn reader() -> Result<()> {
    net::create()?;
    let _names = NameServers::start()?;
    make_disk()?;
    load_hook("tc", &["--local"])?.ok()?;
    // The summary is opened at the start and written at the end.
    fill()?;
    let summary = format!("{DISK}/summary");
    let words = ["stats", "--duration", "1s", "--summary-file", &summary];
    let full = ["summary", "No space left on device"];
    says_last(&run(&words)?.exits(1)?.stderr, &full)?;
    // The process has given up the right to remove it: an empty file is no summary.
    let length = fs::metadata(&summary)?.len();
    ensure!(length == 0, "half a summary: {length} bytes");
    fs::remove_file(&summary)?;

    // One that was there before stays as it was: a length without a page.
    let old = fs::File::create(&summary)?;
    old.set_len(100_000)?;
    std::os::unix::fs::fchown(&old, Some(65534), None)?;
    says_last(&run(&words)?.exits(1)?.stderr, &full)?;
    let length = fs::metadata(&summary)?.len();
    ensure!(length == 100_000, "an old summary has {length} bytes");
    fs::remove_file(&summary)?;

    // Output that finds no room ends the reader.
    let line = format!("exec dns-trace watch --output json > {DISK}/out");
    let mut watch = unprivileged(Some(GROUP), &["sh", "-c", &line]);
    let mut watch = Daemon::start("full", &mut watch)?
        .ready(20, |d| Ok(d.stderr().contains("dns-trace: reading")))?;
    ask("www.example.test", "A", "NOERROR")?;
    let code = watch.wait(10)?;
    ensure!(code == Some(1), "{code:?}: {}", watch.stderr());
    says_last(&watch.stderr(), &["write", "No space left on device"])?;
    recording()?;
    ctl(&["unload"])?.ok()?;
    nothing_left()
}

/// A recording ends with an error and a whole packet; what was lost is said.
fn recording() -> Result<()> {
    for file in names(DISK)? {
        fs::remove_file(format!("{DISK}/{file}"))?;
    }
    let file = format!("{DISK}/dns.pcapng");
    let words = ["dns-trace", "record", "--format", "pcapng", &file];
    let mut record = Daemon::start("record", &mut unprivileged(Some(GROUP), &words))?
        .ready(20, |d| Ok(d.stderr().contains("dns-trace: reading")))?;
    // More than its pages hold.
    send("www.example.test A\n", "200", "2")?;
    let code = record.wait(10)?;
    let said = record.stderr();
    ensure!(code == Some(1), "{code:?}: {said}");
    says_last(&said, &["write", &file, "No space left on device"])?;
    let read = sh(&["tcpdump", "-Zroot", "-nr", &file])?.lines().count();
    let line = format!("recorded: {read} written, ");
    ensure!(
        read > 50 && said.contains(&line),
        "{read} read back: {said}"
    );
    Ok(())
}

fn run(words: &[&str]) -> Result<Outcome> {
    let mut line = vec!["dns-trace"];
    line.extend(words);
    sh::run(&mut unprivileged(Some(GROUP), &line))
}

/// The reader says that it reads, then its summary; last comes the error.
fn says_last(stderr: &str, words: &[&str]) -> Result<()> {
    let last = stderr.lines().last().unwrap_or_default();
    for word in words {
        ensure!(last.contains(word), "no word of {word:?} in: {last}");
    }
    Ok(())
}
