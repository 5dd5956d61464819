//! 40 mostly idle processes: what a profiler costs that has little to do, its memory, and how soon it begins.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{
    Setting,
    profiler::{ALL, Profiler, Run, Target},
    table::{markdown, median},
    target::{Crowd, Idle},
    usage::{self, Usage},
};

const CROWD: Crowd = Crowd {
    children: 40,
    executed: 0,
    threads: 0,
    pause: Duration::from_millis(100),
};
/// Samples per second.
pub const RATE_HZ: u32 = 99;
/// A profiler gets this long before it is measured, in seconds.
const SETTLE: u64 = 3;
/// How long a profiler runs whose first sample is looked for, in seconds: py-spy takes its time.
const FIRST: u64 = 4;

/// What a profiler costs in its steady state.
pub struct Cost {
    /// Of one core, in per cent, in user space.
    pub cpu: f64,
    /// Likewise its BPF programs.
    pub bpf: f64,
    /// The most that it had resident, in MB.
    pub resident_mb: f64,
    /// Its BPF maps, in MB.
    pub maps_mb: f64,
}

/// Measures all profilers; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let mut rows = Vec::new();
    for profiler in ALL {
        let mut costs = Vec::new();
        let mut firsts = Vec::new();
        for run in 1..=setting.runs {
            eprintln!(
                "bench: {} idle processes: {}, run {run}",
                CROWD.children,
                profiler.name()
            );
            costs.push(cost(setting, profiler, CROWD, SETTLE)?);
            firsts.push(first(setting, profiler, CROWD, FIRST)?.milliseconds);
        }
        let of = |value: fn(&Cost) -> f64| median(costs.iter().map(value).collect());
        rows.push(vec![
            profiler.name().to_owned(),
            format!("{:.2} %", of(|cost| cost.cpu + cost.bpf)),
            format!("{:.2} %", of(|cost| cost.bpf)),
            format!("{:.1} MB", of(|cost| cost.resident_mb)),
            format!("{:.0} ms", median(firsts)),
        ]);
    }
    Ok(markdown(
        &[
            "",
            "CPU, of one core",
            "of this, BPF",
            "resident memory, peak",
            "start to first sample",
        ],
        &rows,
    ))
}

/// The cost of a profiler that has had `settle` seconds to begin.
pub fn cost(setting: &Setting, profiler: Profiler, crowd: Crowd, settle: u64) -> Result<Cost> {
    let directory = tempfile::tempdir()?;
    let target = Idle::start(crowd, false)?;
    let seconds = setting.seconds + settle + 1;
    let family = Target::Family(target.pid());
    let run = profiler.start(&setting.binary, family, RATE_HZ, seconds, directory.path())?;
    thread::sleep(Duration::from_secs(settle));
    let before = Usage::of(run.pid())?;
    thread::sleep(Duration::from_secs(setting.seconds));
    let used = Usage::of(run.pid())?.since(&before);
    let resident = usage::resident_peak_kib(run.pid()).context("it has ended too soon")?;
    let maps = usage::maps_kib(run.pid());
    run.finish()?;
    let share = |ns: u64| ns as f64 / 1e7 / setting.seconds as f64;
    Ok(Cost {
        cpu: share(used.cpu_ns),
        bpf: share(used.bpf_ns),
        resident_mb: resident as f64 * 1024.0 / 1e6,
        maps_mb: maps as f64 * 1024.0 / 1e6,
    })
}

/// A profiler's beginning.
pub struct First {
    /// From its start until its first sample of a process that is always busy.
    pub milliseconds: f64,
    /// CPU time of the profiler, its BPF programs included, up to a second before its end.
    pub cpu_s: f64,
    /// How many processes it says were under profile; 0 where it does not.
    pub profiled: usize,
}

/// The beginning of a profiler that runs for so many seconds.
pub fn first(setting: &Setting, profiler: Profiler, crowd: Crowd, seconds: u64) -> Result<First> {
    let directory = tempfile::tempdir()?;
    let target = Idle::start(crowd, true)?;
    let start = monotonic_ns();
    let family = Target::Family(target.pid());
    let run = profiler.start(&setting.binary, family, RATE_HZ, seconds, directory.path())?;
    thread::sleep(Duration::from_secs(seconds - 1));
    let used = Usage::of(run.pid())?;
    run.finish()?;
    let profile = Run::profile(directory.path())?;
    let first = times(&profile)
        .filter(|&time| time + 2_000_000 > start)
        .min()
        .with_context(|| format!("{} has no sample of the clock", profiler.name()))?;
    Ok(First {
        milliseconds: first.saturating_sub(start) as f64 / 1e6,
        cpu_s: (used.cpu_ns + used.bpf_ns) as f64 / 1e9,
        profiled: Run::profiled(directory.path()),
    })
}

/// The times in the names of the clock's functions.
fn times(profile: &[u8]) -> impl Iterator<Item = u64> {
    let mark = b"at_";
    profile
        .windows(mark.len())
        .enumerate()
        .filter(move |(_, window)| window == mark)
        .filter_map(move |(at, _)| {
            let digits: String = profile[at + mark.len()..]
                .iter()
                .map(|&byte| char::from(byte))
                .take_while(char::is_ascii_digit)
                .collect();
            digits.parse().ok()
        })
}

/// The clock that Python's `time.monotonic_ns` reads.
fn monotonic_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec that lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    // Neither is negative: the clock counts from boot.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::times;

    /// Times are found in the names of functions, in text as in a binary format.
    #[test]
    fn times_are_found() {
        let profile = b"main;at_123 (idle.py:9) 4\n\x03\x80at_77\0that_x";
        assert_eq!(times(profile).collect::<Vec<_>>(), [123, 77]);
    }
}
