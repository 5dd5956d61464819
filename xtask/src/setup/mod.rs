//! Set-up: finds out what is missing, says what it will do about it and why, and does it.
//!
//! Each [`Component`] looks for itself first, by files alone, so that a second run takes no time.

mod apt;
mod builds;
mod frozen;
mod interpreters;
mod kernels;
mod node;
mod packages;
mod roots;
pub mod toolchain;
mod venv;

use std::{
    env, fmt,
    fs::{self, File},
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

pub use kernels::{Kernel, find as find_kernels};
pub use roots::forky;
pub use venv::peers_path;

use crate::paths;

/// What the set-up is for. Each includes the ones before it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub enum Purpose {
    /// To build the profiler, both sides
    Build,
    /// To check formatting and lints
    Lint,
    /// To run every test: interpreters, root file systems, kernels, readers of the output formats
    Test,
    /// To compare with other profilers
    Bench,
}

/// The arguments of `cargo xtask setup`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask setup                what the tests want
  cargo xtask setup --for build    only what is needed to build
  cargo xtask setup --check        says what is there and what is missing, and changes nothing

What is fetched or built goes to $PYPROF_CACHE, else $XDG_CACHE_HOME/pyprof-ebpf, else
~/.cache/pyprof-ebpf; packages of the distribution are installed with apt-get, through sudo where need be.
It may be stopped at any moment and started again.")]
pub struct SetupArgs {
    /// Only say what is there and what is missing; exit status 1 where something is
    #[arg(long)]
    check: bool,
    /// What to set up for
    #[arg(long = "for", value_enum, default_value_t = Purpose::Test)]
    purpose: Purpose,
}

/// One thing that set-up provides.
trait Component {
    /// What it is, in messages.
    fn name(&self) -> String;
    /// What it is wanted for, to follow "for".
    fn why(&self) -> &'static str;
    /// Whether there is no going on without it.
    fn vital(&self) -> bool {
        false
    }
    /// What is missing of it, where anything is.
    fn missing(&self) -> Option<String>;
    /// Provides what is missing.
    fn provide(&self, log: &Path) -> Result<(), Obstacle>;
}

/// Why a component cannot be provided here, and what a person can type to get on.
#[derive(Debug)]
pub struct Obstacle {
    reason: String,
    commands: Vec<String>,
}

impl Obstacle {
    fn new(reason: impl Into<String>, commands: &[&str]) -> Self {
        Self {
            reason: reason.into(),
            commands: commands.iter().map(|&one| one.to_owned()).collect(),
        }
    }
}

impl From<anyhow::Error> for Obstacle {
    fn from(error: anyhow::Error) -> Self {
        Self::new(format!("{error:#}"), &[])
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if !self.commands.is_empty() {
            write!(f, "\n  These would help:")?;
            for command in &self.commands {
                write!(f, "\n    {command}")?;
            }
        }
        Ok(())
    }
}

fn components(purpose: Purpose) -> Vec<Box<dyn Component>> {
    let mut all: Vec<Box<dyn Component>> = vec![Box::new(toolchain::Toolchain)];
    if purpose >= Purpose::Lint {
        all.push(Box::new(toolchain::Clippy));
    }
    if purpose >= Purpose::Test {
        all.push(Box::new(packages::Packages));
        all.extend(interpreters::all());
        all.push(Box::new(builds::Builds));
        all.push(Box::new(roots::Forky));
        all.push(Box::new(roots::DebugBuild));
        all.push(Box::new(node::NodePackages));
        all.push(Box::new(venv::flights()));
        all.push(Box::new(venv::servers()));
        all.push(Box::new(frozen::Frozen));
        all.extend(kernels::all());
    }
    if purpose >= Purpose::Bench {
        all.push(Box::new(venv::peers()));
    }
    all
}

/// `cargo xtask setup`.
pub fn main(args: &SetupArgs) -> Result<()> {
    if args.check {
        return check(args.purpose);
    }
    let short = ensure(args.purpose)?;
    if !short.is_empty() {
        bail!("not set up: {}", short.join(", "));
    }
    println!("setup: all there, in {}", paths::cache().display());
    Ok(())
}

/// Provides what is missing. What only tests want may stay missing (they skip, with the reason), but
/// not under CI; without what the build wants there is no going on.
///
/// Returns the names of what stays missing.
pub fn ensure(purpose: Purpose) -> Result<Vec<String>> {
    let logs = paths::cache().join("log");
    let mut short = Vec::new();
    let mut lock = None;
    for component in components(purpose) {
        if component.missing().is_none() {
            continue;
        }
        if lock.is_none() {
            lock = Some(exclusive()?);
        }
        // Whoever had the lock until now may have provided it.
        let Some(missing) = component.missing() else {
            continue;
        };
        let name = component.name();
        eprintln!("setup: {name}, for {}: {missing}", component.why());
        let start = Instant::now();
        let provided = component.provide(&log_file(&logs, &name));
        let result = provided.and_then(|()| match component.missing() {
            None => Ok(()),
            Some(still) => Err(Obstacle::new(format!("still: {still}"), &[])),
        });
        match result {
            Ok(()) => eprintln!("setup: {name}: done in {} s", start.elapsed().as_secs()),
            Err(obstacle) => {
                eprintln!("setup: {name}: {obstacle}");
                if component.vital() {
                    bail!("there is no going on without {name}");
                }
                short.push(name);
            }
        }
    }
    if !short.is_empty() {
        if env::var_os("CI").is_some() {
            bail!("not set up: {}", short.join(", "));
        }
        eprintln!(
            "setup: what wants these will be skipped: {}",
            short.join(", ")
        );
    }
    Ok(short)
}

/// Waits until no other set-up fills the same cache; others wait until the file is dropped.
fn exclusive() -> Result<File> {
    let cache = paths::cache();
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let path = cache.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    // SAFETY: the descriptor is open for as long as `file` lives, and flock touches no memory of ours.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot lock the cache");
    }
    Ok(file)
}

fn check(purpose: Purpose) -> Result<()> {
    let mut missing = 0;
    for component in components(purpose) {
        match component.missing() {
            None => println!("there    {}", component.name()),
            Some(what) => {
                missing += 1;
                println!(
                    "missing  {}, for {}: {what}",
                    component.name(),
                    component.why()
                );
            }
        }
    }
    if missing > 0 {
        bail!("{missing} missing: cargo xtask setup provides them");
    }
    Ok(())
}

fn log_file(logs: &Path, name: &str) -> PathBuf {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    logs.join(format!("{plain}.log"))
}
