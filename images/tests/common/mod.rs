//! Objects for the tests, compiled on the spot.

use std::{fs, process::Command, sync::OnceLock};

use dns_trace_images::{Bundle, Objects, build};
use tempfile::TempDir;

/// Stands for the kernel objects: the same maps, one program of each kind.
const SOURCE: &str = r#"
#define SEC(name) __attribute__((section(name), used))
struct { int (*type)[27]; int (*max_entries)[4096]; } dns_events SEC(".maps");
struct { int (*type)[6]; int (*key_size)[4]; int (*value_size)[72]; int (*max_entries)[1]; } dns_stats SEC(".maps");
struct { int (*type)[2]; int (*key_size)[4]; int (*value_size)[8]; int (*max_entries)[ABI]; } dns_control SEC(".maps");
const volatile unsigned DNS_SNAP_LEN = 512;
struct ctx { int x; };
SEC("classifier") int dns_tcx(struct ctx *c) { return DNS_SNAP_LEN; }
SEC("xdp") int dns_xdp(struct ctx *c) { return 2; }
SEC("tracepoint") int dns_dev_queue(struct ctx *c) { return 0; }
char LICENSE[] SEC("license") = "Dual MIT/GPL";
"#;

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Compiles for `bpfel` or `bpfeb`, with an ABI version of one's choice.
pub(crate) fn compile(target: &str, abi: u32) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("t.c"), SOURCE).unwrap();
    run(Command::new("clang-22").current_dir(&folder).args([
        "-target",
        target,
        "-g",
        "-O2",
        &format!("-DABI={abi}"),
        "-c",
        "t.c",
        "-o",
        "t.o",
    ]));
    fs::read(folder.path().join("t.o")).unwrap()
}

pub(crate) fn little() -> &'static [u8] {
    static OBJECT: OnceLock<Vec<u8>> = OnceLock::new();
    OBJECT.get_or_init(|| compile("bpfel", 1))
}

pub(crate) fn big() -> &'static [u8] {
    static OBJECT: OnceLock<Vec<u8>> = OnceLock::new();
    OBJECT.get_or_init(|| compile("bpfeb", 1))
}

pub(crate) fn bundle() -> Bundle {
    build(
        Objects {
            little: little(),
            big: big(),
        },
        "1.2.3",
    )
    .unwrap()
}
