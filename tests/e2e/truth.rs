//! Profiles of programs whose truth is known, on every interpreter, at 1 kHz for 5 s.

use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    cgroups::{self, Cgroup},
    check::{Failures, is_within, names, number, reused, sites, truths, twice},
    collapsed::Stack,
    environment::Turn,
    interpreters::{self, Interpreter},
    profiler::Profiler,
    speedscope::Speedscope,
    target::Target,
    together::{self, Profiled, Set, Together},
};

/// Below so many samples a check says nothing.
const LEAST_SAMPLES: u64 = 300;

/// Runs a check on one program, on every interpreter.
fn on_each(set: Set, program: &str, check: impl Fn(&Profiled) -> Result<()>) -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for (interpreter, together) in together::runs(set)? {
        let checked = together.and_then(|together| {
            let profiled = together.program(program)?;
            let samples = profiled.profile.samples();
            ensure!(samples >= LEAST_SAMPLES, "only {samples} samples");
            check(profiled)
        });
        failures.expect(format!("{program} on {}", interpreter.name), checked);
    }
    failures.finish()
}

fn paths_are_kept(profiled: &Profiled) -> Result<()> {
    let python: String = profiled.fact("python")?;
    let bearable = truths::bearable(&python, profiled.profile.samples());
    truths::paths(profiled, bearable)
}

/// Makes sure that no stack mixes two call chains that alternate, or shows one out of order.
#[test]
fn impossible_stacks() -> Result<()> {
    on_each(Set::Stacks, "alternating.py", paths_are_kept)
}

/// Makes sure that the frames of generators and coroutines stand under the consumer that advances them.
#[test]
fn generators() -> Result<()> {
    on_each(Set::Stacks, "generators.py", paths_are_kept)
}

/// Makes sure that functions that are made, run and freed at the same addresses are not taken for one another,
/// in name or line.
#[test]
fn reused_code() -> Result<()> {
    on_each(Set::Stacks, "reused_code.py", |profiled| {
        let impossible = reused::impossible(&profiled.profile);
        ensure!(impossible.samples == 0, "{impossible:#?}");
        let inside = profiled.profile.share_under("make_and_run");
        ensure!(
            inside > 0.9,
            "only {inside} of the time in functions that are made"
        );
        Ok(())
    })
}

/// Makes sure that no frame is on a wrong line, over hundreds of call sites in all kinds of statements.
#[test]
fn call_sites() -> Result<()> {
    on_each(Set::Lines, "line_sites.py", truths::call_sites)
}

/// Makes sure that a function that takes 70 % of the CPU time reads 70 %, give or take 3 points.
#[test]
fn split() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for (interpreter, together) in together::runs(Set::Lines)? {
        // Counts of samples are a matter of chance, and where ticks come late, as in an emulator, of more than
        // that. Where they are not near enough, what the samples weigh decides: that is the time.
        let checked = together.and_then(shares_are_split).or_else(|first| {
            twice(|| times_are_split(&interpreter)).with_context(|| format!("{first:#}"))
        });
        failures.expect(&interpreter.name, checked);
    }
    failures.finish()
}

fn times_are_split(interpreter: &Interpreter) -> Result<()> {
    let target = Target::start(interpreter, "split_70_30.py", [] as [&str; 0])?;
    let run = Profiler::of([&target], "1khz", "5s")
        .format("speedscope")
        .run()?
        .succeeded()?;
    let profile = Speedscope::parse(&run.output()?)?;
    for (function, truth) in [("seventy", 0.7), ("thirty", 0.3)] {
        let share = profile.share_under(function);
        println!("{function} takes {share:.3}");
        ensure!((share - truth).abs() <= 0.03, "{function} takes {share:.3}");
    }
    Ok(())
}

fn shares_are_split(together: Arc<Together>) -> Result<()> {
    let profile = &together.program("split_70_30.py")?.profile;
    let samples = profile.samples();
    ensure!(samples >= LEAST_SAMPLES, "only {samples} samples");
    for (function, truth) in [("seventy", 0.7), ("thirty", 0.3)] {
        let share = profile.share_under(function);
        println!("{function} reads {share:.3}");
        ensure!((share - truth).abs() <= 0.03, "{function} reads {share:.3}");
    }
    Ok(())
}

/// Makes sure that threads that sleep get no samples.
#[test]
fn sleepers() -> Result<()> {
    on_each(Set::Lines, "sleepers.py", |profiled| {
        let asleep = |stack: &Stack| stack.names().any(|name| name.starts_with("sleep_in_"));
        let samples = profiled.profile.samples_where(asleep);
        ensure!(samples == 0, "{samples} samples of threads that sleep");
        let busy = profiled.profile.share_under("busy_main");
        ensure!(busy == 1.0, "the busy thread has a share of {busy}");
        Ok(())
    })
}

/// Makes sure that the samples of each process add up to the CPU time that the kernel accounted to it, by the
/// ledger's figure and by one that was recorded without the profiler's help.
#[test]
fn cpu_time() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for set in Set::ALL {
        for (interpreter, together) in together::runs(set)? {
            let of = |program: &str| format!("{program} on {}", interpreter.name);
            let Some(together) =
                failures.expect(format!("{set:?} on {}", interpreter.name), together)
            else {
                continue;
            };
            for program in set.programs() {
                failures.expect(of(program), truths::cpu_time(&together, program));
            }
        }
    }
    failures.finish()
}

