//! The tool that keeps and replays streams of records: profiler/examples/streams.

use std::{ffi::OsStr, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{paths, shell};

/// The tool, built.
pub struct Streams {
    program: PathBuf,
}

impl Streams {
    /// Builds it; the kernel side is built before.
    pub fn build() -> Result<Self> {
        let mut cargo = Command::new(paths::cargo());
        cargo
            .args(["build", "--quiet", "--release", "--package=profiler"])
            .arg("--example=streams")
            .current_dir(paths::workspace());
        shell::run(&mut cargo).context("the tool for streams of records does not build")?;
        Ok(Self {
            program: paths::target()?.join("release/examples/streams"),
        })
    }

    /// A command that runs it; its arguments are to follow.
    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// Runs it; what it says.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Value> {
        said_by(self.command().args(arguments))
    }

    /// Runs it under callgrind; what it says.
    pub fn run_under<A: AsRef<OsStr>>(
        &self,
        valgrind: &mut Command,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Value> {
        said_by(valgrind.arg(&self.program).args(arguments))
    }
}

/// The JSON that a command prints.
fn said_by(command: &mut Command) -> Result<Value> {
    let shown = shell::display(command);
    let output = command
        .output()
        .with_context(|| format!("cannot run {shown}"))?;
    ensure!(
        output.status.success(),
        "{shown}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).with_context(|| format!("{shown}: no JSON"))
}
