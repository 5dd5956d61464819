//! Where a sample's time goes: in the kernel by the depth of its stack and by the version of its interpreter, and in
//! user space by what is done.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    Setting,
    interpreter::{Interpreter, USUAL},
    parts,
    profiler::{Profiler, Target},
    spinners::Spinners,
    table::{markdown, median},
    target::{Busy, FRAMES, Functions, Sleeper},
    usage::Usage,
};
use crate::{callgrind, streams::Streams};

/// Each with a way of its own to keep frames, threads or the identity of code.
const INTERPRETERS: [Interpreter; 6] = [
    Interpreter::Pyenv("3.8.18"),
    Interpreter::Host("/usr/bin/python3.11"),
    Interpreter::Pyenv("3.11.7"),
    USUAL,
    Interpreter::Root("3.14"),
    Interpreter::Built("3.14t", "3.14"),
];
const DEPTHS: [u32; 5] = [1, 10, FRAMES, 100, 500];
const RATE_HZ: u32 = 1_000;
/// The profiler gets this long before it is measured, in seconds.
const SETTLE: u64 = 2;
/// How many functions of user space are shown.
const COSTLIEST: usize = 12;

/// What firings of the event cost.
#[derive(Clone, Copy)]
struct Cost {
    /// Samples in the window.
    samples: f64,
    /// Firings in it, of all CPUs.
    firings: f64,
    /// All BPF programs (ns).
    bpf_ns: f64,
    /// User space (ns).
    user_ns: f64,
}

impl Cost {
    /// Of one sample (us); `nothing` is what a firing costs that finds nothing to sample (ns).
    fn sample_us(&self, nothing: f64) -> f64 {
        let others = (self.firings - self.samples).max(0.0) * nothing;
        (self.bpf_ns - others) / self.samples / 1e3
    }
}

/// Measures our profiler; returns tables.
pub fn measure(setting: &Setting) -> Result<String> {
    let sleeper = Sleeper::start()?;
    let beside = sleeper.pid();
    let spinners = Spinners::on_all_but(0);
    let nothing = median(
        costs(setting, "nothing to sample", Target::Process(beside))?
            .iter()
            .map(|cost| cost.bpf_ns / cost.firings)
            .collect(),
    );
    drop(spinners);
    // The CPU that is left is for the program under profile.
    let _spinners = Spinners::on_all_but(1);
    let left_out = left_out_ns(setting, beside, nothing)?;
    let mut rows = Vec::new();
    let mut usual = None;
    for interpreter in INTERPRETERS {
        let mut times = Vec::new();
        for frames in DEPTHS {
            let costs = costs_of(setting, interpreter, frames, Functions::One)?;
            times.push(median_us(&costs, nothing));
            if (interpreter, frames) == (USUAL, FRAMES) {
                usual = Some(costs);
            }
        }
        let distinct = costs_of(setting, interpreter, FRAMES, Functions::Each)?;
        let frames = f64::from(DEPTHS[4] - DEPTHS[1]);
        let mut row = vec![interpreter.name()];
        row.extend(times.iter().map(|time| format!("{time:.2}")));
        row.push(format!("{:.1}", (times[4] - times[1]) * 1e3 / frames));
        row.push(format!("{:.2}", median_us(&distinct, nothing)));
        rows.push(row);
    }
    let depths = DEPTHS.map(|frames| format!("{frames} frames, us"));
    let mut header = vec![""];
    header.extend(depths.iter().map(String::as_str));
    let distinct = format!("{FRAMES} distinct functions, us");
    header.extend(["a frame more, ns", &distinct]);
    let streams = Streams::build()?;
    let usual = usual.context("the usual interpreter is not among these")?;
    Ok(format!(
        "BPF time at {RATE_HZ} Hz, without firings on the other CPUs, which spin: such a firing takes {nothing:.0} ns, one \
         that a filter leaves out {left_out:.0} ns.\n\n{}\n\
         Of this, at {FRAMES} frames, of one function that calls itself and of distinct ones, in ns, each part being the \
         difference between samples that stop before it and behind it:\n\n{}\n{}",
        markdown(&header, &rows),
        parts::measure(setting, &streams, &INTERPRETERS, RATE_HZ, nothing)?,
        user_space(setting, &streams, &usual)?
    ))
}

/// What a firing costs that a filter leaves out (ns); `beside` is a process that it does not.
fn left_out_ns(setting: &Setting, beside: u32, nothing: f64) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let busy = Busy::start(directory.path())?;
    let process = busy.pid();
    let costs = costs(setting, "left out", Target::LeftOut { process, beside })?;
    // One CPU is busy with it.
    let firings = f64::from(RATE_HZ) * setting.seconds as f64;
    let of = |cost: &Cost| (cost.bpf_ns - (cost.firings - firings) * nothing) / firings;
    Ok(median(costs.iter().map(of).collect()))
}

fn costs_of(
    setting: &Setting,
    interpreter: Interpreter,
    frames: u32,
    functions: Functions,
) -> Result<Vec<Cost>> {
    let directory = tempfile::tempdir()?;
    let busy = Busy::start_with(interpreter, frames, functions, directory.path())?;
    let what = format!("{} at {frames} frames", interpreter.name());
    costs(setting, &what, Target::Process(busy.pid()))
}

