//! `-t`: threads with their names.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::Failures, collapsed::Collapsed, environment::Turn, interpreters, profiler::Profiler,
    target::Target,
};

/// Makes sure that each thread's samples stand under its name and its id, on every interpreter.
#[test]
fn threads_have_their_names() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let targets = interpreters::required()?
        .iter()
        .map(|interpreter| Target::start(interpreter, "threads_named.py", [] as [&str; 0]))
        .collect::<Result<Vec<_>>>()?;
    let run = Profiler::of(&targets, 499, "6s")
        .arg("-t")
        .run()?
        .succeeded()?;
    let profile = run.collapsed()?;
    let mut failures = Failures::new();
    for target in &targets {
        failures.expect(
            &target.name,
            check(target, &profile.of_process(target.pid())),
        );
    }
    failures.finish()
}

fn check(target: &Target, profile: &Collapsed) -> Result<()> {
    let names: BTreeSet<String> = target.fact("names")?;
    let tids = fs::read_dir(format!("/proc/{}/task", target.pid()))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().parse()?))
        .collect::<Result<BTreeSet<u32>>>()?;
    let mut seen = BTreeSet::new();
    for stack in &profile.stacks {
        let thread = stack.thread.as_ref().context("a stack without a thread")?;
        ensure!(
            tids.contains(&thread.id),
            "{thread:?} is no thread of the process"
        );
        if let Some(function) = stack.names().find_map(|name| name.strip_prefix("work_")) {
            ensure!(
                function == thread.name,
                "work_{function} is under {thread:?}"
            );
            seen.insert(thread.name.clone());
        }
    }
    ensure!(seen == names, "only {seen:?} of {names:?} have samples");
    Ok(())
}
