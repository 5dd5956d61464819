//! All tests: of each part, end to end, and on other kernels.

use std::{env, path::Path, process::Command};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    build::{self, BuildArgs},
    paths,
    setup::{self, Purpose},
    shell,
    streams::Streams,
    tally::Tally,
    vm,
};

/// The arguments of `cargo xtask test`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask test                 everything
  cargo xtask test --no-vm         everything on this kernel
  cargo xtask test lines           tests whose names contain \"lines\", on this kernel

What cannot be tested here is skipped, with the reason; with CI set in the environment nothing may be.")]
pub struct TestArgs {
    /// Only the tests whose names contain this
    filter: Option<String>,
    /// Leave out the virtual machines
    #[arg(long)]
    no_vm: bool,
}

/// `cargo xtask test`.
pub fn main(args: &TestArgs) -> Result<()> {
    setup::ensure(Purpose::Test)?;
    let binary = build::build(&BuildArgs::default())?;
    let filter = args.filter.as_deref();
    if filter.is_none() {
        // By who called, not by root, as whom the test runs that wants it.
        Streams::build()?;
    }
    let mut tally = Tally::of(&mut unit_tests(filter))?;
    tally.add(&Tally::of(&mut end_to_end_tests(filter, &binary)?)?);
    if !args.no_vm && filter.is_none() {
        tally.add(&vm::test(None)?);
    }
    println!("{tally}");
    verdict(&tally)
}

/// An error where tests failed, or were skipped under CI.
pub fn verdict(tally: &Tally) -> Result<()> {
    if tally.failed > 0 {
        bail!("{} failed", tally.failed);
    }
    if tally.skipped > 0 && env::var_os("CI").is_some() {
        bail!("{} skipped, and under CI none may be", tally.skipped);
    }
    Ok(())
}

fn cargo_test(packages: &[&str]) -> Command {
    let mut command = Command::new(paths::cargo());
    command
        .args(["test", "--no-fail-fast"])
        .args(packages)
        .current_dir(paths::workspace());
    command
}

fn unit_tests(filter: Option<&str>) -> Command {
    let mut command = cargo_test(&["--workspace", "--exclude=end-to-end"]);
    command.args(filter).args(["--", "--show-output"]);
    command
}

/// One at a time, since they load the machine and look at how it shares its time; as root, since they profile.
fn end_to_end_tests(filter: Option<&str>, binary: &Path) -> Result<Command> {
    let mut command = cargo_test(&["--package=end-to-end"]);
    if !shell::is_root() {
        if !shell::can_be_root() {
            bail!("the end-to-end tests profile, which takes root, and there is no sudo");
        }
        let path = env::var("PATH").unwrap_or_default();
        command.arg("--config").arg(format!(
            "target.'cfg(unix)'.runner=['sudo', '--preserve-env', 'env', 'PATH={path}']"
        ));
    }
    command
        .args(filter)
        .args(["--", "--show-output", "--test-threads=1"])
        .env("PYPROF_BINARY", binary)
        .env("PYPROF_CACHE", paths::cache());
    Ok(command)
}
