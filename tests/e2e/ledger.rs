//! Rates, and the ledger where samples are lost. (That it balances is checked after every run of every test.)

use anyhow::{Result, ensure};
use end_to_end::{
    check::{Failures, is_within, number},
    cpu::Recorder,
    environment::Turn,
    interpreters,
    profiler::Profiler,
    target::Target,
};

/// Makes sure that at each rate the samples add up to the CPU time that the kernel accounts, and none is lost.
#[test]
fn rates() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let target = Target::start(&interpreters::last()?, "busy.py", ["30"])?;
    let mut failures = Failures::new();
    for (asked, rate) in [("99", 99_u32), ("1khz", 1000), ("10khz", 10_000)] {
        let recorder = Recorder::start(&[target.pid()]);
        let run = Profiler::of([&target], asked, "5s").run()?.succeeded()?;
        let recorded = recorder.finish()?;
        let stats = run.stats()?;
        failures.require(
            asked,
            stats.rate_hz == u64::from(rate),
            format!("{} Hz", stats.rate_hz),
        );
        let truth = recorded.between(target.pid(), stats.started, stats.ended())?;
        let weight = stats.process(target.pid())?.sampled_s;
        failures.require(
            asked,
            is_within(weight, truth, 0.02),
            format!("samples stand for {weight:.3} s of {truth:.3} s"),
        );
        // Wider: a hypervisor that takes the CPU away takes samples with it, whose time the next ones stand for.
        let count = number(stats.samples.delivered) / f64::from(rate);
        failures.require(
            asked,
            is_within(count, truth, 0.2),
            format!("{count:.3} s by their number, of {truth:.3} s"),
        );
        let lost = &stats.samples.lost;
        failures.require(asked, lost.is_empty(), format!("lost {lost:?}"));
    }
    failures.finish()
}

/// Makes sure that a ring buffer that is too small loses samples under that reason, says so to the user, and that
/// the ledger balances all the same.
#[test]
fn a_ring_buffer_too_small() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let interpreter = interpreters::last()?;
    let targets = ["line_sites.py", "reused_code.py"]
        .map(|program| Target::start(&interpreter, program, [] as [&str; 0]));
    let targets = targets.into_iter().collect::<Result<Vec<_>>>()?;
    let run = Profiler::of(&targets, 10_000, "3s")
        .args(["--ring-buffer", "4k"])
        .run()?
        .succeeded()?;
    let samples = &run.stats()?.samples;
    ensure!(samples.without_room() > 0, "nothing was lost: {samples:?}");
    ensure!(
        run.stderr.contains("ring buffer was full"),
        "the user is not told:\n{}",
        run.stderr
    );
    Ok(())
}
