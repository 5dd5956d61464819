//! What compiles and links the kernel side. Two ways lead there:
//!
//! - Debian's `rustc-web` with `libstd-rust-web-dev-bpf`, which carries a `core` compiled for BPF, so that
//!   neither a nightly compiler nor its sources are needed;
//! - rustup's nightly with `rust-src`, from which cargo builds `core` itself.
//!
//! Both need bpf-linker, whose LLVM must be as new as the compiler's.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{Component, Obstacle, apt};
use crate::{paths, shell};

/// The target of the kernel side. Its byte order is the host's: x86-64 and arm64 are little-endian.
pub const TARGET: &str = "bpfel-unknown-none";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
const LINKER: &str = "bpf-linker";
const LINKER_VERSION: &str = "0.13.0";
/// Where Debian's LLVM of the version that its rustc-web uses lies, and what bpf-linker's build wants of it.
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
const LLVM_PACKAGES: &[&str] = &["llvm-22-dev", "libzstd-dev", "zlib1g-dev", "g++"];

/// One of the two ways, found to be complete but perhaps for the linker.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Way {
    Debian,
    Nightly,
}

/// The compiler, its `core` for BPF, and the linker.
pub struct Toolchain;

impl Component for Toolchain {
    fn name(&self) -> String {
        "eBPF toolchain".into()
    }

    fn why(&self) -> &'static str {
        "building the kernel side"
    }

    fn vital(&self) -> bool {
        true
    }

    fn missing(&self) -> Option<String> {
        match (way(), linker()) {
            (Some(_), Some(_)) => None,
            (Some(_), None) => Some(format!("no {LINKER}; building it takes a minute or two")),
            (None, _) => Some(format!("no compiler with a core for {TARGET}")),
        }
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        let way = match way() {
            Some(way) => way,
            None => provide_compiler(log)?,
        };
        if linker().is_none() {
            provide_linker(&way, log)?;
        }
        Ok(())
    }
}

/// The lints for that compiler.
pub struct Clippy;

impl Component for Clippy {
    fn name(&self) -> String {
        "clippy of the eBPF toolchain".into()
    }

    fn why(&self) -> &'static str {
        "checking the kernel side"
    }

    fn missing(&self) -> Option<String> {
        let there = match way() {
            Some(Way::Debian) => Path::new("/usr/bin/cargo-clippy").exists(),
            Some(Way::Nightly) => {
                nightly().is_some_and(|path| path.join("bin/cargo-clippy").exists())
            }
            None => false,
        };
        (!there).then(|| "no cargo-clippy".into())
    }

    fn provide(&self, log: &Path) -> Result<(), Obstacle> {
        if way() == Some(Way::Debian) {
            return apt::install(&["rust-web-clippy"], log);
        }
        let mut command = Command::new("rustup");
        command.args(["component", "add", "clippy", "--toolchain=nightly"]);
        Ok(shell::run_logged(&mut command, log)?)
    }
}

