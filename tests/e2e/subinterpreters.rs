//! Several interpreters in one process: with a GIL of their own and without.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::{Failures, number, paths},
    collapsed::{Collapsed, Stack},
    environment::Turn,
    interpreters::{self, Interpreter},
    profiler::Profiler,
    target::Target,
};

const RATE_HZ: u32 = 1000;
/// How far a function's share of the samples may be from its share of the CPU time.
const TOLERANCE: f64 = 0.05;
/// What a stack reads where an interpreter runs that has no Python frame: while it compiles what it was given.
const NO_FRAME: &str = "[no Python frame]";

/// The interpreters with `_interpreters` or `_xxsubinterpreters`; before 3.12 all share one GIL.
fn with_interpreters() -> Result<Vec<(Interpreter, &'static [&'static str])>> {
    let mut all = interpreters::required()?;
    all.extend(
        interpreters::required_builds()?
            .into_iter()
            .filter(|build| build.name.ends_with('t')),
    );
    Ok(all
        .into_iter()
        // In Debian 3.11 the module is not built.
        .filter(|one| one.version >= (3, 8) && !one.name.starts_with("debian"))
        .map(|one| {
            let gils: &[&str] = if one.version >= (3, 12) {
                &["own", "shared"]
            } else {
                &["shared"]
            };
            (one, gils)
        })
        .collect())
}

/// Runs a program on every interpreter with every kind of GIL, under one run of the profiler; each target's profile.
fn profiles(program: &str, least: (u32, u32), duration: &str) -> Result<Vec<(Target, Collapsed)>> {
    let mut targets = Vec::new();
    for (interpreter, gils) in with_interpreters()? {
        for gil in gils {
            if interpreter.version >= least {
                targets.push(Target::spawn(&interpreter, program, [gil])?);
            }
        }
    }
    for target in &mut targets {
        target.facts = target.said("ready")?;
    }
    let run = Profiler::of(&targets, RATE_HZ, duration)
        .run()?
        .succeeded()?;
    let profile = run.collapsed()?;
    Ok(targets
        .into_iter()
        .map(|target| {
            let own = profile.of_process(target.pid());
            (target, own)
        })
        .collect())
}

/// Makes sure that a thread which alternates between two interpreters is shown in the one that it is in, at every
/// sample, while another thread runs a third.
#[test]
fn alternating() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for (target, profile) in profiles("interpreters_alternating.py", (3, 8), "10s")? {
        let name = target.name.clone();
        failures.expect(name, alternates(target, profile));
    }
    failures.finish()
}

fn alternates(target: Target, mut profile: Collapsed) -> Result<()> {
    let known: Vec<Vec<String>> = target.fact("paths")?;
    let is_empty = |stack: &Stack| stack.names().eq([NO_FRAME]);
    let of_main = |stack: &Stack| stack.has("alternate") || stack.has("b1") || is_empty(stack);
    let all = profile.samples_where(of_main);
    let in_a = profile.samples_where(|stack| stack.has("a1"));
    let in_b = profile.samples_where(|stack| stack.has("b1"));
    profile.stacks.retain(|stack| !is_empty(stack));
    let impossible = paths::impossible(&profile, &known);
    ensure!(impossible.samples == 0, "{impossible:#?}");
    ensure!(in_a > 50 && in_b > 20, "{in_a} and {in_b} samples");
    let spent: HashMap<String, f64> = serde_json::from_value(target.finish()?)?;
    share_is_right(number(in_a) / number(all), "a", &spent)
}

fn share_is_right(share: f64, name: &str, spent: &HashMap<String, f64>) -> Result<()> {
    let all: f64 = spent.values().sum();
    let truth = spent.get(name).context("nothing spent")? / all;
    println!("{name} has {share:.3} of the samples and took {truth:.3} of the time");
    ensure!(
        (share - truth).abs() <= TOLERANCE,
        "{name} has {share:.3} of the samples and took {truth:.3} of the time"
    );
    Ok(())
}

/// Makes sure that functions are not taken for those of an interpreter that lay at the same addresses before.
#[test]
fn successive() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for (target, profile) in profiles("interpreters_successive.py", (3, 12), "8s")? {
        let name = target.name.clone();
        failures.expect(name, takes_turns(target, &profile));
    }
    failures.finish()
}

fn takes_turns(target: Target, profile: &Collapsed) -> Result<()> {
    let samples = |name: &str| profile.samples_where(|stack| stack.has(name));
    let (even, odd) = (samples("even"), samples("odd_"));
    ensure!(even > 20 && odd > 50, "{even} and {odd} samples");
    let spent: HashMap<String, f64> = serde_json::from_value(target.finish()?)?;
    share_is_right(number(even) / number(even + odd), "even", &spent)
}
