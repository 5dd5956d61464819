//! What the BPF programs cost, as the kernel counts it.

use std::{io, os::fd::OwnedFd, time::Duration};

/// Keeps the kernel counting run times of BPF programs for as long as it lives.
///
/// `bpf(BPF_ENABLE_STATS)` (5.8+) turns counting on until its descriptor is closed, so that a killed
/// profiler leaves nothing behind; the sysctl `kernel.bpf_stats_enabled` would stay.
pub struct RunTimeStatistics {
    _counting: OwnedFd,
}

impl RunTimeStatistics {
    /// Turns counting on.
    ///
    /// # Errors
    /// Where the kernel does not know how, or does not allow it.
    pub fn enable() -> io::Result<Self> {
        let counting =
            aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(io::Error::other)?;
        Ok(Self {
            _counting: counting,
        })
    }
}

/// Time that the programs ran and how often, added up. Programs reached by a tail call are counted with
/// the one that called.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunTime {
    /// Time in the programs.
    pub time: Duration,
    /// Runs.
    pub runs: u64,
}
