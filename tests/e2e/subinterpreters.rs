//! Several interpreters in one process: with a GIL of their own and without.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::{Failures, number, paths, truths},
    collapsed::{Collapsed, Stack},
    environment::Turn,
    interpreters,
    profiler::Profiler,
    target::Target,
};

const RATE_HZ: u32 = 1000;
/// How far a function's share of the samples may be from its share of the CPU time.
const TOLERANCE: f64 = 0.05;
/// What a stack reads where an interpreter runs that has no Python frame: while it compiles what it was given.
const NO_FRAME: &str = "[no Python frame]";

/// What alternates: by name, and whether the GIL is `own` or `shared`. Before 3.12 all interpreters share one.
const ALTERNATING: &[(&str, &str)] = &[
    ("3.8.18", "shared"),
    ("3.10.13", "shared"),
    ("3.11.7", "shared"),
    ("3.12.1", "own"),
    ("3.12.1", "shared"),
    ("3.13.0", "own"),
    ("forky-3.14", "own"),
    ("forky-3.15", "own"),
    ("forky-3.15", "shared"),
    ("3.14t", "own"),
];
/// Where code objects have versions (3.12+), by which they are told apart.
const SUCCESSIVE: &[(&str, &str)] = &[
    ("3.12.1", "own"),
    ("3.12.1", "shared"),
    ("3.13.0", "own"),
    ("forky-3.15", "own"),
    ("3.14t", "own"),
];
/// Targets at a time: more would hardly run on a few CPUs.
const TOGETHER: usize = 5;

/// Runs a program on each, some at a time under one run of the profiler, and checks each one's profile.
fn on_each(
    cases: &[(&str, &str)],
    program: &str,
    check: impl Fn(Target, Collapsed) -> Result<()>,
) -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut all = interpreters::required()?;
    all.extend(interpreters::required_builds()?);
    let mut failures = Failures::new();
    for cases in cases.chunks(TOGETHER) {
        let mut targets = Vec::new();
        for (name, gil) in cases {
            if let Some(interpreter) = all.iter().find(|one| one.name == *name) {
                targets.push(Target::spawn(interpreter, program, [gil])?);
            }
        }
        let targets = targets
            .into_iter()
            .map(Target::ready)
            .collect::<Result<Vec<_>>>()?;
        let run = Profiler::of(&targets, RATE_HZ, "5s").run()?.succeeded()?;
        let profile = run.collapsed()?;
        for (target, (_, gil)) in targets.into_iter().zip(cases) {
            let name = format!("{}, {gil} GIL", target.name);
            let own = profile.of_process(target.pid());
            failures.expect(name, check(target, own));
        }
    }
    failures.finish()
}

/// Makes sure that a thread which alternates between two interpreters is shown in the one that it is in, at every
/// sample, while another thread runs a third.
#[test]
fn alternating() -> Result<()> {
    on_each(ALTERNATING, "interpreters_alternating.py", alternates)
}

fn alternates(target: Target, mut profile: Collapsed) -> Result<()> {
    let known: Vec<Vec<String>> = target.fact("paths")?;
    let is_empty = |stack: &Stack| stack.names().eq([NO_FRAME]);
    let of_main = |stack: &Stack| stack.has("alternate") || stack.has("b1") || is_empty(stack);
    let all = profile.samples_where(of_main);
    let in_a = profile.samples_where(|stack| stack.has("a1"));
    let in_b = profile.samples_where(|stack| stack.has("b1"));
    profile.stacks.retain(|stack| !is_empty(stack));
    let unknown = paths::take_unknown(&mut profile);
    let bearable = truths::bearable(&target.fact::<String>("python")?, all);
    ensure!(unknown <= bearable, "{unknown} samples without a stack");
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
    on_each(SUCCESSIVE, "interpreters_successive.py", takes_turns)
}

fn takes_turns(target: Target, profile: Collapsed) -> Result<()> {
    let samples = |name: &str| profile.samples_where(|stack| stack.has(name));
    let (even, odd) = (samples("even"), samples("odd_"));
    ensure!(even > 20 && odd > 50, "{even} and {odd} samples");
    let spent: HashMap<String, f64> = serde_json::from_value(target.finish()?)?;
    share_is_right(number(even) / number(even + odd), "even", &spent)
}
