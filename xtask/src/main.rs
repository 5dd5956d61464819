//! Set-up, build, run, test and benchmarks: `cargo xtask --help`.

mod bench;
mod build;
mod callgrind;
mod counts;
mod lint;
mod paths;
mod run;
mod setup;
mod shell;
mod streams;
mod tally;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set-up, build, run, test and benchmarks of pyprof-ebpf.
#[derive(Parser, Debug)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "\
Examples:
  cargo xtask run --all-python -d 10     sets up and builds what is missing, and profiles
  cargo xtask test                       sets up what the tests want, and runs all of them"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Provide what building and testing need, where it is missing
    Setup(setup::SetupArgs),
    /// Build both sides: the eBPF object and the program that has it inside
    Build(build::BuildArgs),
    /// Build, then run the profiler
    Run(run::RunArgs),
    /// Check formatting and lints of both sides
    Lint,
    /// Build, then run all tests
    Test(test::TestArgs),
    /// Run the truth tests on other kernels, in virtual machines
    VmTest(vm::VmArgs),
    /// Compare with other profilers: cost of a sample, slow-down, memory, time to the first sample
    Bench(bench::BenchArgs),
    /// Compare counts that are the same each time with those that are committed
    Counts(counts::CountsArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup(args) => setup::main(&args),
        Command::Build(args) => build::main(&args),
        Command::Run(args) => run::main(&args),
        Command::Lint => lint::main(),
        Command::Test(args) => test::main(&args),
        Command::VmTest(args) => vm::main(&args),
        Command::Bench(args) => bench::main(&args),
        Command::Counts(args) => counts::main(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
