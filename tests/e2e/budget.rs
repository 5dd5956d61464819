//! A budget of CPU time for the profiler itself.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::{Failures, is_within, twice},
    cpu::Recorder,
    environment::Turn,
    interpreters::{self, Interpreter},
    profiler::Profiler,
    speedscope::Speedscope,
    target::Target,
};

const INTERPRETERS: [&str; 3] = ["3.8.18", "3.12.1", "forky-3.14"];
/// The budget: 1 % of a core.
const CORES: f64 = 0.01;

/// Two busy programs for each CPU.
fn busy() -> Result<Vec<Target>> {
    let interpreters: Vec<Interpreter> = interpreters::required()?
        .into_iter()
        .filter(|interpreter| INTERPRETERS.contains(&interpreter.name.as_str()))
        .collect();
    let count = 2 * thread::available_parallelism()?.get();
    interpreters
        .iter()
        .cycle()
        .take(count)
        .map(|interpreter| Target::start(interpreter, "split_70_30.py", [] as [&str; 0]))
        .collect()
}

/// Makes sure that a budget of 1 % of a core holds over ten seconds at a rate that takes more, by the kernel's own
/// account of the profiler, that totals and shares stay right, and that the person is told how far the rate was
/// lowered.
#[test]
fn it_holds() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    twice(|| {
        let targets = busy()?;
        let running = Profiler::of(&targets, "10khz", "12s")
            .args(["--max-overhead", "1%"])
            .format("speedscope")
            .start()?;
        let profiler = running.pid();
        let pids: Vec<u32> = targets.iter().map(Target::pid).chain([profiler]).collect();
        let recorder = Recorder::start(&pids);
        let run = running.wait()?.succeeded()?;
        let recorded = recorder.finish()?;
        let stats = run.stats()?;
        let budget = stats.budget.as_ref().context("no budget in the ledger")?;
        println!("{budget:?}, {:?}", stats.profiler);

        // Ten seconds, without what it took to begin.
        let begin = stats.started + Duration::from_millis(1500);
        let own = recorded.between(profiler, begin, begin + Duration::from_secs(10))?;
        let programs = stats.profiler.bpf_s.context("programs are not counted")?;
        let spent = own + programs * 10.0 / stats.duration_s;
        ensure!(
            spent <= CORES * 10.0 * 1.1,
            "{spent:.4} s were spent, of which {own:.4} s in user space"
        );
        ensure!(
            budget.kept
                && is_within(budget.cores, CORES, 1e-9)
                && budget.spent_s <= CORES * budget.duration_s * 1.1,
            "{budget:?}"
        );
        ensure!(
            budget.lowered_s > 0.0
                && budget.lowered_hz < Some(10_000.0)
                && run.stderr.contains("The rate was lowered to")
                && run.stderr.contains("1 % of a core"),
            "{budget:?}\n{}",
            run.stderr
        );
        ensure!(stats.rate_hz == 10_000, "{} Hz", stats.rate_hz);

        let profile = Speedscope::parse(&run.output()?)?;
        let mut failures = Failures::new();
        for target in &targets {
            let truth = recorded.between(target.pid(), stats.started, stats.ended())?;
            let weight = stats.process(target.pid())?.sampled_s;
            failures.require(
                &target.name,
                is_within(weight, truth, 0.02),
                format!("samples weigh {weight:.3} s of {truth:.3} s"),
            );
            let share = profile.of_process(target.pid()).share_under("seventy");
            println!("{}: {weight:.3} s of {truth:.3} s, {share:.3}", target.name);
            failures.require(
                &target.name,
                (share - 0.7).abs() <= 0.03,
                format!("seventy takes {share:.3}"),
            );
        }
        failures.finish()
    })
}

/// Makes sure that a rate that the budget allows for is left alone, and that this is said.
#[test]
fn it_is_not_needed() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let targets = busy()?;
    let run = Profiler::of(&targets, "99", "3s")
        .args(["--max-overhead", "50%host"])
        .run()?
        .succeeded()?;
    let budget = run.stats()?.budget.clone().context("no budget")?;
    ensure!(budget.kept && budget.lowered_s == 0.0, "{budget:?}");
    ensure!(
        run.stderr.contains("had not to be lowered") && run.stderr.contains("50 % of the host"),
        "{}",
        run.stderr
    );
    Ok(())
}
