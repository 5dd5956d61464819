//! 70 children a second, each with 15 ms of work: how much of their CPU time is in the profile.

use std::{thread, time::Duration};

use anyhow::Result;

use super::{
    Setting,
    idle::RATE_HZ,
    profiler::{ALL, Profiler, Target},
    table::{markdown, median},
    target::{Birth, Storm},
};

/// Children per second.
const RATE: u32 = 70;
/// A profiler gets this long before the storm begins, in seconds.
const SETTLE: u64 = 2;

/// Measures all profilers; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let mut rows = Vec::new();
    for profiler in ALL {
        let mut row = vec![profiler.name().to_owned()];
        for birth in [Birth::Forked, Birth::Executed] {
            let mut shares = Vec::new();
            for run in 1..=setting.runs {
                eprintln!("bench: storm: {}, {birth:?}, run {run}", profiler.name());
                shares.push(share(setting, profiler, birth)?);
            }
            row.push(format!("{:.1} %", median(shares) * 100.0));
        }
        rows.push(row);
    }
    Ok(markdown(
        &[
            "",
            "CPU time of forked children in the profile",
            "of those executed anew",
        ],
        &rows,
    ))
}

/// The share of the children's CPU time that is in the profile.
fn share(setting: &Setting, profiler: Profiler, birth: Birth) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let mut storm = Storm::start(setting.seconds, RATE, birth)?;
    let family = Target::Family(storm.pid());
    let seconds = setting.seconds + 2 * SETTLE;
    let run = profiler.start(&setting.binary, family, RATE_HZ, seconds, directory.path())?;
    thread::sleep(Duration::from_secs(SETTLE));
    let truth = storm.run()?;
    eprintln!(
        "bench: storm: {} children, {:.2} s",
        truth.children, truth.cpu_s
    );
    run.finish()?;
    Ok(profiler.others_s(directory.path(), storm.pid(), RATE_HZ)? / truth.cpu_s)
}
