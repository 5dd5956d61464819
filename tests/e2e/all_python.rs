//! `--all-python`: every interpreter at once, what starts later, and what ends.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use end_to_end::{
    check::Failures, environment::Turn, interpreters, profiler::Profiler, stats::Stats,
    target::Target,
};

const RATE_HZ: u32 = 499;

/// A busy program on every interpreter.
fn busy() -> Result<Vec<Target>> {
    let targets = interpreters::required()?
        .iter()
        .map(|interpreter| Target::spawn(interpreter, "busy.py", ["20"]))
        .collect::<Result<Vec<_>>>()?;
    targets.into_iter().map(Target::ready).collect()
}

/// Whether the ledger has a process as a profiled one of the right version, with samples.
fn is_profiled(stats: &Stats, target: &Target) -> Result<()> {
    let entry = stats.process(target.pid())?;
    ensure!(entry.status == "profiled", "{}", entry.status);
    ensure!(entry.samples.delivered > 0, "no samples");
    let python: String = target.fact("python")?;
    ensure!(
        entry.python.as_deref() == Some(&*python),
        "{:?} is not {python}",
        entry.python
    );
    ensure!(entry.cmdline.contains("busy.py"), "{}", entry.cmdline);
    Ok(())
}

/// Makes sure that one run shows every Python process of the host, of every version, each with its own stacks,
/// and that processes that sleep get no samples.
#[test]
fn all_interpreters_at_once() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let targets = busy()?;
    let idle = Target::start(&interpreters::first()?, "idle.py", [] as [&str; 0])?;
    let run = Profiler::of_all(RATE_HZ, "5s").run()?.succeeded()?;
    let profile = run.collapsed()?;
    let mut failures = Failures::new();
    for target in &targets {
        failures.expect(&target.name, is_profiled(run.stats()?, target));
        let own = profile.of_process(target.pid());
        let levels = |wanted: usize| {
            own.samples_where(|stack| {
                stack.names().filter(|name| *name == "level").count() == wanted
            })
        };
        let whole = levels(21);
        failures.require(
            &target.name,
            whole > 0 && whole == own.samples(),
            format!("{whole} of {} samples show the whole stack", own.samples()),
        );
    }
    let asleep = profile.of_process(idle.pid()).samples();
    failures.require(&idle.name, asleep == 0, format!("{asleep} samples"));
    failures.finish()
}

/// Makes sure that the flame graph, which the program writes when nothing is said, shows every process.
#[test]
fn the_flame_graph_shows_every_process() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let targets = busy()?;
    let run = Profiler::of_all(RATE_HZ, "3s")
        .format("flamegraph")
        .run()?
        .succeeded()?;
    let svg = String::from_utf8(run.output()?)?;
    let mut failures = Failures::new();
    for target in &targets {
        let shown = svg.contains(&format!("(pid {})", target.pid()));
        failures.require(&target.name, shown, "not in the flame graph");
    }
    failures.finish()
}

/// Makes sure that processes that start while recording are profiled, and that those that end stay in it.
#[test]
fn processes_start_and_end() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let interpreters = interpreters::required()?;
    let ending = busy()?;
    let mut running = Profiler::of_all(RATE_HZ, "30s").start()?;
    running.until_sampling()?;
    let mut pids = BTreeMap::new();
    for target in ending {
        pids.insert(target.pid(), target.name.clone());
        // Dropped here: it ends.
    }
    let later = interpreters
        .iter()
        .map(|interpreter| Target::start(interpreter, "busy.py", ["20"]))
        .collect::<Result<Vec<_>>>()?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    let run = running.interrupted()?;
    let stats = run.stats()?;
    let mut failures = Failures::new();
    for target in &later {
        failures.expect(
            format!("{}, later", target.name),
            is_profiled(stats, target),
        );
    }
    for (pid, name) in pids {
        let ended = stats.process(pid).and_then(|entry| {
            ensure!(entry.status == "profiled", "{}", entry.status);
            ensure!(entry.samples.delivered > 0, "no samples");
            Ok(())
        });
        failures.expect(format!("{name}, ended"), ended);
    }
    failures.finish()
}
