//! One busy thread 30 frames deep: what a sample costs, and what the target loses.

use std::{thread, time::Duration};

use anyhow::Result;

use super::{
    Setting,
    clock::Clock,
    interpreter::{Interpreter, USUAL},
    profiler::{ALL, Profiler, Target},
    table::{markdown, median},
    target::{Busy, FRAMES, Functions},
    usage::Usage,
};

/// Who is measured on which interpreter, at which rates.
const CASES: [(Interpreter, &[u32], &[Profiler]); 4] = [
    (USUAL, &[99, 1_000, 10_000], &ALL),
    // Austin 4.0.0 refuses this one: it "cannot determine the version".
    (
        Interpreter::Pyenv("3.8.18"),
        &[1_000, 10_000],
        &[Profiler::Ours, Profiler::PySpy],
    ),
    // Austin refuses Debian's 3.14, in a root of its own, for the same reason: so this is another build of 3.14.
    (
        Interpreter::Built("3.14-musl", "3.14"),
        &[1_000, 10_000],
        &ALL,
    ),
    // CPython's own sampler reads processes of its own version alone.
    (
        Interpreter::Loaded("3.15"),
        &[1_000],
        &[Profiler::Ours, Profiler::Tachyon],
    ),
];
/// A profiler gets this long before it is measured, in seconds, so that only its steady state is.
const SETTLE: u64 = 2;

/// One profiler's window of time.
struct Window {
    /// Samples a second.
    samples: f64,
    /// Per sample, in microseconds.
    bpf_us: f64,
    user_us: f64,
    /// Of the target's throughput just before and just after.
    kept: f64,
}

/// Measures all profilers at all rates; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let mut rows = Vec::new();
    for (interpreter, rates, profilers) in CASES {
        for &rate in rates {
            for &profiler in profilers {
                let mut windows = Vec::new();
                for run in 1..=runs(setting, profiler) {
                    eprintln!(
                        "bench: busy thread of {}: {} at {rate} Hz, run {run}",
                        interpreter.name(),
                        profiler.name()
                    );
                    windows.push(window(setting, profiler, interpreter, rate)?);
                }
                rows.push(row(profiler, interpreter, rate, &windows));
            }
            if interpreter == USUAL {
                rows.push(clock_alone(setting, rate)?);
            }
        }
    }
    Ok(markdown(
        &[
            "",
            "CPython",
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

/// How often a profiler is run. What ours takes from a target is little, and takes many runs to tell from nothing.
fn runs(setting: &Setting, profiler: Profiler) -> u32 {
    match profiler {
        Profiler::Ours => setting.runs,
        Profiler::PySpy | Profiler::Austin | Profiler::Tachyon => setting.runs.div_ceil(3),
    }
}

fn window(
    setting: &Setting,
    profiler: Profiler,
    interpreter: Interpreter,
    rate: u32,
) -> Result<Window> {
    let directory = tempfile::tempdir()?;
    let target = Busy::start_with(interpreter, FRAMES, Functions::One, directory.path())?;
    let before = throughput(&target, setting.seconds)?;
    let whole = setting.seconds + SETTLE + 1;
    let run = profiler.start(
        &setting.binary,
        Target::Process(target.pid()),
        rate,
        whole,
        directory.path(),
    )?;
    thread::sleep(Duration::from_secs(SETTLE));
    let start = Usage::of(run.pid())?;
    let with = throughput(&target, setting.seconds)?;
    let used = Usage::of(run.pid())?.since(&start);
    let samples = run.finish()? as f64 / whole as f64;
    let after = throughput(&target, setting.seconds)?;
    let taken = samples * setting.seconds as f64;
    Ok(Window {
        samples,
        bpf_us: used.bpf_ns as f64 / 1e3 / taken,
        user_us: used.cpu_ns as f64 / 1e3 / taken,
        kept: with / f64::midpoint(before, after),
    })
}

/// What the target keeps under our profiler's clock alone: nothing that samples by it can leave more.
fn clock_alone(setting: &Setting, rate: u32) -> Result<Vec<String>> {
    let mut kept = Vec::new();
    for run in 1..=setting.runs {
        eprintln!("bench: busy thread: the clock alone at {rate} Hz, run {run}");
        let directory = tempfile::tempdir()?;
        let target = Busy::start(directory.path())?;
        let before = throughput(&target, setting.seconds)?;
        let clock = Clock::start(rate)?;
        let with = throughput(&target, setting.seconds)?;
        drop(clock);
        let after = throughput(&target, setting.seconds)?;
        kept.push(with / f64::midpoint(before, after));
    }
    let mut cells = vec![
        "(the clock alone)".to_owned(),
        USUAL.name(),
        rate.to_string(),
    ];
    cells.extend(std::iter::repeat_n("-".to_owned(), 4));
    cells.push(format!("{:.3}", median(kept)));
    Ok(cells)
}

/// Rounds a second over that many seconds.
fn throughput(target: &Busy, seconds: u64) -> Result<f64> {
    let start = std::time::Instant::now();
    let before = target.rounds()?;
    thread::sleep(Duration::from_secs(seconds));
    let rounds = target.rounds()? - before;
    Ok(rounds as f64 / start.elapsed().as_secs_f64())
}

fn row(profiler: Profiler, interpreter: Interpreter, rate: u32, windows: &[Window]) -> Vec<String> {
    let of = |value: fn(&Window) -> f64| median(windows.iter().map(value).collect());
    let bpf = of(|window| window.bpf_us);
    vec![
        profiler.name().to_owned(),
        interpreter.name(),
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
