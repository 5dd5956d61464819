//! 500 processes that run already: how soon a profiler begins, and what it takes to know them all.

use std::time::Duration;

use anyhow::Result;

use super::{
    Setting,
    idle::first,
    profiler::ALL,
    table::{markdown, median},
    target::Crowd,
};

/// Some of them are started anew, so that they have libraries mapped at places of their own.
const CROWD: Crowd = Crowd {
    children: 500,
    executed: 50,
    threads: 0,
    pause: Duration::from_secs(1),
};
/// How long a profiler runs, in seconds: py-spy takes its time.
const SECONDS: u64 = 12;

/// Measures all profilers; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let mut rows = Vec::new();
    for profiler in ALL {
        let mut firsts = Vec::new();
        for run in 1..=setting.runs {
            eprintln!(
                "bench: {} processes at the start: {}, run {run}",
                CROWD.children,
                profiler.name()
            );
            firsts.push(first(setting, profiler, CROWD, SECONDS)?);
        }
        let profiled = firsts.iter().map(|first| first.profiled).min().unwrap_or(0);
        rows.push(vec![
            profiler.name().to_owned(),
            format!(
                "{:.0} ms",
                median(firsts.iter().map(|first| first.milliseconds).collect())
            ),
            format!(
                "{:.2} s",
                median(firsts.iter().map(|first| first.cpu_s).collect())
            ),
            if profiled > 0 {
                profiled.to_string()
            } else {
                "-".into()
            },
        ]);
    }
    Ok(markdown(
        &[
            "",
            "start to first sample",
            "CPU in the first 11 s",
            "processes under profile, fewest",
        ],
        &rows,
    ))
}

// As the table's head says.
const _: () = assert!(SECONDS == 12);
