//! Hundreds of processes and a thousand threads at once, and more processes than there is room for.

use std::{thread, time::Duration};

use anyhow::Result;
use end_to_end::{
    check::{Failures, is_within},
    cpu::kernel_cpu_time,
    environment::Turn,
    interpreters,
    profiler::Profiler,
    target::Target,
};
use serde::Deserialize;

fn crowd(arguments: [&str; 4]) -> Result<Target> {
    Target::start(&interpreters::named("3.12.1")?, "crowd.py", arguments)
}

/// What `crowd.py` says when all have worked.
#[derive(Deserialize)]
struct Worked {
    young: Vec<u32>,
}

/// Makes sure that each of hundreds of processes, forked and executed, and one with a thousand threads, is in the
/// ledger as profiled, and that its samples add up to the CPU time that the kernel accounts to all of them.
#[test]
fn every_one_of_many() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut target = crowd(["300", "20", "1000", "0"])?;
    let children: Vec<u32> = target.fact("children")?;
    let mut running = Profiler::of_all(999, "120s").start()?;
    running.until_sampling()?;
    let used = || -> Result<f64> {
        let times: std::io::Result<Vec<f64>> =
            children.iter().map(|&pid| kernel_cpu_time(pid)).collect();
        Ok(times?.iter().sum())
    };
    let before = used()?;
    target.tell("go")?;
    target.said("worked")?;
    // The last ones go to sleep.
    thread::sleep(Duration::from_millis(500));
    let truth = used()? - before;
    let run = running.interrupted()?;
    let stats = run.stats()?;
    let mut failures = Failures::new();
    let (mut accounted, mut sampled) = (0.0, 0.0);
    for &pid in &children {
        let Some(process) = failures.expect(pid, stats.process(pid)) else {
            continue;
        };
        failures.require(pid, process.status == "profiled", &process.status);
        accounted += process.cpu_s.unwrap_or(0.0);
        sampled += process.sampled_s;
    }
    for (what, sum) in [("accounted", accounted), ("sampled", sampled)] {
        failures.require(
            what,
            is_within(sum, truth, 0.02),
            format!("{sum:.3} s of {truth:.3} s"),
        );
    }
    failures.finish()
}

/// Makes sure that where the map of processes is too small, each process that did not fit is in the ledger with the
/// reason, those that run already as those that are forked later, and that the user is told what to do.
#[test]
fn more_than_there_is_room_for() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let mut target = crowd(["40", "0", "0", "10"])?;
    let children: Vec<u32> = target.fact("children")?;
    // The parent is the busiest, and comes first: its forks are followed.
    let mut running = Profiler::new()
        .args(["-s", "-p", &target.pid().to_string()])
        .args(["--max-processes", "20"])
        .sampling(999, "120s")
        .start()?;
    running.until_sampling()?;
    target.tell("go")?;
    let worked: Worked = serde_json::from_value(target.said("worked")?)?;
    let run = running.interrupted()?;
    let stats = run.stats()?;
    let mut failures = Failures::new();
    let mut full = Vec::new();
    for &pid in children.iter().chain(&worked.young) {
        let Some(process) = failures.expect(pid, stats.process(pid)) else {
            continue;
        };
        if process.status.contains("the map of processes is full (20)") {
            full.push(pid);
            failures.require(pid, process.samples.taken == 0, "it has samples");
        } else {
            failures.require(pid, process.status == "profiled", &process.status);
        }
    }
    // 51 processes, of which 20 fit.
    failures.require(
        "full",
        full.len() == 31,
        format!("{} did not fit", full.len()),
    );
    let young = worked.young.iter().all(|pid| full.contains(pid));
    failures.require("forked later", young, "there was room");
    let told = run.stderr.contains("31 processes could not be profiled")
        && run.stderr.contains("make it larger with --max-processes");
    failures.require("the user", told, &run.stderr);
    failures.finish()
}
