//! CPU time as the kernel accounts it, read without the profiler's help.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};

/// How often the recorder looks: often against the seconds that tests record.
const INTERVAL: Duration = Duration::from_millis(20);

/// CPU time of a process in seconds, with all its threads, those that ended included. This is the clock of
/// clock_getcpuclockid(3): unlike /proc/PID/schedstat it is up to date while a thread runs.
///
/// # Errors
/// Where there is no such process.
pub fn kernel_cpu_time(pid: u32) -> io::Result<f64> {
    let mut clock = 0;
    // SAFETY: the clock id is a live variable that the call fills.
    let error = unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is a live variable that the call fills.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "CPU times are far below 2^53 ns"
    )]
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// Follows the CPU time of some processes, so that it can be told between any two moments.
#[derive(Debug)]
pub struct Recorder {
    pids: Vec<u32>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Reading>>,
}

/// When, and the CPU time of each process in seconds; of one that ended the last that was seen.
type Reading = (SystemTime, Vec<f64>);

impl Recorder {
    /// Begins.
    #[must_use]
    pub fn start(pids: &[u32]) -> Self {
        Self::reading(pids, |pid| kernel_cpu_time(pid).ok())
    }

    /// Begins to read the CPU time, in seconds, of what these numbers stand for.
    #[must_use]
    pub fn reading(pids: &[u32], read: impl Fn(u32) -> Option<f64> + Send + 'static) -> Self {
        let pids = pids.to_vec();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (pids, stop) = (pids.clone(), Arc::clone(&stop));
            move || {
                let mut readings: Vec<Reading> = Vec::new();
                let mut last = vec![0.0; pids.len()];
                while !stop.load(Ordering::Relaxed) {
                    for (&pid, last) in pids.iter().zip(&mut last) {
                        *last = read(pid).unwrap_or(*last);
                    }
                    readings.push((SystemTime::now(), last.clone()));
                    thread::sleep(INTERVAL);
                }
                readings
            }
        });
        Self { pids, stop, thread }
    }

    /// Ends.
    ///
    /// # Errors
    /// Where the recording thread panicked.
    pub fn finish(self) -> Result<Recorded> {
        self.stop.store(true, Ordering::Relaxed);
        let readings = self
            .thread
            .join()
            .map_err(|_| anyhow::anyhow!("the CPU recorder panicked"))?;
        Ok(Recorded {
            pids: self.pids,
            readings,
        })
    }
}

/// The CPU times of some processes over a while.
#[derive(Clone, Debug)]
pub struct Recorded {
    pids: Vec<u32>,
    readings: Vec<Reading>,
}

impl Recorded {
    /// CPU time of a process in seconds between two moments, linear between readings.
    ///
    /// # Errors
    /// Where the process was not recorded.
    pub fn between(&self, pid: u32, start: SystemTime, end: SystemTime) -> Result<f64> {
        let index = self
            .pids
            .iter()
            .position(|&one| one == pid)
            .with_context(|| format!("process {pid} was not recorded"))?;
        Ok(self.at(index, end) - self.at(index, start))
    }

    fn at(&self, index: usize, when: SystemTime) -> f64 {
        let after = self.readings.partition_point(|(time, _)| *time < when);
        match (
            after
                .checked_sub(1)
                .and_then(|before| self.readings.get(before)),
            self.readings.get(after),
        ) {
            (Some((start, low)), Some((end, high))) => {
                let passed = when.duration_since(*start).unwrap_or_default();
                let whole = end.duration_since(*start).unwrap_or_default();
                let share = passed.as_secs_f64() / whole.as_secs_f64().max(1e-9);
                low[index] + share * (high[index] - low[index])
            }
            (Some((_, only)), None) | (None, Some((_, only))) => only[index],
            (None, None) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that the kernel's clock of this process goes on while it works.
    #[test]
    fn the_clock_goes_on() {
        let pid = std::process::id();
        let start = kernel_cpu_time(pid).unwrap();
        while kernel_cpu_time(pid).unwrap() < start + 0.01 {}
        // Above the kernel's limit of process ids (PID_MAX_LIMIT).
        assert!(kernel_cpu_time((1 << 22) + 1).is_err());
    }

    /// Makes sure that times between readings are interpolated, and that none is made up outside of them.
    #[test]
    fn between_readings() {
        let at = |s| SystemTime::UNIX_EPOCH + Duration::from_secs(s);
        let recorded = Recorded {
            pids: vec![7, 8],
            readings: vec![(at(10), vec![0.0, 1.0]), (at(20), vec![5.0, 1.0])],
        };
        assert_eq!(recorded.between(7, at(12), at(14)).unwrap(), 1.0);
        assert_eq!(recorded.between(7, at(0), at(99)).unwrap(), 5.0);
        assert_eq!(recorded.between(8, at(0), at(99)).unwrap(), 0.0);
        assert!(recorded.between(9, at(0), at(99)).is_err());
    }
}
