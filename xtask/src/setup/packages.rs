//! Distribution packages: what is needed and what for.

/// A package of Debian 12.
pub(crate) struct Package {
    /// Name in Debian.
    pub(crate) name: &'static str,
    /// What it is there for, as a person would say it.
    pub(crate) purpose: &'static str,
    /// A program or file that shows, on other distributions, that its content is there.
    pub(crate) probe: &'static str,
    /// Services that installing it would start.
    pub(crate) services: &'static [&'static str],
    /// A package that, if it is installed from Debian's backports, breaks this one unless it comes from
    /// there too.
    pub(crate) follows: Option<&'static str>,
}

const fn package(name: &'static str, purpose: &'static str, probe: &'static str) -> Package {
    Package {
        name,
        purpose,
        probe,
        services: &[],
        follows: None,
    }
}

const fn service(
    name: &'static str,
    purpose: &'static str,
    probe: &'static str,
    services: &'static [&'static str],
) -> Package {
    Package {
        name,
        purpose,
        probe,
        services,
        follows: None,
    }
}

/// Everything that the build needs.
pub(crate) const BUILD: &[Package] = &[
    package("rustc-web", "compiler of the kernel part", ""),
    package("libstd-rust-web-dev-bpf", "core for the BPF targets", ""),
    package("llvm-22-dev", "building bpf-linker", ""),
    package("libpolly-22-dev", "building bpf-linker", ""),
    package(
        "clang-22",
        "field accessors of the kernel part; building bpfman",
        "clang",
    ),
    package(
        "llvm-22",
        "stripping and inspecting the kernel object",
        "llvm-objdump",
    ),
    package("zlib1g-dev", "building bpf-linker", "/usr/include/zlib.h"),
    package("libzstd-dev", "building bpf-linker", "/usr/include/zstd.h"),
    package("libbpf-dev", "building bpfman", "/usr/include/bpf/bpf.h"),
    package(
        "libssl-dev",
        "building bpfman",
        "/usr/include/openssl/ssl.h",
    ),
    package("libelf-dev", "building bpfman", "/usr/include/libelf.h"),
    package("pkg-config", "building bpfman", "pkg-config"),
    package("make", "building bpfman", "make"),
    package("gcc", "linking", "cc"),
    package("libc6-dev", "linking", "/usr/include/stdio.h"),
];

/// Everything that the tests, the guests and the demo need besides.
pub(crate) const TEST: &[Package] = &[
    Package {
        follows: Some("qemu-utils"),
        ..package("qemu-system-x86", "the guests", "qemu-system-x86_64")
    },
    package("busybox-static", "the guests' shell", "busybox"),
    package("cpio", "the guests' file system", "cpio"),
    package("debootstrap", "a Debian that systemd boots", "debootstrap"),
    package("e2fsprogs", "the disk it is on", "mke2fs"),
    package("xz-utils", "unpacking kernel modules", "xz"),
    package("iproute2", "network namespaces", "ip"),
    package("util-linux", "dropping privileges (setpriv)", "setpriv"),
    package("openssl", "the test registry's certificate", "openssl"),
    package("ca-certificates", "downloading over TLS", "/etc/ssl/certs"),
    package("curl", "a real client, and its libraries", "curl"),
    package("bind9-dnsutils", "a real client (dig)", "dig"),
    package("dnsperf", "many queries at a steady rate", "dnsperf"),
    package("tcpreplay", "sending the corpus over a wire", "tcpreplay"),
    package("tcpdump", "a peer in the bench", "tcpdump"),
    package(
        "tshark",
        "a second opinion on messages, reading recordings; a peer in the bench",
        "tshark",
    ),
    package("dnstap-ldns", "reading recordings (dnstap)", "dnstap-ldns"),
    service(
        "prometheus",
        "scraping the reader, checking its metrics (promtool)",
        "promtool",
        &["prometheus"],
    ),
    package("fstrm-bin", "a collector of dnstap", "fstrm_capture"),
    package(
        "bpftool",
        "loading the object with libbpf; looking into the kernel",
        "bpftool",
    ),
    package(
        "xdp-tools",
        "another vendor's XDP dispatcher (xdp-loader)",
        "xdp-loader",
    ),
    package("skopeo", "a second reader of our images", "skopeo"),
    package("golang-go", "building the check with cilium/ebpf", "go"),
    package(
        "golang-github-cilium-ebpf-dev",
        "loading the object with cilium/ebpf",
        "/usr/share/gocode/src/github.com/cilium/ebpf",
    ),
    service(
        "docker-registry",
        "a real registry",
        "docker-registry",
        &["docker-registry"],
    ),
    service("nsd", "a real name server", "nsd", &["nsd"]),
];

/// All packages of both tables.
pub(crate) fn all() -> impl Iterator<Item = &'static Package> {
    BUILD.iter().chain(TEST)
}
