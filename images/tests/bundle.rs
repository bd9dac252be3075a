//! What an image is made of.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use dns_trace_images::{
    ByteOrder, Description, Error, Objects, Origin, Platform, build, inspect_object, write_layout,
    write_layout_archive,
};
use proptest::prelude::*;

#[test]
fn the_description_is_that_of_the_elf() {
    for (object, order) in [
        (common::little(), ByteOrder::Little),
        (common::big(), ByteOrder::Big),
    ] {
        let description = Description::of(object).unwrap();
        assert_eq!(description.byte_order, order);
        assert_eq!(description.abi, 1);
        assert_eq!(
            description.programs_label(),
            r#"{"dns_dev_queue":"tracepoint","dns_tcx":"tc","dns_xdp":"xdp"}"#
        );
        assert_eq!(
            description.maps_label(),
            r#"{"dns_control":"array","dns_events":"ringbuf","dns_stats":"per_cpu_array"}"#
        );
    }
    assert_eq!(inspect_object(&common::compile("bpfel", 7)).unwrap().abi, 7);
}

/// bpfman's own image builder derives the labels with aya-obj, which reads the byte order of the
/// machine only.
#[test]
fn the_real_objects_are_described_as_bpfman_would() {
    let [little, big] = [dns_trace_bytecode::OBJECT_LE, dns_trace_bytecode::OBJECT_BE];
    let ours = Description::of(dns_trace_bytecode::OBJECT_NATIVE).unwrap();
    let theirs = aya_obj::Object::parse(dns_trace_bytecode::OBJECT_NATIVE).unwrap();
    let programs = theirs.programs.iter().map(|(name, program)| {
        use aya_obj::ProgramSection as Section;
        let kind = match program.section {
            Section::Xdp { .. } => "xdp",
            Section::SchedClassifier => "tc",
            Section::TracePoint => "tracepoint",
            Section::FEntry { .. } => "tracing",
            ref other => panic!("{name}: {other:?}"),
        };
        (name.clone(), kind.to_owned())
    });
    assert_eq!(ours.programs, programs.collect());
    for name in dns_trace_event::CAPTURE_PROGRAMS {
        assert!(ours.programs.contains_key(name), "{name}");
    }
    let maps = theirs
        .maps
        .iter()
        .filter(|(name, _)| !name.starts_with('.'))
        .map(|(name, map)| {
            let kind = match map.map_type() {
                2 => "array",
                6 => "per_cpu_array",
                9 => "lru_hash",
                27 => "ringbuf",
                other => panic!("{name}: {other}"),
            };
            (name.clone(), kind.to_owned())
        });
    assert_eq!(ours.maps, maps.collect());
    assert_eq!(ours.abi, dns_trace_event::ABI_VERSION);
    build(Objects { little, big }, "1").unwrap();
}

/// The same objects give the same bytes, in another process and from another folder too.
#[test]
fn images_are_reproducible() {
    const CHILD: &str = "DNS_TRACE_TEST_OUT";
    let real = || {
        let [little, big] = [dns_trace_bytecode::OBJECT_LE, dns_trace_bytecode::OBJECT_BE];
        build(Objects { little, big }, "1").unwrap().index.digest
    };
    let digest = real();
    if let Some(out) = std::env::var_os(CHILD) {
        fs::write(out, &digest).unwrap();
        return;
    }
    assert_eq!(real(), digest);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("digest");
    common::run(
        std::process::Command::new(std::env::current_exe().unwrap())
            .current_dir("/")
            .args(["--exact", "images_are_reproducible"])
            .env(CHILD, &out)
            .env("TZ", "Asia/Tokyo"),
    );
    assert_eq!(fs::read_to_string(out).unwrap(), digest);
}

#[test]
fn layouts_are_reproducible_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a", "b"].map(|name| folder.path().join(name));
    let other = build(
        Objects {
            little: common::little(),
            big: common::big(),
        },
        "0.0.1",
    )
    .unwrap();
    write_layout(&first, &other).unwrap();
    write_layout(&first, &common::bundle()).unwrap();
    write_layout(&second, &common::bundle()).unwrap();
    assert_eq!(tree(&first), tree(&second));
    let archives = ["a.tar", "b.tar"].map(|name| folder.path().join(name));
    for path in &archives {
        write_layout_archive(path, &common::bundle()).unwrap();
    }
    assert_eq!(
        fs::read(&archives[0]).unwrap(),
        fs::read(&archives[1]).unwrap()
    );
}

fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs::read(&path).unwrap();
                files.push((path.strip_prefix(folder).unwrap().to_path_buf(), content));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn foreign_folders_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    let text = write_layout(folder.path(), &common::bundle())
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("thesis.txt") && text.contains("empty folder"),
        "{text}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn every_platform_comes_out_of_a_layout() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = common::bundle();
    write_layout(folder.path(), &bundle).unwrap();
    let origin = Origin::Layout(folder.path().to_path_buf());
    for platform in Platform::ALL {
        let pulled = origin.pull(platform.architecture).await.unwrap();
        assert_eq!(pulled.digest, bundle.index.digest);
        let object = match platform.byte_order {
            ByteOrder::Little => common::little(),
            ByteOrder::Big => common::big(),
        };
        assert!(pulled.object == object, "{}", platform.architecture);
    }
    let text = origin.pull("mips").await.unwrap_err().to_string();
    assert_eq!(
        text,
        "the image is not for linux/mips; it is for: linux/amd64, linux/arm64, linux/ppc64le, \
         linux/riscv64, linux/s390x"
    );
    let inspection = origin.inspect().await.unwrap();
    assert_eq!(inspection.platforms.len(), Platform::ALL.len());
    assert_eq!(
        inspection.labels["org.opencontainers.image.version"],
        "1.2.3"
    );
    assert_eq!(
        inspection.labels["org.opencontainers.image.licenses"],
        "GPL-2.0-only OR MIT"
    );
}

#[tokio::test]
async fn tampered_blobs_are_noticed() {
    for n in 0..common::bundle().blobs.len() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = common::bundle();
        write_layout(folder.path(), &bundle).unwrap();
        let path = folder
            .path()
            .join("blobs")
            .join(bundle.blobs[n].digest.replace(':', "/"));
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = Origin::Layout(folder.path().to_path_buf())
            .inspect()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_newer_abi_is_refused_by_pull_and_shown_by_inspect() {
    let [little, big] = ["bpfel", "bpfeb"].map(|target| common::compile(target, 2));
    let bundle = build(
        Objects {
            little: &little,
            big: &big,
        },
        "9.0.0",
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_layout(folder.path(), &bundle).unwrap();
    let origin = Origin::Layout(folder.path().to_path_buf());
    assert_eq!(
        origin.pull("amd64").await.unwrap_err().to_string(),
        "the image has ABI version 2, this dns-tracectl knows 1: upgrade dns-trace, or use an \
         image of its version"
    );
    assert_eq!(origin.inspect().await.unwrap().abi, 2);
}

#[test]
fn wrong_objects_are_refused() {
    let (little, big) = (common::little(), common::big());
    let refusal = |little, big| build(Objects { little, big }, "1").unwrap_err();
    assert!(matches!(refusal(big, little), Error::WrongByteOrder { .. }));
    assert!(matches!(refusal(b"", big), Error::CorruptObject { .. }));
    assert!(matches!(
        refusal(&little[..100], big),
        Error::CorruptObject { .. }
    ));
    let this_test = fs::read("/bin/true").unwrap();
    let text = refusal(&this_test, big).to_string();
    assert!(text.contains("not for eBPF"), "{text}");
    let newer = common::compile("bpfeb", 2);
    assert!(matches!(
        refusal(little, &newer),
        Error::ObjectsDiffer {
            what: "ABI version"
        }
    ));
    let huge = vec![0; dns_trace_images::OBJECT_MAX + 1];
    assert!(matches!(refusal(&huge, big), Error::TooLarge { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_objects_do_no_harm(
        at in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<proptest::sample::Index>(),
        truncate in any::<bool>(),
    ) {
        let mut object = common::little().to_vec();
        for (index, value) in at {
            let length = object.len();
            object[index.index(length)] = value;
        }
        if truncate {
            object.truncate(cut.index(object.len()));
        }
        let _ = Description::of(&object);
    }

    #[test]
    fn any_bytes_after_an_elf_head(tail in proptest::collection::vec(any::<u8>(), 0..500)) {
        let mut object = common::little()[..64].to_vec();
        object.extend(tail);
        let _ = Description::of(&object);
    }
}