/// The command `cargo SUBCOMMAND` for the kernel side, with the target, the flags and the linker that it
/// needs; further arguments may be added.
///
/// # Errors
/// Where set-up has not provided the toolchain.
pub fn cargo(subcommand: &str) -> Result<Command> {
    let missing = "no eBPF toolchain: run cargo xtask setup --for build";
    let linker = linker().context(missing)?;
    let mut command = match way().context(missing)? {
        Way::Debian => {
            let mut command = Command::new(DEBIAN_CARGO);
            // aya-ebpf uses an unstable feature; this stable compiler carries a core for BPF.
            command.arg(subcommand).env("RUSTC_BOOTSTRAP", "1");
            command.env("RUSTC", DEBIAN_RUSTC);
            command
        }
        Way::Nightly => {
            let mut command = Command::new("rustup");
            command
                .args(["run", "nightly", "cargo", subcommand])
                .arg("-Zbuild-std=core");
            command.env_remove("RUSTC");
            command
        }
    };
    let flags = [
        format!("-Clinker={}", linker.display()),
        // BTF describes the maps and functions to the kernel; it is made from debug information.
        "-Clink-arg=--btf".into(),
        "-Cdebuginfo=2".into(),
    ];
    command
        .args(["--release", "--target", TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("PATH", path_without_shims(&linker)?)
        .env_remove("RUSTFLAGS");
    // What rustup and the cargo that runs us left there is for the other toolchain.
    for name in [
        "CARGO",
        "RUSTUP_TOOLCHAIN",
        "RUSTDOC",
        "RUSTC_WRAPPER",
        "CARGO_BUILD_TARGET",
    ] {
        command.env_remove(name);
    }
    Ok(command)
}

/// The PATH with the linker's directory first and, for Debian's cargo to find its own sub-commands and
/// compiler, /usr/bin next. rustup's shims come after it.
fn path_without_shims(linker: &Path) -> Result<std::ffi::OsString> {
    let first = linker.parent().map(Path::to_owned);
    let old = env::var_os("PATH").unwrap_or_default();
    let directories = first
        .into_iter()
        .chain([PathBuf::from("/usr/bin")])
        .chain(env::split_paths(&old));
    env::join_paths(directories).context("PATH cannot be extended")
}

fn way() -> Option<Way> {
    let has_core = |sysroot: &Path| {
        fs::read_dir(sysroot.join("lib/rustlib").join(TARGET).join("lib")).is_ok_and(
            |mut entries| {
                entries.any(|entry| {
                    entry.is_ok_and(|one| one.file_name().to_string_lossy().starts_with("libcore-"))
                })
            },
        )
    };
    let executable = |path: &str| Path::new(path).exists();
    if executable(DEBIAN_RUSTC) && executable(DEBIAN_CARGO) && has_core(Path::new("/usr")) {
        return Some(Way::Debian);
    }
    nightly().map(|_| Way::Nightly)
}

/// rustup's nightly, where its `rust-src` is installed.
fn nightly() -> Option<PathBuf> {
    let home =
        env::var_os("RUSTUP_HOME").map_or_else(|| paths::home().join(".rustup"), PathBuf::from);
    fs::read_dir(home.join("toolchains"))
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("nightly-"))
        .map(|entry| entry.path())
        .find(|toolchain| toolchain.join("lib/rustlib/src/rust/library/core").is_dir())
}

fn linker() -> Option<PathBuf> {
    let own = tools().join("bin").join(LINKER);
    if own.exists() {
        return Some(own);
    }
    shell::which(LINKER)
}

fn tools() -> PathBuf {
    paths::cache().join("tools")
}

fn provide_compiler(log: &Path) -> Result<Way, Obstacle> {
    if apt::has_candidate("libstd-rust-web-dev-bpf", log) {
        eprintln!("setup: installing Debian's {}", DEBIAN_PACKAGES.join(", "));
        apt::install(DEBIAN_PACKAGES, log)?;
        return Ok(Way::Debian);
    }
    if shell::which("rustup").is_some() {
        eprintln!("setup: installing rustup's nightly with rust-src");
        let mut command = Command::new("rustup");
        command.args(["toolchain", "install", "nightly", "--profile=minimal"]);
        command.args(["--component=rust-src", "--no-self-update"]);
        shell::run_logged(&mut command, log)
            .map_err(|error| Obstacle::new(format!("{error:#}"), &by_hand()))?;
        return Ok(Way::Nightly);
    }
    Err(Obstacle::new(
        "neither Debian's libstd-rust-web-dev-bpf nor rustup can be had here",
        &by_hand(),
    ))
}

fn provide_linker(way: &Way, log: &Path) -> Result<(), Obstacle> {
    // Where there is cargo-binstall, the project's own static build of the linker does for both ways.
    if shell::which("cargo-binstall").is_some() {
        let mut command = Command::new(paths::cargo());
        command
            .args(["binstall", "--no-confirm", "--root"])
            .arg(tools());
        command.arg(format!("{LINKER}@{LINKER_VERSION}"));
        match shell::run_logged(&mut command, log) {
            Ok(()) => return Ok(()),
            Err(error) => eprintln!("setup: {error:#}"),
        }
    }
    if !Path::new(LLVM_PREFIX).join("bin/llvm-config").exists() {
        if *way == Way::Nightly && !apt::has_candidate(LLVM_PACKAGES[0], log) {
            return Err(Obstacle::new(
                format!("no {LINKER}, and no LLVM to build it against"),
                &by_hand(),
            ));
        }
        eprintln!(
            "setup: installing Debian's {}, to build {LINKER}",
            LLVM_PACKAGES.join(", ")
        );
        apt::install(LLVM_PACKAGES, log)?;
    }
    let mut command = Command::new(paths::cargo());
    command
        .env("LLVM_PREFIX", LLVM_PREFIX)
        .args(["install", LINKER, "--version", LINKER_VERSION, "--locked"])
        .args(["--no-default-features", "--features=llvm-22", "--root"])
        .arg(tools());
    eprintln!("setup: building {LINKER} {LINKER_VERSION}");
    shell::run_logged(&mut command, log)?;
    Ok(())
}

/// The commands that help where this program can do neither.
fn by_hand() -> [&'static str; 5] {
    [
        "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh",
        "rustup toolchain install nightly --component rust-src",
        "curl -L --proto '=https' --tlsv1.2 -sSf https://raw.githubusercontent.com/cargo-bins/cargo-binstall/main/install-from-binstall-release.sh | bash",
        "cargo binstall bpf-linker",
        "cargo xtask setup --for build",
    ]
}
