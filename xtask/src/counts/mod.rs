//! Counts that are the same each time, beside those that are committed: what a change costs is seen before it goes in.

mod committed;
mod measure;

use anyhow::{Result, bail};
use clap::Args;

use self::committed::Counts;
use crate::{
    build::{self, BuildArgs},
    shell,
    streams::Streams,
};

/// The arguments of `cargo xtask counts`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask counts             fails where a count has risen by more than 5 %
  cargo xtask counts --write     commits to what is counted now, in tests/counts.json

Counted are the instructions that the kernel's verifier follows, by program; the bytes of a ring buffer that a sample
takes in the steady state; and what user space does with a stream of records that is always the same: instructions,
by callgrind, and allocations.")]
pub struct CountsArgs {
    /// Write the counts down, to be compared with from now on
    #[arg(long)]
    write: bool,
}

/// `cargo xtask counts`.
pub fn main(args: &CountsArgs) -> Result<()> {
    if !shell::is_root() {
        bail!("the verifier counts for root alone: sudo -E env \"PATH=$PATH\" cargo xtask counts");
    }
    build::build(&BuildArgs::default())?;
    let counts = measure::measure(&Streams::build()?)?;
    if args.write {
        counts.write()?;
        println!("{counts}");
        return Ok(());
    }
    let comparison = counts.compare(&Counts::committed()?);
    println!("{comparison}");
    if comparison.has_risen() {
        bail!(
            "counts have risen by more than 5 %; where that is worth it, commit to them: cargo xtask counts --write"
        );
    }
    Ok(())
}
