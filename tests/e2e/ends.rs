//! What a process's end, or its exec into another program, leaves of what was sampled: all.

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::{Failures, is_within, number},
    environment::Turn,
    interpreters::{self, Interpreter},
    profiler::Profiler,
    target::Target,
};

const RATE_HZ: u32 = 999;
/// Short works are short: one sample weighs more, and a child's end is not under its function.
const TOLERANCE: f64 = 0.05;

fn on_each(check: impl Fn(&Interpreter) -> Result<()>) -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for interpreter in interpreters::required()? {
        failures.expect(&interpreter.name, check(&interpreter));
    }
    failures.finish()
}

/// Makes sure that the profiler ends when all that it was given ended, and that all of their work is in the
/// profile with its names, though there was nobody left to be asked for them.
#[test]
fn processes_that_end() -> Result<()> {
    on_each(|interpreter| {
        let mut parent = Target::start(interpreter, "short_children.py", ["waiting", "0.5", "4"])?;
        let children: Vec<u32> = parent.fact("children")?;
        let pids: Vec<String> = children.iter().map(u32::to_string).collect();
        let mut running = Profiler::new()
            .args([
                "-p",
                &pids.join(","),
                "--group-by",
                "process",
                "-r",
                &RATE_HZ.to_string(),
            ])
            .start()?;
        running.until_sampling()?;
        parent.tell("go")?;
        let cpu_s = parent.said("result")?["cpu_s"]
            .as_f64()
            .context("no CPU time")?;
        let run = running.wait()?.succeeded()?;
        let profile = run.collapsed()?;
        let work = profile.samples_where(|stack| stack.has("child_work"));
        let seen = number(work) / f64::from(RATE_HZ);
        ensure!(
            is_within(seen, cpu_s, TOLERANCE),
            "{seen} s of {cpu_s} s were seen"
        );
        for pid in children {
            let entry = run.stats()?.process(pid)?;
            ensure!(entry.status == "profiled", "{}", entry.status);
            ensure!(profile.of_process(pid).share_under("child_work") > 0.9);
        }
        Ok(())
    })
}

/// Makes sure that what a process did before it became something that is no Python is in the profile, and that
/// nothing is added to it.
#[test]
fn exec_into_another_program() -> Result<()> {
    on_each(|interpreter| {
        // Inside a root of its own an interpreter finds another sleep.
        let target = Target::start(interpreter, "exec_other.py", ["2", "/bin/sleep", "600"])?;
        let run = Profiler::of([&target], RATE_HZ, "4s").run()?.succeeded()?;
        let profile = run.collapsed()?;
        let before =
            number(profile.samples_where(|stack| stack.has("before_exec"))) / f64::from(RATE_HZ);
        // The profiler's own start takes some of it.
        ensure!((0.5..2.1).contains(&before), "{before} s of 2 s were seen");
        ensure!(profile.share_under("before_exec") > 0.95, "{profile:?}");
        Ok(())
    })
}

/// Makes sure that a process that executes another Python program is profiled before and after.
#[test]
fn exec_into_another_python() -> Result<()> {
    on_each(|interpreter| {
        let executable = interpreter.executable.to_string_lossy();
        let program = interpreter
            .provide(&end_to_end::environment::programs())?
            .join("busy.py");
        let program = program.to_string_lossy();
        let target = Target::start(
            interpreter,
            "exec_other.py",
            ["2", &executable, &program, "3"],
        )?;
        let run = Profiler::of([&target], RATE_HZ, "5s").run()?.succeeded()?;
        let profile = run.collapsed()?;
        for function in ["before_exec", "leaf"] {
            let samples = profile.samples_where(|stack| stack.has(function));
            ensure!(
                samples > 300,
                "{samples} samples in {function}\n{}",
                run.stderr
            );
        }
        let mixed = profile.samples_where(|stack| stack.has("before_exec") && stack.has("leaf"));
        ensure!(mixed == 0, "{mixed} samples of two programs at once");
        Ok(())
    })
}
