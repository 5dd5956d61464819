//! 40 mostly idle processes: what a profiler costs that has little to do, its memory, and how soon it begins.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{
    Setting,
    profiler::{ALL, Profiler, Run, Target},
    table::{markdown, median},
    target::Idle,
    usage::{self, Usage},
};

const PROCESSES: u32 = 40;
const RATE_HZ: u32 = 99;
/// A profiler gets this long before it is measured, in seconds.
const SETTLE: u64 = 3;
/// How long a profiler runs whose first sample is looked for, in seconds: py-spy takes its time.
const FIRST: u64 = 4;

struct Cost {
    /// Of one core, in per cent.
    cpu: f64,
    bpf: f64,
    resident_mb: f64,
}

/// Measures all profilers; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let mut rows = Vec::new();
    for profiler in ALL {
        let mut costs = Vec::new();
        let mut firsts = Vec::new();
        for run in 1..=setting.runs {
            eprintln!(
                "bench: {PROCESSES} idle processes: {}, run {run}",
                profiler.name()
            );
            costs.push(cost(setting, profiler)?);
            firsts.push(first_sample_ms(setting, profiler)?);
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

fn cost(setting: &Setting, profiler: Profiler) -> Result<Cost> {
    let directory = tempfile::tempdir()?;
    let target = Idle::start(PROCESSES, false)?;
    let seconds = setting.seconds + SETTLE + 1;
    let family = Target::Family(target.pid());
    let run = profiler.start(&setting.binary, family, RATE_HZ, seconds, directory.path())?;
    thread::sleep(Duration::from_secs(SETTLE));
    let before = Usage::of(run.pid())?;
    thread::sleep(Duration::from_secs(setting.seconds));
    let used = Usage::of(run.pid())?.since(&before);
    let resident = usage::resident_peak_kib(run.pid()).context("it has ended too soon")?;
    run.finish()?;
    let share = |ns: u64| ns as f64 / 1e7 / setting.seconds as f64;
    Ok(Cost {
        cpu: share(used.cpu_ns),
        bpf: share(used.bpf_ns),
        resident_mb: resident as f64 * 1024.0 / 1e6,
    })
}

/// From the profiler's start until its first sample of a process that is always busy, in milliseconds.
fn first_sample_ms(setting: &Setting, profiler: Profiler) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let target = Idle::start(PROCESSES, true)?;
    let start = monotonic_ns();
    let family = Target::Family(target.pid());
    let run = profiler.start(&setting.binary, family, RATE_HZ, FIRST, directory.path())?;
    run.finish()?;
    let profile = Run::profile(directory.path())?;
    let first = times(&profile)
        .filter(|&time| time + 2_000_000 > start)
        .min()
        .with_context(|| format!("{} has no sample of the clock", profiler.name()))?;
    Ok(first.saturating_sub(start) as f64 / 1e6)
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