/// What a sample costs (us); `nothing` as in [`Cost::sample_us`].
fn median_us(costs: &[Cost], nothing: f64) -> f64 {
    median(costs.iter().map(|cost| cost.sample_us(nothing)).collect())
}

fn costs(setting: &Setting, what: &str, target: Target<'_>) -> Result<Vec<Cost>> {
    (1..=setting.runs)
        .map(|run| {
            eprintln!("bench: a sample: {what}, run {run}");
            cost(setting, target)
        })
        .collect()
}

fn cost(setting: &Setting, target: Target<'_>) -> Result<Cost> {
    let directory = tempfile::tempdir()?;
    let whole = setting.seconds + SETTLE + 1;
    let run = Profiler::Ours.start(&setting.binary, target, RATE_HZ, whole, directory.path())?;
    thread::sleep(Duration::from_secs(SETTLE));
    let before = Usage::of(run.pid())?;
    thread::sleep(Duration::from_secs(setting.seconds));
    let used = Usage::of(run.pid())?.since(&before);
    let share = setting.seconds as f64 / whole as f64;
    Ok(Cost {
        samples: run.finish()? as f64 * share,
        firings: used.ticks as f64,
        bpf_ns: used.bpf_ns as f64,
        user_ns: used.cpu_ns as f64,
    })
}

/// What user space does with a sample; `live` is what it took while sampling.
fn user_space(setting: &Setting, streams: &Streams, live: &[Cost]) -> Result<String> {
    eprintln!("bench: a sample: user space");
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("stream");
    let file = file.to_str().context("a path that is not UTF-8")?;
    streams.run(["synthetic", file])?;
    let mut replays = Vec::new();
    for _ in 0..setting.runs {
        replays.push(streams.run(["replay", file])?);
    }
    let (profile, said) = callgrind::Profile::of(streams, &["replay", file], None)?;
    let samples = said["samples"].as_f64().context("no samples")?;
    let time = |part: &str| {
        let of = |said: &Value| said["ns"][part].as_f64().unwrap_or(f64::NAN) / samples;
        median(replays.iter().map(of).collect())
    };
    let instructions = |function: &str| -> Result<f64> {
        let total = profile.total(&format!("streams::replay::{function}"))?;
        Ok(total as f64 / samples)
    };
    let all = median(
        live.iter()
            .map(|cost| cost.user_ns / cost.samples)
            .collect(),
    );
    let (decode, taken) = (time("decode"), time("steady"));
    let row = |what: &str, ns: f64, instructions: Option<f64>| {
        let instructions = instructions.map_or_else(|| "-".into(), |count| format!("{count:.0}"));
        vec![what.to_owned(), format!("{ns:.0}"), instructions]
    };
    let (decoding, taking) = (instructions("decode")?, instructions("take_steady")?);
    let rows = [
        row("to decode it", decode, Some(decoding)),
        row("to add it up", taken - decode, Some(taking - decoding)),
        row(
            "to wake up, to read the ring buffers, to look after processes",
            all - taken,
            None,
        ),
        row("all in, live", all, None),
    ];
    let (within, _) =
        callgrind::Profile::of(streams, &["replay", file], Some("replay::take_steady"))?;
    let costliest: Vec<Vec<String>> = within
        .costliest(COSTLIEST)
        .into_iter()
        .map(|(name, instructions)| {
            let own = instructions.own as f64 / samples;
            vec![format!("`{name}`"), format!("{own:.1}")]
        })
        .collect();
    Ok(format!(
        "User space, {} at {RATE_HZ} Hz and {FRAMES} frames live, the parts with a stream of records that is always the \
         same; {} allocations in {samples} samples of the steady state.\n\n{}\n\
         The functions that take most of adding up, without what they call:\n\n{}\n{}",
        USUAL.name(),
        said["allocations"],
        markdown(&["", "ns", "instructions"], &rows),
        markdown(&["", "instructions"], &costliest),
        ring_buffers(streams, file)?
    ))
}

/// What goes through the ring buffers, and what the verifier has to follow.
fn ring_buffers(streams: &Streams, file: &str) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let busy = Busy::start(directory.path())?;
    let pid = busy.pid().to_string();
    let recorded = streams.run(["record", file, "--seconds=4", "--rate=1000", "--pid", &pid])?;
    let weighed = streams.run(["weigh", file])?;
    let verified = recorded["verified_instructions"].as_object();
    let programs: Vec<Vec<String>> = verified
        .into_iter()
        .flatten()
        .map(|(program, count)| vec![format!("`{program}`"), count.to_string()])
        .collect();
    Ok(format!(
        "A sample of the steady state takes {:.1} bytes of a ring buffer, header included.\n\n\
         Instructions that the verifier follows:\n\n{}",
        weighed["bytes_per_sample"].as_f64().unwrap_or(f64::NAN),
        markdown(&["", "instructions"], &programs)
    ))
}
