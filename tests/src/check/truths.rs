//! What must hold of the programs that say themselves what is true of them.

use anyhow::{Context, Result, ensure};

use super::{is_within, paths, sites};
use crate::together::{Profiled, Together};

/// Sums of samples are to be the kernel's CPU time, this near.
const CPU_TOLERANCE: f64 = 0.02;

/// At most one sample in so many may be without a stack, in 3.11 and 3.12 alone: there a thread's newest frame
/// hangs on memory that the interpreter links before it fills it in.
const UNKNOWN_ONE_IN: u64 = 200;

/// How many of these samples of a program on this Python may be without a stack.
#[must_use]
pub fn bearable(python: &str, samples: u64) -> u64 {
    let has_gap = ["3.11.", "3.12."]
        .iter()
        .any(|version| python.starts_with(version));
    if has_gap { samples / UNKNOWN_ONE_IN } else { 0 }
}

/// Every stack is the beginning of one of the program's paths, and most paths were met. So many samples may have no
/// stack.
///
/// # Errors
/// Says what does not hold.
pub fn paths(profiled: &Profiled, bearable: u64) -> Result<()> {
    let known: Vec<Vec<String>> = profiled.fact("paths")?;
    let mut profile = profiled.profile.clone();
    let unknown = paths::take_unknown(&mut profile);
    let impossible = paths::impossible(&profile, &known);
    ensure!(impossible.samples == 0, "{impossible:#?}");
    ensure!(
        unknown <= bearable,
        "{unknown} samples without a stack beside {}",
        profile.samples()
    );
    let met = paths::met(&profile, &known);
    ensure!(met * 2 > known.len(), "only {met} paths of {}", known.len());
    Ok(())
}

/// Every call site of `line_sites.py` is on its line, and hundreds of them were met.
///
/// # Errors
/// Says what does not hold.
pub fn call_sites(profiled: &Profiled) -> Result<()> {
    let truth: sites::Truth = serde_json::from_value(profiled.facts.clone())?;
    let found = sites::check(&profiled.profile, &truth);
    ensure!(found.wrong.samples == 0, "{:#?}", found.wrong);
    let met = found.distinct.len();
    ensure!(met > 300, "{met} of {} call sites met", truth.sites);
    Ok(())
}

/// The samples of a program, and the ledger's figure, are the CPU time that was recorded without the profiler's help.
///
/// # Errors
/// Says what does not hold.
pub fn cpu_time(together: &Together, program: &str) -> Result<()> {
    let profiled = together.program(program)?;
    let stats = &together.stats;
    let recorded = together
        .cpu
        .between(profiled.pid, stats.started, stats.ended())?;
    let process = stats.process(profiled.pid)?;
    let ledger = process.cpu_s.context("no CPU time in the ledger")?;
    let samples = process.sampled_s;
    ensure!(
        is_within(ledger, recorded, CPU_TOLERANCE) && is_within(samples, recorded, CPU_TOLERANCE),
        "samples {samples:.3} s, ledger {ledger:.3} s, kernel {recorded:.3} s"
    );
    Ok(())
}
