//! Formatting and lints of both sides.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{
    build, paths,
    setup::{self, Purpose},
    shell,
};

/// `cargo xtask lint`.
pub fn main() -> Result<()> {
    let workspace = paths::workspace();
    for manifest in ["Cargo.toml", "profiler-ebpf/Cargo.toml"] {
        let mut fmt = Command::new(paths::cargo());
        fmt.args(["fmt", "--all", "--check", "--manifest-path"])
            .arg(workspace.join(manifest));
        shell::run(&mut fmt).context("cargo fmt puts that right")?;
    }
    let mut clippy = Command::new(paths::cargo());
    clippy
        .args(["clippy", "--workspace", "--all-targets", "--locked"])
        .args(["--", "-Dwarnings"])
        .current_dir(&workspace);
    shell::run(&mut clippy)?;
    setup::ensure(Purpose::Lint)?;
    let mut clippy = build::kernel_side_cargo("clippy")?;
    clippy.args(["--locked", "--", "-Dwarnings"]);
    shell::run(&mut clippy)
}
