//! Streams of records: recorded from the ring buffers, made up, weighed, and taken in again by the same code that takes
//! in a recording; and what samples cost the kernel. `cargo xtask counts` and `cargo xtask bench` measure by it; each command prints JSON.

mod allocations;
mod copies;
mod cost;
mod record;
mod replay;
mod synthetic;
mod weigh;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser, Debug)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Keep what arrives while processes are profiled
    Record(record::Record),
    /// Make a stream up, always the same
    Synthetic {
        /// Where to
        file: PathBuf,
    },
    /// Measure what samples cost the kernel
    Cost(cost::Cost),
    /// Count records and bytes
    Weigh {
        /// A stream
        file: PathBuf,
    },
    /// Take a stream in
    Replay {
        /// A stream
        file: PathBuf,
        /// So many times at once, as of other CPUs and processes
        #[arg(long)]
        copies: Option<u32>,
    },
}

fn main() -> Result<()> {
    let said = match Cli::parse().command {
        Command::Record(record) => record.run()?,
        Command::Synthetic { file } => synthetic::write(&file)?,
        Command::Cost(cost) => cost.run()?,
        Command::Weigh { file } => weigh::weigh(&file)?,
        Command::Replay { file, copies: None } => replay::replay(&file)?,
        Command::Replay {
            file,
            copies: Some(copies),
        } => copies::replay(&file, copies)?,
    };
    println!("{said}");
    Ok(())
}
