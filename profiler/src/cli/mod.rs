//! The command line: flags as typed, then checked into a configuration.

pub mod config;
mod destination;
pub mod filter;
mod matching;
pub mod parse;
pub mod record;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use self::filter::FilterFlags;
use crate::{
    kernel::Clock,
    output::{Format, Group},
    profile::budget::Budget,
};

const EXAMPLES: &str = "\
Examples:
  sudo pyprof-ebpf --all-python                 every Python on this host, until Ctrl-C
  sudo pyprof-ebpf --all-python -d 30s          for half a minute
  sudo pyprof-ebpf -p 1234 -d 10 -o slow.svg    one process, into a file of that name
  sudo pyprof-ebpf -s -- python3 script.py      a command and its children
  sudo pyprof-ebpf -p 1234 -d 10 -f pprof -o slow.pb.gz
  sudo pyprof-ebpf --container 'web-*' -d 30s   all containers of these names, also those that start meanwhile
  sudo pyprof-ebpf --unit shop --exclude-comm celery
  sudo pyprof-ebpf --cgroup /kubepods --user 1000

--cgroup, --container, --unit and --pid add up; --user and --comm narrow that down, or all Python processes where
none of these is given; what is excluded is left out in any case.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not permitted or the kernel cannot,
4 nothing to profile was found; with a command after --, the command's own.";

/// Shows where Python programs spend their time: every CPython process of this host, without touching it
#[derive(Debug, Parser)]
#[command(name = "pyprof-ebpf", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `record` unless said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `record`, when that is not said.
    #[command(flatten)]
    pub record: RecordFlags,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record a profile into a file (what happens without a command, too)
    #[command(after_help = EXAMPLES)]
    Record(Box<RecordFlags>),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// The flags of `record`, as typed.
#[derive(Args, Clone, Debug, Default)]
pub struct RecordFlags {
    /// Every Python process on this host, running now or started later
    #[arg(long, help_heading = "Target")]
    pub all_python: bool,

    /// These processes
    #[arg(
        short,
        long,
        value_name = "PID",
        value_delimiter = ',',
        num_args = 1,
        help_heading = "Target"
    )]
    pub pid: Vec<u32>,

    /// Their children too, and the children's children
    #[arg(short, long, help_heading = "Target")]
    pub subprocesses: bool,

    /// What else is a target, and what is not.
    #[command(flatten)]
    pub filter: FilterFlags,

    /// Run this command and profile it
    #[arg(last = true, value_name = "COMMAND", help_heading = "Target")]
    pub command: Vec<OsString>,

    /// How long: 10, 10s, 500ms, 2m; without it until Ctrl-C or the target's end
    #[arg(short, long, value_name = "TIME", value_parser = parse::duration, help_heading = "Recording")]
    pub duration: Option<Duration>,

    /// Samples per second and CPU: 99, 10khz
    #[arg(short, long, value_name = "RATE", value_parser = parse::rate, default_value = "99", help_heading = "Recording")]
    pub rate: u64,

    /// CPU time that profiling may take: 1% (of a core), 2%host. It samples more slowly where it must
    #[arg(long, value_name = "SHARE", value_parser = parse::budget, help_heading = "Recording")]
    pub max_overhead: Option<Budget>,

    /// Memory that the profiler may take: 64m to 1t. What was not met for longest is dropped where there is more
    #[arg(long, value_name = "SIZE", value_parser = parse::memory, default_value = "512m", help_heading = "Recording")]
    pub max_memory: u64,

    /// What drives the sampling
    #[arg(
        long,
        value_enum,
        value_name = "CLOCK",
        default_value = "cpu-clock",
        help_heading = "Recording"
    )]
    pub event: Clock,

    /// Size of the buffer between kernel and profiler, of each CPU: a power of two, 4k to 64m [default: 8m shared out,
    /// 128k to 512k]
    #[arg(long, value_name = "SIZE", value_parser = parse::ring_size, hide_short_help = true, help_heading = "Recording")]
    pub ring_buffer: Option<u32>,

    /// Processes under profile at a time [default: four times the threads that the host runs, at least 8192]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1 << 22), hide_short_help = true, help_heading = "Recording")]
    pub max_processes: Option<u32>,

    /// Where to write; `-` is standard output [default: pyprof-<time>.svg]
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// What to write [default: as FILE's ending says, else flamegraph]
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        help_heading = "Output"
    )]
    pub format: Option<Format>,

    /// Add up all lines of a function
    #[arg(short = 'F', long, help_heading = "Output")]
    pub function: bool,

    /// No line numbers
    #[arg(long, help_heading = "Output")]
    pub nolineno: bool,

    /// File names in full
    #[arg(long, help_heading = "Output")]
    pub full_filenames: bool,

    /// Keep threads apart, with their names
    #[arg(short, long, help_heading = "Output")]
    pub threads: bool,

    /// Frames under the stack's root [default: process, where there can be more than one]
    #[arg(
        long,
        value_enum,
        value_name = "GROUP",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    pub group_by: Option<Vec<Group>>,

    /// Draw the flame graph upright, root at the bottom
    #[arg(long, help_heading = "Output")]
    pub flame: bool,

    /// Write the ledger (samples taken, delivered and lost; processes; cost) as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub stats: Option<PathBuf>,

    /// No progress and no summary
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,

    /// Say more
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Messages")]
    pub verbose: u8,

    /// Colours
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Messages"
    )]
    pub color: clap::ColorChoice,
}
