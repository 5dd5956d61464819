//! Builds other than the usual: without the GIL, for debugging, linked with musl, and with the just-in-time compiler.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use end_to_end::{
    check::{Failures, sites, truths},
    environment::Turn,
    interpreters::{self, Interpreter},
    profiler::Profiler,
    target::{Target, command},
    together::{self, Profiled, Set, Together},
};

/// Below so many samples a check says nothing.
const LEAST_SAMPLES: u64 = 300;

/// Makes sure that each build is known as what it is, that no stack is impossible and no line wrong in any of its
/// threads, and that samples add up to the CPU time.
#[test]
fn every_build() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for build in interpreters::required_builds()? {
        let Some(together) = failures.expect(&build.name, together::run(Set::Builds, &build))
        else {
            continue;
        };
        for &program in Set::Builds.programs() {
            let of = format!("{program} on {}", build.name);
            failures.expect(&of, is_known(&together, program));
            failures.expect(&of, truths::cpu_time(&together, program));
            let checked = together
                .program(program)
                .and_then(|profiled| match program {
                    "alternating.py" => truths::paths(profiled, 0),
                    "line_sites.py" => truths::call_sites(profiled),
                    _ => generators_are_on_their_lines(profiled),
                });
            failures.expect(&of, checked);
        }
    }
    failures.finish()
}

fn is_known(together: &Together, program: &str) -> Result<()> {
    let profiled = together.program(program)?;
    let process = together.stats.process(profiled.pid)?;
    ensure!(process.status == "profiled", "{}", process.status);
    let python: String = profiled.fact("python")?;
    // What follows is the level of a pre-release, `rc2`.
    ensure!(
        process
            .python
            .as_deref()
            .is_some_and(|shown| shown.starts_with(&python)),
        "{:?} is not {python}",
        process.python
    );
    ensure!(
        profiled.profile.samples() >= LEAST_SAMPLES,
        "only {} samples",
        profiled.profile.samples()
    );
    Ok(())
}

fn generators_are_on_their_lines(profiled: &Profiled) -> Result<()> {
    let (wrong, looked_at) = sites::large(&profiled.profile, profiled.fact("modulus")?)?;
    ensure!(wrong.samples == 0, "{wrong:#?}");
    let samples = profiled.profile.samples();
    ensure!(
        looked_at * 10 > samples * 9,
        "only {looked_at} of {samples} samples are in generators"
    );
    let threads: BTreeSet<_> = profiled
        .profile
        .stacks
        .iter()
        .map(|stack| stack.names().next() == Some("<module>"))
        .collect();
    ensure!(threads.len() == 2, "only one of two threads has samples");
    Ok(())
}

/// Makes sure that stacks and lines are right where the interpreter compiles what runs often to machine code: Debian
/// builds 3.14 and 3.15 with that compiler, switched off.
#[test]
fn just_in_time() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for interpreter in interpreters::required()? {
        if interpreter.root.is_none() || interpreter.version < (3, 14) {
            continue;
        }
        failures.expect(&interpreter.name, compiled(&interpreter));
    }
    failures.finish()
}

fn compiled(interpreter: &Interpreter) -> Result<()> {
    let mut targets = Vec::new();
    for program in ["alternating.py", "line_sites.py"] {
        let mut command = command(interpreter, program)?;
        command.env("PYTHON_JIT", "1");
        let target = Target::of(&mut command, &format!("{program} on {}", interpreter.name))?;
        targets.push(target.ready()?);
    }
    let run = Profiler::of(&targets, together::RATE_HZ, together::DURATION)
        .run()?
        .succeeded()?;
    let profile = run.collapsed()?;
    let profiled = |target: &Target| Profiled {
        pid: target.pid(),
        facts: target.facts.clone(),
        profile: profile.of_process(target.pid()),
    };
    truths::paths(&profiled(&targets[0]), 0)?;
    truths::call_sites(&profiled(&targets[1]))
}
