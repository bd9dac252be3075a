//! What goes into the guest's file system: a table of programs, and a few files of configuration.

/// Programs of the host that the guest needs. Their libraries follow by themselves.
pub(crate) const PROGRAMS: &[&str] = &[
    "bpftool",
    "curl",
    "dig",
    "dnsperf",
    "dnstap-ldns",
    "docker-registry",
    "fstrm_capture",
    "getent",
    "ip",
    "nsd",
    "nsd-checkconf",
    "nsenter",
    "openssl",
    "prometheus",
    "promtool",
    "setpriv",
    "setsid",
    "skopeo",
    "tc",
    "tcpdump",
    "tcpreplay",
    "xdp-loader",
];

/// Libraries that programs open at run time, which `ldd` does not know about.
pub(crate) const EXTRA_LIBRARIES: &[&str] = &["/lib/x86_64-linux-gnu/libgcc_s.so.1"];

/// Data of the host that programs expect on any machine. TLS clients refuse to start without an
/// authority to trust, though none of these signed anything here; xdp-loader loads its dispatcher from a file.
pub(crate) const HOST_FILES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/usr/lib/x86_64-linux-gnu/bpf/xdp-dispatcher.o",
];

/// Folders that must exist, with their modes.
pub(crate) const FOLDERS: &[(&str, u32)] = &[
    ("", 0o755),
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("etc/bpfman", 0o755),
    ("etc/containers", 0o755),
    ("lib/modules", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("usr/share", 0o755),
    ("var/lib", 0o755),
];

/// Files of configuration.
pub(crate) const FILES: &[(&str, &str)] = &[
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnsd:x:101:101::/run:/bin/false\nnobody:x:65534:65534::/:/bin/false\n",
    ),
    (
        "etc/group",
        "root:x:0:\nnsd:x:101:\ndns-trace:x:990:\nnogroup:x:65534:\n",
    ),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ),
    ("etc/hosts", "127.0.0.1 localhost registry.test\n"),
    (
        "etc/bpfman/bpfman.toml",
        "[signing]\nallow_unsigned = true\nverify_enabled = false\n",
    ),
    (
        "etc/containers/policy.json",
        "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}\n",
    ),
    (
        "etc/ld.so.conf",
        "/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n",
    ),
    ("etc/resolv.conf", "nameserver 127.0.0.1\n"),
];