/// Makes sure that a recursion of 2,500 frames shows whole, or with root and leaf and a mark that says how many
/// frames are missing.
#[test]
fn recursion() -> Result<()> {
    on_each(Set::Extremes, "recursion.py", |profiled| {
        let frames: u64 = profiled.fact("frames")?;
        for stack in &profiled.profile.stacks {
            let shown = stack.names().filter(|name| *name == "descend").count() as u64;
            let omitted: u64 = stack.names().filter_map(omitted).sum();
            ensure!(
                shown + omitted == frames
                    && stack.has("top")
                    && stack.names().last() == Some("bottom"),
                "{shown} frames shown and {omitted} omitted of {frames}, from {:?} to {:?}",
                stack.names().next(),
                stack.names().last()
            );
        }
        Ok(())
    })
}

/// How many frames the mark `[12 frames omitted]` stands for.
fn omitted(name: &str) -> Option<u64> {
    name.strip_prefix('[')?
        .strip_suffix(" frames omitted]")?
        .parse()
        .ok()
}

/// Makes sure that foreign, long and hostile names and file names come out whole and harmless, each with its
/// share of the time.
#[test]
fn names() -> Result<()> {
    on_each(Set::Extremes, "hostile_names.py", |profiled| {
        let functions: Vec<[Vec<u32>; 2]> = profiled.fact("functions")?;
        let mut shares = BTreeMap::new();
        for stack in &profiled.profile.stacks {
            // <module> > main > the function, which may call the clock.
            let Some(frame) = stack.frames.get(2) else {
                continue;
            };
            let known = functions.iter().position(|[name, file]| {
                names::shows(&frame.name, name)
                    && frame
                        .file
                        .as_deref()
                        .is_some_and(|shown| names::shows(shown, file))
            });
            let clock = frame.name == "thread_cpu";
            ensure!(
                known.is_some() || clock,
                "{frame:?} is no function of the program"
            );
            *shares.entry(known).or_insert(0) += stack.count;
        }
        let fair = number(profiled.profile.samples()) / number(functions.len() as u64);
        for (index, function) in functions.iter().enumerate() {
            let samples = number(shares.get(&Some(index)).copied().unwrap_or(0));
            ensure!(
                is_within(samples, fair, 0.5),
                "{samples} samples of {:?}, a fair share is {fair:.0}",
                shown(&function[0])
            );
        }
        Ok(())
    })
}

fn shown(points: &[u32]) -> String {
    points
        .iter()
        .map(|&point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Makes sure that lines are right in a function whose line table has more than 100 KiB.
#[test]
fn large_line_table() -> Result<()> {
    on_each(Set::Extremes, "large_line_table.py", |profiled| {
        let (wrong, looked_at) = sites::large(&profiled.profile, profiled.fact("modulus")?)?;
        ensure!(wrong.samples == 0, "{wrong:#?}");
        ensure!(
            looked_at * 10 > profiled.profile.samples() * 9,
            "only {looked_at} samples are in callees of the function"
        );
        Ok(())
    })
}

/// Makes sure that what is run together is told apart: every sample is in a process of the set, and the ledger
/// has each of them as profiled.
#[test]
fn processes_are_told_apart() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for (interpreter, together) in together::runs(Set::Stacks)? {
        let checked = together.and_then(|together| {
            let mut samples = 0;
            for program in Set::Stacks.programs() {
                let profiled = together.program(program)?;
                let entry = together.stats.process(profiled.pid)?;
                ensure!(entry.status == "profiled", "{program}: {}", entry.status);
                let python: String = profiled.fact("python")?;
                ensure!(
                    entry.python.as_deref() == Some(&*python),
                    "{:?} is not {python}",
                    entry.python
                );
                ensure!(entry.cmdline.contains(program), "{}", entry.cmdline);
                samples += profiled.profile.samples();
            }
            ensure!(samples == together.stats.samples.delivered);
            Ok(())
        });
        failures.expect(&interpreter.name, checked);
    }
    failures.finish()
}

/// Makes sure that a filter by cgroup, user and name lets pass what it says and nothing else, also what comes into a
/// cgroup that is made meanwhile: where the fields lie that it is decided by differs from kernel to kernel.
#[test]
fn filtered_by_cgroup() -> Result<()> {
    let (Some(_turn), Some(root)) = (Turn::take(), cgroups::root(None)) else {
        return Ok(());
    };
    let interpreter = interpreters::required()?
        .into_iter()
        .find(|one| one.root.is_none())
        .context("no interpreter")?;
    let busy = || Target::start(&interpreter, "busy.py", [] as [&str; 0]);
    let now = Cgroup::new(&root, "/pyprof-truth/now/below")?;
    let (inside, outside, comer) = (busy()?, busy()?, busy()?);
    now.add(inside.pid())?;
    let mut running = Profiler::new()
        .args([
            "--cgroup",
            "/pyprof-truth/now",
            "--cgroup",
            "/pyprof-truth/late",
        ])
        .args(["--user", "0", "--comm", "*", "-r", "499"])
        .start()?;
    running.until_sampling()?;
    let late = Cgroup::new(&root, "/pyprof-truth/late")?;
    late.add(comer.pid())?;
    thread::sleep(Duration::from_secs(2));
    let run = running.interrupted()?;
    let stats = run.stats()?;
    for (target, wanted) in [(&inside, true), (&comer, true), (&outside, false)] {
        let samples = run.collapsed()?.of_process(target.pid()).samples();
        ensure!(
            stats.process(target.pid()).is_ok() == wanted && (samples > 20) == wanted,
            "{samples} samples of {}, which is wanted: {wanted}\n{}",
            target.pid(),
            run.stderr
        );
    }
    Ok(())
}
