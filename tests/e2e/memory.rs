//! The bound of memory.

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::{Failures, is_within, number},
    cpu::Recorder,
    environment::Turn,
    interpreters::{self, Interpreter},
    profiler::{Profiler, Run},
    target::Target,
};

const INTERPRETERS: [&str; 2] = ["3.8.18", "3.12.1"];
/// Frames of the stacks: near to as many as Python allows, so that there is no room for those of some seconds.
const DEPTH: &str = "900";
/// The least bound that there is, in bytes.
const BOUND: (&str, u64) = ("64m", 64 << 20);
const MARK: &str = "[dropped: memory bound]";

/// Programs of endless functions and stacks, and what was recorded of them.
fn record(arguments: &[&str], duration: &str) -> Result<(Vec<Target>, Run, Failures)> {
    let interpreters: Vec<Interpreter> = interpreters::required()?
        .into_iter()
        .filter(|interpreter| INTERPRETERS.contains(&interpreter.name.as_str()))
        .collect();
    let targets = interpreters
        .iter()
        .map(|interpreter| Target::start(interpreter, "endless_stacks.py", [DEPTH]))
        .collect::<Result<Vec<_>>>()?;
    let pids: Vec<u32> = targets.iter().map(Target::pid).collect();
    let recorder = Recorder::start(&pids);
    let run = Profiler::of(&targets, "1khz", duration)
        .args(arguments)
        .run()?
        .succeeded()?;
    let recorded = recorder.finish()?;
    let stats = run.stats()?;
    println!(
        "{:?}\n{:?}\n{:?}",
        stats.memory, stats.profiler, stats.samples
    );
    let mut failures = Failures::new();
    for target in &targets {
        let truth = recorded.between(target.pid(), stats.started, stats.ended())?;
        let weight = stats.process(target.pid())?.sampled_s;
        failures.require(
            &target.name,
            is_within(weight, truth, 0.02),
            format!("samples weigh {weight:.3} s of {truth:.3} s"),
        );
    }
    Ok((targets, run, failures))
}

/// Makes sure that a recording of endless functions and stacks stays within its bound, all that is written at the end
/// included; that samples, time and the share of what is met all the time stay right; and that what was dropped is
/// counted, marked and told.
#[test]
fn it_holds() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let (targets, run, mut failures) = record(&["--max-memory", BOUND.0], "8s")?;
    let stats = run.stats()?;
    let profile = run.collapsed()?;
    for target in &targets {
        // What a sample of a deep stack takes is time in which no other is taken.
        let share = profile.of_process(target.pid()).share_under("constant");
        println!("{}: {share:.3}", target.name);
        failures.require(
            &target.name,
            (share - 0.5).abs() <= 0.03,
            format!("constant takes {share:.3}"),
        );
    }
    let memory = stats.memory;
    failures.require(
        "memory",
        stats.profiler.rss_peak_bytes <= BOUND.1 && memory.bound_bytes == BOUND.1,
        format!("{} bytes were resident", stats.profiler.rss_peak_bytes),
    );
    failures.require(
        "the ledger",
        memory.dropped_stacks > 100 && memory.dropped_functions > 100,
        format!("{memory:?}"),
    );
    let dropped = profile.samples_where(|stack| stack.names().any(|name| name == MARK));
    failures.require(
        "the file",
        dropped == memory.dropped_samples && dropped > 0,
        format!("{dropped} samples under the mark, {memory:?}"),
    );
    // What was dropped is some of the half that never comes again.
    let share = memory.dropped_s
        / stats
            .processes
            .iter()
            .map(|process| process.sampled_s)
            .sum::<f64>();
    let count = number(dropped) / number(stats.samples.delivered);
    failures.require(
        "what was dropped",
        share > 0.0 && share < 0.53 && is_within(count, share, 0.2),
        format!("{share:.3} of the time, {count:.3} of the samples"),
    );
    failures.require(
        "the summary",
        run.stderr.contains("were dropped to stay within 64 MB")
            && run.stderr.contains("--max-memory 128MB"),
        &run.stderr,
    );
    failures.finish()
}

/// Makes sure that where there is room, nothing is dropped, and nothing is said.
#[test]
fn there_is_room() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let (_targets, run, failures) = record(&[], "2s")?;
    failures.finish()?;
    let memory = run.stats()?.memory;
    ensure!(
        memory.dropped_stacks == 0
            && memory.dropped_samples == 0
            && !run.stderr.contains("dropped"),
        "{memory:?}\n{}",
        run.stderr
    );
    run.collapsed()?
        .samples_where(|stack| stack.names().any(|name| name.starts_with("made_")))
        .checked_sub(1)
        .context("no function that was made")?;
    Ok(())
}
