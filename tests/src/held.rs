//! Recording processes that are held until the profiler samples, and again before it ends: all the CPU time that
//! they use meanwhile is in the recording, however long the profiler takes to start, and the kernel's figure for it
//! is exact.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    check::{is_within, paths},
    collapsed::Collapsed,
    cpu::kernel_cpu_time,
    environment::PATIENCE,
    profiler::{Profiler, Run},
    stats::Stats,
    target::send_signal,
};

/// Sums of samples are to be the kernel's CPU time, this near.
const CPU_TOLERANCE: f64 = 0.02;
/// At most one sample in so many may be without a stack: see `tests/e2e/truth.rs`.
const UNKNOWN_ONE_IN: u64 = 200;
/// Below so many samples a check says nothing.
const LEAST_SAMPLES: u64 = 300;

/// A recording of processes that were held.
#[derive(Debug)]
pub struct Held {
    /// The profiler's run.
    pub run: Run,
    /// Its profile, in the collapsed format.
    pub profile: Collapsed,
    /// CPU time that each process used while it was recorded, in seconds, as the kernel has it.
    pub cpu: HashMap<u32, f64>,
}

/// Processes that are killed when this is dropped: children of targets, which do not end with their parents while
/// they are stopped.
#[derive(Debug, Default)]
pub struct Killed(pub Vec<u32>);

impl Drop for Killed {
    fn drop(&mut self) {
        for &pid in &self.0 {
            // One that has ended is no loss.
            let _ = send_signal(pid, libc::SIGKILL);
        }
    }
}

/// Stops processes, starts the profiler, lets them go on for as long as `work` takes, stops them, and ends the
/// profiler. They stay stopped.
///
/// # Errors
/// Where the profiler does not run, or a process is gone.
pub fn record(pids: &[u32], profiler: Profiler, work: impl FnOnce() -> Result<()>) -> Result<Held> {
    let all = |signal| pids.iter().try_for_each(|&pid| send_signal(pid, signal));
    let times = || {
        // A signal takes its moment to be acted on.
        thread::sleep(Duration::from_millis(50));
        pids.iter()
            .map(|&pid| Ok((pid, kernel_cpu_time(pid)?)))
            .collect::<Result<HashMap<u32, f64>>>()
    };
    all(libc::SIGSTOP)?;
    let before = times()?;
    let mut running = profiler.start()?;
    running.until_sampling()?;
    all(libc::SIGCONT)?;
    let worked = work();
    all(libc::SIGSTOP)?;
    let mut cpu = times()?;
    for (pid, time) in &mut cpu {
        *time -= before[pid];
    }
    running.signal(libc::SIGINT)?;
    let run = running.wait()?;
    worked.with_context(|| run.stderr.clone())?;
    let run = run.succeeded()?;
    let profile = run.collapsed()?;
    Ok(Held { run, profile, cpu })
}

/// Waits until each of the processes has used so much CPU time, in seconds: on a busy machine that takes longer.
///
/// # Errors
/// Where it takes very long, or a process is gone.
pub fn until_each_has_used(pids: &[u32], seconds: f64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let times = || {
        pids.iter()
            .map(|&pid| Ok(kernel_cpu_time(pid)?))
            .collect::<Result<Vec<f64>>>()
    };
    let before = times()?;
    loop {
        let now = times()?;
        if now
            .iter()
            .zip(&before)
            .all(|(now, before)| now - before >= seconds)
        {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{pids:?} used {before:?} to {now:?}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

impl Held {
    /// The ledger.
    ///
    /// # Errors
    /// Where none was written.
    pub fn stats(&self) -> Result<&Stats> {
        self.run.stats()
    }

    /// The stacks of one process.
    #[must_use]
    pub fn profile_of(&self, pid: u32) -> Collapsed {
        self.profile.of_process(pid)
    }

    /// Checks that a process is in the ledger as profiled, and that its samples weigh what the kernel accounted.
    ///
    /// # Errors
    /// Where it is not, or they do not.
    pub fn check_cpu_time(&self, pid: u32) -> Result<()> {
        let entry = self.stats()?.process(pid)?;
        ensure!(entry.status == "profiled", "{}", entry.status);
        let ledger = entry.cpu_s.context("no CPU time in the ledger")?;
        let (samples, kernel) = (entry.sampled_s, self.cpu[&pid]);
        ensure!(
            is_within(ledger, kernel, CPU_TOLERANCE) && is_within(samples, kernel, CPU_TOLERANCE),
            "samples {samples:.3} s, ledger {ledger:.3} s, kernel {kernel:.3} s"
        );
        Ok(())
    }

    /// Checks that the stacks of a process, from its program's own first frame on, are beginnings of known paths.
    ///
    /// # Errors
    /// Shows those that are not.
    pub fn check_paths(&self, pid: u32, known: &[Vec<String>]) -> Result<()> {
        check_paths(&self.profile_of(pid), known)
    }
}

/// Checks that all stacks, from the program's own first frame on, are beginnings of known paths.
///
/// # Errors
/// Shows those that are not.
pub fn check_paths(profile: &Collapsed, known: &[Vec<String>]) -> Result<()> {
    let mut profile = profile.clone();
    let samples = profile.samples();
    ensure!(samples >= LEAST_SAMPLES, "only {samples} samples");
    for stack in &mut profile.stacks {
        // What runs the program is above it: runpy, or the threads of a server.
        let begins = |path: &Vec<String>| {
            let first = path.first()?;
            stack.frames.iter().rposition(|frame| frame.name == *first)
        };
        if let Some(first) = known.iter().filter_map(begins).max() {
            stack.frames.drain(..first);
        }
    }
    let unknown = paths::take_unknown(&mut profile);
    ensure!(
        unknown <= samples / UNKNOWN_ONE_IN,
        "{unknown} of {samples} samples without a stack"
    );
    let impossible = paths::impossible(&profile, known);
    ensure!(impossible.samples == 0, "{impossible:#?}");
    let met = paths::met(&profile, known);
    ensure!(met * 2 > known.len(), "only {met} paths of {}", known.len());
    Ok(())
}
