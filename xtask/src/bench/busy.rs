//! One busy thread 30 frames deep: what a sample costs, and what the target loses.

use std::{path::Path, thread, time::Duration};

use anyhow::Result;

use super::{
    Setting,
    clock::Clock,
    profiler::{ALL, Profiler, Target},
    table::{markdown, median},
    target::Busy,
    usage::Usage,
};

const RATES_HZ: [u32; 3] = [99, 1_000, 10_000];
/// A profiler gets this long before it is measured, in seconds, so that only its steady state is.
const SETTLE: u64 = 2;

/// One profiler's window of time.
struct Window {
    /// Samples a second.
    samples: f64,
    /// Per sample, in microseconds.
    bpf_us: f64,
    user_us: f64,
    /// Of the target's throughput just before.
    kept: f64,
}

/// Measures all profilers at all rates; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let mut rows = Vec::new();
    for rate in RATES_HZ {
        for profiler in ALL {
            let mut windows = Vec::new();
            for run in 1..=setting.runs {
                eprintln!(
                    "bench: busy thread: {} at {rate} Hz, run {run}",
                    profiler.name()
                );
                windows.push(window(setting, profiler, rate)?);
            }
            rows.push(row(profiler, rate, &windows));
        }
        rows.push(clock_alone(setting, rate)?);
    }
    Ok(markdown(
        &[
            "",
            "asked, Hz",
            "samples/s",
            "BPF, us/sample",
            "user space, us/sample",
            "all in, us/sample",
            "throughput kept",
        ],
        &rows,
    ))
}

fn window(setting: &Setting, profiler: Profiler, rate: u32) -> Result<Window> {
    let directory = tempfile::tempdir()?;
    let target = Busy::start(directory.path())?;
    let alone = throughput(&target, setting.seconds)?;
    let whole = setting.seconds + SETTLE + 1;
    let run = start(setting, profiler, &target, rate, whole, directory.path())?;
    thread::sleep(Duration::from_secs(SETTLE));
    let before = Usage::of(run.pid())?;
    let with = throughput(&target, setting.seconds)?;
    let used = Usage::of(run.pid())?.since(&before);
    let samples = run.finish()? as f64 / whole as f64;
    let taken = samples * setting.seconds as f64;
    Ok(Window {
        samples,
        bpf_us: used.bpf_ns as f64 / 1e3 / taken,
        user_us: used.cpu_ns as f64 / 1e3 / taken,
        kept: with / alone,
    })
}

/// What the target keeps under our profiler's clock alone: nothing that samples by it can leave more.
fn clock_alone(setting: &Setting, rate: u32) -> Result<Vec<String>> {
    let mut kept = Vec::new();
    for run in 1..=setting.runs {
        eprintln!("bench: busy thread: the clock alone at {rate} Hz, run {run}");
        let directory = tempfile::tempdir()?;
        let target = Busy::start(directory.path())?;
        let alone = throughput(&target, setting.seconds)?;
        let _clock = Clock::start(rate)?;
        kept.push(throughput(&target, setting.seconds)? / alone);
    }
    let mut cells = vec!["(the clock alone)".to_owned(), rate.to_string()];
    cells.extend(std::iter::repeat_n("-".to_owned(), 4));
    cells.push(format!("{:.3}", median(kept)));
    Ok(cells)
}

fn start(
    setting: &Setting,
    profiler: Profiler,
    target: &Busy,
    rate: u32,
    seconds: u64,
    directory: &Path,
) -> Result<super::profiler::Run> {
    profiler.start(
        &setting.binary,
        Target::Process(target.pid()),
        rate,
        seconds,
        directory,
    )
}

/// Rounds a second over that many seconds.
fn throughput(target: &Busy, seconds: u64) -> Result<f64> {
    let start = std::time::Instant::now();
    let before = target.rounds()?;
    thread::sleep(Duration::from_secs(seconds));
    let rounds = target.rounds()? - before;
    Ok(rounds as f64 / start.elapsed().as_secs_f64())
}

fn row(profiler: Profiler, rate: u32, windows: &[Window]) -> Vec<String> {
    let of = |value: fn(&Window) -> f64| median(windows.iter().map(value).collect());
    let bpf = of(|window| window.bpf_us);
    vec![
        profiler.name().to_owned(),
        rate.to_string(),
        format!("{:.0}", of(|window| window.samples)),
        if bpf > 0.0 {
            format!("{bpf:.2}")
        } else {
            "-".into()
        },
        format!("{:.2}", of(|window| window.user_us)),
        format!("{:.2}", of(|window| window.bpf_us + window.user_us)),
        format!("{:.3}", of(|window| window.kept)),
    ]
}
