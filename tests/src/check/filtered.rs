//! Checks of a profile that a filter was to let some processes into, and no others.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::is_within;
use crate::{cpu::Recorder, profiler::Run, stats::Stats, target::Target};

/// What samples weigh in each cgroup is to be the CPU time that the kernel accounted to it, this near.
pub const CPU_TOLERANCE: f64 = 0.02;

/// Makes sure that the profile holds these processes, all of them with samples, and nothing of any other.
///
/// # Errors
/// Says what is missing, or too much.
pub fn holds_only(run: &Run, pids: &[u32]) -> Result<()> {
    let stats = run.stats()?;
    let wanted: BTreeSet<u32> = pids.iter().copied().collect();
    let found: BTreeSet<u32> = stats.processes.iter().map(|process| process.pid).collect();
    ensure!(
        found == wanted,
        "{found:?} are in the ledger, not {wanted:?}"
    );
    let profile = run.collapsed()?;
    let mut samples = 0;
    for &pid in &wanted {
        let own = profile.of_process(pid).samples();
        ensure!(own > 20, "{own} samples of {pid}");
        samples += own;
    }
    ensure!(samples == profile.samples(), "samples of other processes");
    Ok(())
}

/// What samples of these processes weigh together, in seconds.
///
/// # Errors
/// Where one is not in the ledger.
pub fn sampled_s(stats: &Stats, targets: &[&Target]) -> Result<f64> {
    let times = targets
        .iter()
        .map(|target| Ok(stats.process(target.pid())?.sampled_s));
    times.sum()
}

/// Makes sure that samples of these processes, all that use CPU time in a cgroup, weigh what the kernel accounted to
/// it meanwhile. `recorder` is [the cgroup's](crate::cgroups::Cgroup::record).
///
/// # Errors
/// Says what they weigh, and what the kernel has.
pub fn weighs_as_accounted(run: &Run, recorder: Recorder, inside: &[&Target]) -> Result<()> {
    let stats = run.stats()?;
    let kernel = recorder
        .finish()?
        .between(0, stats.started, stats.ended())?;
    let samples = sampled_s(stats, inside)?;
    println!("samples {samples:.3} s, kernel {kernel:.3} s");
    ensure!(
        is_within(samples, kernel, CPU_TOLERANCE),
        "samples {samples:.3} s, kernel {kernel:.3} s"
    );
    Ok(())
}
