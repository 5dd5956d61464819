//! Every way in which a Python process can come to be, change, and end.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Context, Result, ensure};
use end_to_end::{
    check::{Failures, is_within, paths::UNREADABLE, twice},
    collapsed::{Collapsed, Stack},
    environment::{self, Turn},
    interpreters,
    profiler::{Profiler, Running},
    stats::{Process, Stats},
    target::{self, Target},
};
use serde_json::Value;

const RATE_HZ: u32 = 999;

/// A profiler of all Python that samples already: what starts from now on is young.
fn watching() -> Result<Running> {
    let mut running = Profiler::of_all(RATE_HZ, "120s").start()?;
    running.until_sampling()?;
    Ok(running)
}

fn cpu_s(result: &Value) -> Result<f64> {
    result["cpu_s"].as_f64().context("no CPU time")
}

/// All entries of a process id, in the order in which they came.
fn entries(stats: &Stats, pid: u32) -> Vec<&Process> {
    stats
        .processes
        .iter()
        .filter(|entry| entry.pid == pid)
        .collect()
}

/// Makes sure that children of multiprocessing are profiled from their first sample on, however they are started:
/// with their CPU time, and forked ones with no sample outside of Python.
#[test]
fn multiprocessing() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let running = watching()?;
    let mut targets = Vec::new();
    for name in ["3.8.18", "debian-3.11", "forky-3.14"] {
        for how in ["fork", "spawn", "forkserver"] {
            let arguments = [how, "0.4", "2"];
            let target = Target::spawn(
                &interpreters::named(name)?,
                "worker_processes.py",
                arguments,
            )?;
            targets.push((how, target));
        }
    }
    let mut children = Vec::new();
    for (how, target) in &targets {
        let result = target.said("result")?;
        let said: Vec<(u32, f64, f64)> = serde_json::from_value(result["children"].clone())?;
        children.extend(
            said.into_iter()
                .map(|child| (*how, target.name.clone(), child)),
        );
    }
    let run = running.interrupted()?;
    let profile = run.collapsed()?;
    let mut failures = Failures::new();
    for (how, name, (pid, begin, end)) in children {
        let own = profile.of_process(pid);
        let checked = run.stats()?.process(pid).and_then(|entry| {
            // It says its time when its work is done; ending takes some more.
            let used = entry.sampled_s;
            ensure!(
                (0.98 * end..end + 0.1).contains(&used),
                "{used:.3} s were seen of {end:.3} s: {entry:?}"
            );
            let work = own.share_under("work_in_child") * used;
            ensure!(
                is_within(work, end - begin, 0.08),
                "{work:.3} s of work were seen"
            );
            ensure!(how != "fork" || all_in_python(&own), "{own:?}");
            Ok(())
        });
        failures.expect(format!("{how}, {name}"), checked);
    }
    failures.finish()
}

/// Whether each stack begins in the program, save for a sample in a hundred that says that it does not know.
///
/// While the kernel gives the child a copy of a page that it shares with its parent, the page is not there for an
/// instant (`wp_page_copy`, Linux mm/memory.c): a sample may want to read a frame just then.
fn all_in_python(profile: &Collapsed) -> bool {
    let begins = |name| move |stack: &Stack| stack.names().next() == Some(name);
    let unreadable = profile.samples_where(begins(UNREADABLE));
    unreadable * 100 <= profile.samples()
        && profile.samples_where(begins("<module>")) + unreadable == profile.samples()
}

/// Makes sure that a process that is a 3.8, then a 3.12 and then a 3.14 in a root of its own has the right stacks as
/// each of them, and none of two.
#[test]
fn exec_into_another_python() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let program = environment::programs().join("exec_chain.py");
    let first = interpreters::named("3.8.18")?;
    let mut command = target::command(&first, "exec_chain.py")?;
    command.arg("0.8");
    for name in ["3.12.1", "forky-3.14"] {
        let next = interpreters::named(name)?;
        let inside = next
            .provide(&environment::programs())?
            .join("exec_chain.py");
        let words = next.command();
        command
            .arg("--")
            .arg(words.get_program())
            .args(words.get_args());
        command.arg(if next.root.is_some() {
            &inside
        } else {
            &program
        });
        command.arg("0.8");
    }
    let running = watching()?;
    let target = Target::of(&mut command, "a chain of interpreters")?;
    let mut stages: Vec<(String, String)> = Vec::new();
    for _ in 0..3 {
        let said = target.said("stage")?;
        let text = |name: &str| said[name].as_str().map(str::to_owned).context("no text");
        stages.push((text("version")?, text("python")?));
    }
    let used = cpu_s(&target.said("result")?)?;
    let run = running.interrupted()?;
    let profile = run.collapsed()?.of_process(target.pid());
    let entries = entries(run.stats()?, target.pid());
    ensure!(entries.len() == stages.len(), "{entries:#?}");
    let mut seen = 0.0;
    for (entry, (version, python)) in entries.iter().zip(&stages) {
        ensure!(
            entry.status == "profiled" && entry.python.as_deref() == Some(python),
            "{entry:?} is not {python}"
        );
        let of_stage = profile.samples_where(|stack| stack.has(&format!("middle_{version}")));
        ensure!(of_stage > 300, "{of_stage} samples of {python}");
        seen += entry.sampled_s;
    }
    for stack in &profile.stacks {
        ensure!(is_of_one(stack, &stages), "{stack:?}");
    }
    // To execute another program takes time that belongs to none of them.
    ensure!(
        is_within(seen, used, 0.03),
        "{seen:.3} s were seen of {used:.3} s"
    );
    Ok(())
}

