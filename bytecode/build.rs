//! Builds the kernel objects with the tools that [`toolchain`] finds.

#[path = "build/toolchain.rs"]
mod toolchain;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use toolchain::{Core, Toolchain};

const TARGETS: [&str; 2] = ["bpfel", "bpfeb"];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    for input in [
        "kernel/src",
        "kernel/Cargo.toml",
        "kernel/Cargo.lock",
        "core",
        "../proto/event",
    ] {
        println!("cargo:rerun-if-changed={}", root.join(input).display());
    }
    let tools = Toolchain::find()?;
    for target in TARGETS {
        let accessors = compile_accessors(&tools, &root, &out, target)?;
        let object = compile_kernel(&tools, &root, &out, target, &accessors)?;
        let stripped = out.join(format!("dns_trace.{target}.o"));
        fs::copy(&object, &stripped)
            .map_err(|error| format!("cannot copy {}: {error}", object.display()))?;
        // Debug information goes; .BTF and .BTF.ext, which the loaders need, stay.
        run(Command::new(&tools.strip).arg("-g").arg(&stripped))?;
    }
    Ok(())
}

fn compile_accessors(
    tools: &Toolchain,
    root: &Path,
    out: &Path,
    target: &str,
) -> Result<PathBuf, String> {
    let bitcode = out.join(format!("accessors.{target}.bc"));
    run(Command::new(&tools.clang)
        .args([
            "-target",
            target,
            "-g",
            "-O2",
            "-Wall",
            "-Werror",
            "-emit-llvm",
            "-c",
        ])
        // Paths stand in the BTF line information; the object must not depend on the folder.
        .arg(format!("-ffile-prefix-map={}=.", root.display()))
        .arg("-fdebug-compilation-dir=.")
        .arg("accessors.c")
        .arg("-o")
        .arg(&bitcode)
        .current_dir(root.join("core")))?;
    Ok(bitcode)
}

fn compile_kernel(
    tools: &Toolchain,
    root: &Path,
    out: &Path,
    target: &str,
    accessors: &Path,
) -> Result<PathBuf, String> {
    let triple = format!("{target}-unknown-none");
    let target_dir = out.join("kernel");
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| home + "/.cargo"));
    let mut flags = vec![
        format!("-Clinker={}", tools.linker.display()),
        "-Cdebuginfo=2".into(),
        "-Clink-arg=--btf".into(),
        // 32-bit jumps and registers: Linux 5.1.
        "-Ctarget-cpu=v3".into(),
        // Without it a load from a packet becomes four loads of a byte.
        "-Clink-arg=--cpu-features=+allows-misaligned-mem-access".into(),
        // No byte-wise memset and memcpy in the object: a call to one is an error here, not a
        // refusal by cilium/ebpf or a slow loop later.
        "-Clink-arg=--disable-memory-builtins".into(),
        format!("-Clink-arg={}", accessors.display()),
        format!("--remap-path-prefix={}=.", root.join("kernel").display()),
        format!(
            "--remap-path-prefix={}=proto",
            root.join("../proto").display()
        ),
    ];
    if let Some(parent) = root.parent() {
        flags.push(format!("--remap-path-prefix={}=.", parent.display()));
    }
    if let Ok(home) = home {
        flags.push(format!("--remap-path-prefix={home}=cargo"));
    }
    if let Core::Source { rust } = &tools.core {
        flags.push(format!("--remap-path-prefix={}=rust", rust.display()));
    }
    let mut cargo = Command::new(&tools.cargo);
    cargo
        .args(["build", "--release", "--locked", "--target", &triple])
        .arg("--target-dir")
        .arg(&target_dir)
        .current_dir(root.join("kernel"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    // What cargo and clippy set for the outer build does not hold for the inner one.
    for (name, _) in env::vars_os() {
        let outer = name.to_str().is_some_and(|name| {
            name == "RUSTC"
                || name == "RUSTC_WRAPPER"
                || name == "RUSTC_WORKSPACE_WRAPPER"
                || name == "RUSTFLAGS"
                || name == "RUSTUP_TOOLCHAIN"
                || name == "CARGO_BUILD_TARGET"
                || name == "CLIPPY_ARGS"
                || name == "LD_LIBRARY_PATH"
                || name.starts_with("CARGO_PROFILE_")
        });
        if outer {
            cargo.env_remove(name);
        }
    }
    match &tools.core {
        Core::Prebuilt { rustc } => {
            cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
        }
        Core::Source { .. } => {
            cargo
                .env("RUSTUP_TOOLCHAIN", "nightly")
                .args(["-Z", "build-std=core"]);
        }
    }
    run(&mut cargo)?;
    Ok(target_dir.join(&triple).join("release").join("dns_trace"))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set: run this through cargo"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{program} ended with {status}"))
    }
}
