//! What a switch from a thread of one cgroup to one of another takes while we sample: where the sampling event is
//! bound to a cgroup, the kernel looks at each of them whether the event is to run.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    super::{
        Setting,
        profiler::{Profiler, Target},
        table::{markdown, median},
        target::{self, Crowd, Idle},
    },
    Cgroups,
};
use crate::shell;

const ROUNDS: u32 = 100_000;
const RATES_HZ: [u32; 2] = [99, 999];
/// The profiler gets this long before it is measured.
const SETTLE: Duration = Duration::from_secs(2);
/// How long it records, in seconds: longer than all rounds take.
const WHOLE: u64 = 6;

/// Measures our profiler; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let cgroups = Cgroups::new(3)?;
    let (here, third) = (cgroups.path(0), cgroups.path(2));
    let idle = Idle::start(
        Crowd {
            children: 1,
            executed: 0,
            threads: 0,
            pause: Duration::from_secs(1),
        },
        false,
    )?;
    cgroups.add(2, idle.pid())?;
    let mut rows = Vec::new();
    for rate in RATES_HZ {
        for (name, target) in [
            ("nobody samples", None),
            ("everywhere", Some(Target::Family(0))),
            ("a third cgroup", Some(Target::Cgroup(&third))),
            ("one of the two", Some(Target::Cgroup(&here))),
        ] {
            let mut costs = Vec::new();
            for run in 1..=setting.runs {
                eprintln!("bench: switches between cgroups: {name} at {rate} Hz, run {run}");
                costs.push(cost(setting, &cgroups, target, rate)?);
            }
            rows.push(vec![
                name.to_owned(),
                rate.to_string(),
                format!("{:.0}", median(costs)),
            ]);
        }
    }
    Ok(markdown(
        &["what is sampled", "rate, Hz", "a switch, ns"],
        &rows,
    ))
}

/// In nanoseconds.
fn cost(
    setting: &Setting,
    cgroups: &Cgroups,
    target: Option<Target<'_>>,
    rate: u32,
) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    // It looks at how often the host switches when it starts: before these do.
    let run = target
        .map(|target| {
            let ours = Profiler::Ours;
            ours.start(&setting.binary, target, rate, WHOLE, directory.path())
        })
        .transpose()?;
    thread::sleep(SETTLE);
    let mut turns = target::python("turns.py")?;
    turns.arg(ROUNDS.to_string());
    turns.args([0, 1].map(|index| cgroups.door(index)));
    let said = shell::output(&mut turns).context("no turns were taken")?;
    if let Some(run) = run {
        run.finish()?;
    }
    Ok(said.parse()?)
}