/// Whether a stack holds functions of one stage, in the order of their calls and in that stage's file.
fn is_of_one(stack: &Stack, stages: &[(String, String)]) -> bool {
    let own: Vec<_> = stack
        .frames
        .iter()
        .filter(|frame| {
            ["outer_", "middle_", "inner_"]
                .iter()
                .any(|of| frame.name.starts_with(of))
        })
        .collect();
    own.is_empty()
        || stages.iter().any(|(version, _)| {
            let names = ["outer_", "middle_", "inner_"].map(|of| format!("{of}{version}"));
            let file = format!("chain_{version}.py");
            own.len() <= names.len()
                && own.iter().zip(names).all(|(frame, name)| {
                    frame.name == name && frame.file.as_deref() == Some(&*file)
                })
        })
}

/// Makes sure that a thousand threads of 4 ms each have their time in the profile, and no stack is another thread's.
#[test]
fn threads_that_come_and_go() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    let mut running = Vec::new();
    for name in ["3.9.18", "3.13.0"] {
        running.push(Target::start(
            &interpreters::named(name)?,
            "brief_threads.py",
            ["1000", "0.004"],
        )?);
    }
    let profiler = watching()?;
    for target in &mut running {
        target.tell("go")?;
    }
    let used = running
        .iter()
        .map(|target| cpu_s(&target.said("result")?))
        .collect::<Result<Vec<f64>>>()?;
    let run = profiler.interrupted()?;
    let profile = run.collapsed()?;
    for (target, used) in running.iter().zip(used) {
        let entry = run.stats()?.process(target.pid())?;
        failures.require(
            &target.name,
            is_within(entry.sampled_s, used, 0.02),
            format!("{:.3} s were seen of {used:.3} s", entry.sampled_s),
        );
        for stack in &profile.of_process(target.pid()).stacks {
            let mixed = stack.has("main_starts") && stack.has("thread_work");
            let torn = stack.has("thread_loop") && !stack.has("thread_work");
            failures.require(&target.name, !mixed && !torn, format!("{stack:?}"));
        }
    }
    failures.finish()
}

/// Makes sure that children that live for 15 ms have their CPU time in the profile, forked or executed.
#[test]
fn short_children() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut failures = Failures::new();
    for (how, least) in [("forked", 0.95), ("started", 0.95)] {
        failures.expect(how, twice(|| children_are_seen(how, least)));
    }
    failures.finish()
}

fn children_are_seen(how: &str, least: f64) -> Result<()> {
    let python = interpreters::named("debian-3.11")?;
    let running = watching()?;
    let target = Target::start(&python, "short_children.py", [how, "0.015", "100"])?;
    let used = cpu_s(&target.said("result")?)?;
    let run = running.interrupted()?;
    let of_children = run
        .stats()?
        .processes
        .iter()
        .filter(|entry| entry.ppid == target.pid());
    let seen: f64 = of_children.map(|entry| entry.sampled_s).sum();
    println!("{how}: {seen:.3} s of {used:.3} s");
    ensure!(
        (least * used..1.02 * used).contains(&seen),
        "{seen:.3} s were seen of {used:.3} s"
    );
    Ok(())
}

/// Makes sure that processes which have the same id one after the other are told apart: each has its own entry, and
/// its own time.
#[test]
fn ids_are_reused() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    const COUNT: usize = 4;
    let python = interpreters::named("3.12.1")?;
    let mut target = Target::start(&python, "reused_pid.py", ["0.5", &COUNT.to_string()])?;
    let running = watching()?;
    target.tell("go")?;
    let result = target.said("result")?;
    let child: u32 = serde_json::from_value(result["child"].clone())?;
    let run = running.interrupted()?;
    let entries = entries(run.stats()?, child);
    // The first one ended at once, to find out which id is free.
    ensure!((COUNT..=COUNT + 1).contains(&entries.len()), "{entries:#?}");
    for entry in entries.iter().rev().take(COUNT) {
        ensure!(is_within(entry.sampled_s, 0.5, 0.04), "{entry:?}");
    }
    let seen: f64 = entries.iter().map(|entry| entry.sampled_s).sum();
    let used = cpu_s(&result)?;
    ensure!(
        is_within(seen, used, 0.02),
        "{seen:.3} s were seen of {used:.3} s"
    );
    let mut met = BTreeSet::new();
    for stack in &run.collapsed()?.of_process(child).stacks {
        let of: Vec<&str> = stack
            .names()
            .filter(|name| name.starts_with("child_"))
            .collect();
        ensure!(of.len() <= 1, "{stack:?}");
        met.extend(of.into_iter().map(str::to_owned));
    }
    ensure!(met.len() == COUNT, "{met:?}");
    Ok(())
}

/// Makes sure that a launched program which runs an interpreter by the dynamic loader, as a script may, is found: the
/// program that the kernel executes is the loader.
#[test]
fn run_by_the_loader() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut command = Command::new("/lib64/ld-linux-x86-64.so.2");
    command
        .arg(interpreters::named("debian-3.11")?.executable)
        .args(["-c", "x = 0\nwhile x < 10_000_000: x += 1"]);
    let run = Profiler::new()
        .args(["-r", &RATE_HZ.to_string()])
        .launching(&command)
        .run()?
        .succeeded()?;
    let share = run.collapsed()?.share_under("<module>");
    ensure!(share > 0.7, "{share}: {}", run.stderr);
    Ok(())
}
