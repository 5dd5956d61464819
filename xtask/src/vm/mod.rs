//! The truth tests on other kernels than the host's, in virtual machines under software emulation.

mod cpio;
mod guest;
mod initramfs;
mod libraries;
mod qemu;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::{
    build::{self, BuildArgs},
    paths,
    setup::{self, Kernel, Purpose},
    shell,
    tally::Tally,
    test,
};

/// The integration test that is run in the guests.
const TESTS: &str = "truth";

/// The arguments of `cargo xtask vm-test`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask vm-test                    each kernel in turn
  cargo xtask vm-test --kernel 5.10

What a guest printed stays in target/vm/KERNEL.log.")]
pub struct VmArgs {
    /// Only this kernel: 5.10, 6.1 or newest
    #[arg(long)]
    kernel: Option<String>,
}

/// `cargo xtask vm-test`.
pub fn main(args: &VmArgs) -> Result<()> {
    setup::ensure(Purpose::Test)?;
    let tally = test(args.kernel.as_deref())?;
    println!("{tally}");
    test::verdict(&tally)
}

/// Runs the tests on the kernel of that name, or on all of them. Set-up has been done.
pub fn test(kernel: Option<&str>) -> Result<Tally> {
    let kernels = setup::find_kernels(kernel)?;
    let mut tally = Tally::default();
    if shell::which(qemu::PROGRAM).is_none() {
        println!("skipped: virtual machines: no {}", qemu::PROGRAM);
        tally.skipped += kernels.len() as u64;
        return Ok(tally);
    }
    let guest = guest::Guest::new(build::build(&BuildArgs::default())?, test_executable()?);
    let missing = guest.missing();
    if !missing.is_empty() {
        println!(
            "skipped: virtual machines: no interpreter {}",
            missing.join(", ")
        );
        tally.skipped += kernels.len() as u64;
        return Ok(tally);
    }
    let directory = paths::target()?.join("vm");
    let root = directory.join("root.cpio");
    let size = initramfs::write(&guest, &root)?;
    println!(
        "virtual machines: a root file system of {} MB",
        size / 1_000_000
    );
    for kernel in &kernels {
        tally.add(&test_on(kernel, &root, &directory));
    }
    Ok(tally)
}

/// One kernel. A guest that does not come to its end counts as one failed test.
fn test_on(kernel: &Kernel, root: &Path, directory: &Path) -> Tally {
    let mut tally = Tally::default();
    let Some(image) = kernel.image() else {
        println!("skipped: kernel {}: not set up", kernel.name);
        tally.skipped += 1;
        return tally;
    };
    println!("\nkernel {}: booting", kernel.name);
    let start = Instant::now();
    let log = directory.join(format!("{}.log", kernel.name));
    let status = qemu::boot(&image, root, &log, |line| {
        if let Some(shown) = tally.line(line) {
            println!("  {shown}");
        }
    });
    let seconds = start.elapsed().as_secs();
    match status {
        Ok(0) if tally.passed + tally.skipped > 0 => {
            println!("kernel {}: {tally}, in {seconds} s", kernel.name);
        }
        Ok(_) if tally.failed > 0 => println!("kernel {}: {tally}, in {seconds} s", kernel.name),
        Ok(status) => {
            println!("kernel {}: no tests ran (status {status})", kernel.name);
            tally.failed += 1;
        }
        Err(error) => {
            println!("kernel {}: {error:#}", kernel.name);
            tally.failed += 1;
        }
    }
    tally
}

/// Compiles the tests and finds the executable in what cargo says.
fn test_executable() -> Result<PathBuf> {
    let output = Command::new(paths::cargo())
        .args(["test", "--no-run", "--package=end-to-end", "--test", TESTS])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(paths::workspace())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo test")?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == TESTS)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo names no executable of the tests")
}
