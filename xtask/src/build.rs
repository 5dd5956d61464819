//! Both sides: the eBPF object first, then the program that embeds it.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    paths,
    setup::{self, Purpose, toolchain},
    shell,
};

/// The arguments of `cargo xtask build`.
#[derive(Args, Debug, Default)]
#[command(after_help = "\
Examples:
  cargo xtask build                   target/release/pyprof-ebpf
  cargo xtask build --debug           target/debug/pyprof-ebpf; the kernel side is optimised all the same
  cargo xtask build --diagnostics     with log messages from the kernel side, which cost time in each sample")]
pub struct BuildArgs {
    /// Build the user side without optimisation
    #[arg(long)]
    debug: bool,
    /// Let the kernel side log what it does
    #[arg(long)]
    diagnostics: bool,
}

/// `cargo xtask build`.
pub fn main(args: &BuildArgs) -> Result<()> {
    let binary = build(args)?;
    println!("{}", binary.display());
    Ok(())
}

/// Sets up the toolchain where that is missing, builds, and returns the program's path.
pub fn build(args: &BuildArgs) -> Result<PathBuf> {
    setup::ensure(Purpose::Build)?;
    build_kernel_side(args.diagnostics)?;
    let mut cargo = Command::new(paths::cargo());
    cargo
        .args(["build", "--package=profiler"])
        .current_dir(paths::workspace());
    let profile = if args.debug {
        "debug"
    } else {
        cargo.arg("--release");
        "release"
    };
    if args.diagnostics {
        cargo.arg("--features=diagnostics");
    }
    shell::run(&mut cargo).context("the user side does not build")?;
    Ok(paths::target()?.join(profile).join("pyprof-ebpf"))
}

/// Compiles the kernel side and puts the object where profiler/build.rs finds it.
fn build_kernel_side(diagnostics: bool) -> Result<()> {
    let target = kernel_side_target();
    let mut cargo = kernel_side_cargo("build")?;
    if diagnostics {
        cargo.arg("--features=diagnostics");
    }
    shell::run(&mut cargo).context("the kernel side does not build")?;
    let built = target.join(toolchain::TARGET).join("release/pyprof-ebpf");
    let object = fs::read(&built).with_context(|| format!("no {}", built.display()))?;
    let place = paths::bpf_object();
    // Left alone where nothing changed, so that the user side is not built again.
    if fs::read(&place).is_ok_and(|old| old == object) {
        return Ok(());
    }
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    let unfinished = place.with_extension("tmp");
    fs::write(&unfinished, &object)?;
    fs::rename(&unfinished, &place).with_context(|| format!("cannot write {}", place.display()))
}

/// A cargo command on the kernel side's own workspace.
pub fn kernel_side_cargo(subcommand: &str) -> Result<Command> {
    let mut cargo = toolchain::cargo(subcommand)?;
    cargo
        .arg("--manifest-path")
        .arg(paths::workspace().join("profiler-ebpf/Cargo.toml"))
        .arg("--target-dir")
        .arg(kernel_side_target());
    Ok(cargo)
}

fn kernel_side_target() -> PathBuf {
    paths::workspace().join("target/ebpf-build")
}
