//! Ours and other profilers, measured in the same run on the same programs.

mod busy;
mod cgroups;
mod clock;
mod cpus;
mod idle;
pub mod interpreter;
mod many;
mod mojo;
mod parts;
mod profiler;
mod quiet;
mod sample;
mod spinners;
mod start;
mod storm;
pub mod table;
pub mod target;
mod usage;

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    build::{self, BuildArgs},
    setup::{self, Purpose},
    shell,
};

/// The arguments of `cargo xtask bench`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask bench                               all, five times each: some forty minutes
  cargo xtask bench --only busy --runs 1          one look
  cargo xtask bench > docs/benchmarks-new.md      tables on standard output, progress on standard error

Each figure is the median of its runs. CPU time is what the kernel accounts to the profiler's threads and, as
run_time_ns, to its BPF programs, in a window of its steady state. The throughput kept is the target's in that
window, over that of the same process just before.")]
pub struct BenchArgs {
    /// How often each measurement is made
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// How long one lasts, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only this part
    #[arg(long, value_enum)]
    only: Option<Part>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Where a sample's time goes
    Sample,
    /// One busy thread, 30 frames deep
    Busy,
    /// 40 mostly idle processes
    Idle,
    /// No Python at all
    Quiet,
    /// 500 processes that run at the start
    Start,
    /// 2,000 mostly idle processes
    Many,
    /// 70 children a second
    Storm,
    /// 100 busy cgroups
    Cgroups,
    /// User space on 192 CPUs
    Cpus,
}

/// Measures, and returns a table.
type Measure = fn(&Setting) -> Result<String>;

/// What is measured, in this order, under which title.
const PARTS: [(Part, &str, Measure); 9] = [
    (Part::Sample, "Where a sample's time goes", sample::measure),
    (Part::Busy, "One busy thread, 30 frames deep", busy::measure),
    (
        Part::Idle,
        "40 mostly idle processes at 99 Hz",
        idle::measure,
    ),
    (
        Part::Quiet,
        "A busy host without any Python",
        quiet::measure,
    ),
    (
        Part::Start,
        "500 processes running at the start",
        start::measure,
    ),
    (
        Part::Many,
        "2,000 mostly idle processes with 5,000 threads",
        many::measure,
    ),
    (
        Part::Storm,
        "A storm of 70 children a second, 15 ms of work each",
        storm::measure,
    ),
    (
        Part::Cgroups,
        "A filter for one of 100 busy cgroups, 30 frames deep",
        cgroups::measure,
    ),
    (
        Part::Cpus,
        "User space on 192 CPUs, from streams of this host's",
        cpus::measure,
    ),
];

/// What all measurements share.
pub struct Setting {
    /// Our profiler.
    pub binary: PathBuf,
    /// How often each measurement is made.
    pub runs: u32,
    /// How long one lasts.
    pub seconds: u64,
}

/// `cargo xtask bench`.
pub fn main(args: &BenchArgs) -> Result<()> {
    if !shell::is_root() {
        bail!(
            "profilers run as root, and so does this: sudo -E env \"PATH=$PATH\" cargo xtask bench"
        );
    }
    let short = setup::ensure(Purpose::Bench)?;
    if !short.is_empty() {
        eprintln!("bench: not set up: {}", short.join(", "));
    }
    let setting = Setting {
        binary: build::build(&BuildArgs::default())?,
        runs: args.runs,
        seconds: args.seconds,
    };
    let _statistics = usage::enable_statistics()?;
    println!("{}", machine(&setting));
    for (part, title, measure) in PARTS {
        if args.only.is_none_or(|only| only == part) {
            println!("## {title}\n");
            println!("{}", measure(&setting)?);
        }
    }
    Ok(())
}

/// Where and when this was measured.
fn machine(setting: &Setting) -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let count = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let of = |program: &str, argument: &str| {
        shell::output(Command::new(program).arg(argument)).unwrap_or_default()
    };
    format!(
        "Measured on {}: {count} x {model}, Linux {}. Medians of {} runs of {} s.\n",
        of("date", "+%Y-%m-%d"),
        of("uname", "-r"),
        setting.runs,
        setting.seconds
    )
}
