//! The profiler stopped, starved, and without room: its targets run on, and what it says of them holds. (That the
//! ledger balances is checked after every run of every test.)

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::{Failures, is_within, paths, twice},
    cpu::{Recorder, kernel_cpu_time},
    environment::Turn,
    interpreters,
    profiler::{Profiler, Run, Running},
    speedscope::Speedscope,
    stats::Samples,
    target::Target,
};
use serde_json::Value;

/// The interpreters: heap frames, frames that hang on the C stack, and the newest.
const INTERPRETERS: [&str; 3] = ["3.8.18", "3.12.1", "forky-3.14"];
/// Sums of weights are to be the kernel's CPU time, this near.
const TOLERANCE: f64 = 0.02;
/// So near where samples were lost.
const TOLERANCE_LOST: f64 = 0.05;

/// Busy programs of known truth, two on each of some interpreters.
struct Programs {
    split: Vec<Target>,
    alternating: Vec<Target>,
}

impl Programs {
    fn start(names: &[&str]) -> Result<Self> {
        let (mut split, mut alternating) = (Vec::new(), Vec::new());
        for interpreter in interpreters::required()? {
            if names.contains(&interpreter.name.as_str()) {
                let start = |program| Target::start(&interpreter, program, [] as [&str; 0]);
                split.push(start("split_70_30.py")?);
                alternating.push(start("alternating.py")?);
            }
        }
        ensure!(!split.is_empty(), "none of {names:?} is there");
        Ok(Self { split, alternating })
    }

    fn all(&self) -> impl Iterator<Item = &Target> {
        self.split.iter().chain(&self.alternating)
    }

    /// Profiles them while `meanwhile` disturbs the profiler, and checks what holds of every such run; samples of
    /// how they ended.
    fn profile(
        self,
        profiler: Profiler,
        meanwhile: impl FnOnce(&mut Running) -> Result<()>,
    ) -> Result<Samples> {
        let pids: Vec<u32> = self.all().map(Target::pid).collect();
        let recorder = Recorder::start(&pids);
        let mut running = profiler.format("speedscope").start()?;
        running.until_sampling()?;
        let before: Vec<f64> = pids
            .iter()
            .map(|&pid| kernel_cpu_time(pid))
            .collect::<std::io::Result<_>>()?;
        meanwhile(&mut running)?;
        let run = running.wait()?.succeeded()?;
        let recorded = recorder.finish()?;
        let stats = run.stats()?;
        let mut failures = Failures::new();
        let tolerance = if stats.samples.lost.is_empty() {
            TOLERANCE
        } else {
            TOLERANCE_LOST
        };
        for (target, before) in self.all().zip(before) {
            let (name, pid) = (&target.name, target.pid());
            let process = stats.process(pid)?;
            let truth = recorded.between(pid, stats.started, stats.ended())?;
            println!(
                "{name}: {:.3} s of {truth:.3} s, {:?}",
                process.sampled_s, process.samples
            );
            failures.require(
                name,
                is_within(process.sampled_s, truth, tolerance)
                    && process
                        .cpu_s
                        .is_some_and(|cpu| is_within(cpu, truth, TOLERANCE)),
                format!(
                    "samples weigh {:.3} s, the ledger says {:?} s, the kernel {truth:.3} s",
                    process.sampled_s, process.cpu_s
                ),
            );
            failures.require(
                name,
                target.runs()? && kernel_cpu_time(pid)? > before,
                "does not run on",
            );
        }
        let profile = Speedscope::parse(&run.output()?)?;
        for target in &self.split {
            let profile = profile.of_process(target.pid());
            for (function, truth) in [("seventy", 0.7), ("thirty", 0.3)] {
                let share = profile.share_under(function);
                println!("{}: {function} {share:.3}", target.name);
                failures.require(
                    &target.name,
                    (share - truth).abs() <= 0.03,
                    format!("{function} takes {share:.3}"),
                );
            }
        }
        for target in &self.alternating {
            let mut profile = profile.of_process(target.pid());
            paths::take_unknown(&mut profile);
            let known: Vec<Vec<String>> = target.fact("paths")?;
            let impossible = paths::impossible(&profile, &known);
            failures.require(
                &target.name,
                impossible.samples == 0,
                format!("{impossible:#?}"),
            );
        }
        check_words(&run, &stats.samples).context(run.stderr.clone())?;
        for target in self.split {
            let name = target.name.clone();
            let spent = target.finish()?;
            failures.require(
                name,
                spent.get("seventy").and_then(Value::as_f64) > Some(0.0),
                format!("ended with {spent}"),
            );
        }
        failures.finish()?;
        Ok(stats.samples.clone())
    }
}

/// The summary says what was lost and that times are scaled, or that nothing was lost.
fn check_words(run: &Run, samples: &Samples) -> Result<()> {
    if samples.lost.is_empty() {
        ensure!(run.stderr.contains("none lost"), "it says that some were");
        ensure!(samples.scale == Some(1.0), "{:?}", samples.scale);
    } else {
        ensure!(
            run.stderr.contains("ring buffer was full")
                && run.stderr.contains("times are scaled up"),
            "it does not say why, or what became of the times"
        );
        ensure!(samples.scale > Some(1.0), "{:?}", samples.scale);
    }
    Ok(())
}

/// Makes sure that a profiler that is stopped for five seconds, with ring buffers that hold one, loses samples under
/// that reason, and that times and shares are right all the same.
#[test]
fn stopped() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    twice(|| {
        let programs = Programs::start(&INTERPRETERS)?;
        let profiler = Profiler::of(programs.all(), "1khz", "10s").args(["--ring-buffer", "64k"]);
        let samples = programs.profile(profiler, |running| {
            running.signal(libc::SIGSTOP)?;
            thread::sleep(Duration::from_secs(5));
            running.signal(libc::SIGCONT)
        })?;
        ensure!(samples.without_room() > 0, "nothing was lost: {samples:?}");
        Ok(())
    })
}

/// Makes sure that a profiler that hardly gets to run beside busy programs leaves times and shares right.
#[test]
fn starved() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    twice(|| {
        let programs = Programs::start(&INTERPRETERS[1..])?;
        let profiler = Profiler::of(programs.all(), "1khz", "7s");
        programs.profile(profiler, |running| {
            nice(running.pid(), 19)?;
            thread::sleep(Duration::from_secs(4));
            // What is left to do would take very long.
            nice(running.pid(), 0)
        })?;
        Ok(())
    })
}

/// Makes sure that ring buffers of one page, at a rate that fills them many times a second, lose samples under that
/// reason and leave times and shares right.
#[test]
fn without_room_for_more() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    twice(|| {
        let programs = Programs::start(&INTERPRETERS[..2])?;
        let profiler = Profiler::of(programs.all(), "10khz", "4s").args(["--ring-buffer", "4k"]);
        let samples = programs.profile(profiler, |_| Ok(()))?;
        ensure!(samples.without_room() > 0, "nothing was lost: {samples:?}");
        Ok(())
    })
}

/// Sets how nice a process is.
fn nice(pid: u32, niceness: i32) -> Result<()> {
    // SAFETY: setpriority touches no memory.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, pid, niceness) } != 0 {
        return Err(std::io::Error::last_os_error()).context("cannot be made nice");
    }
    Ok(())
}
