//! 2,000 mostly idle processes with 5,000 threads: what our profiler costs. The others are not made for so many.

use std::time::Duration;

use anyhow::Result;

use super::{
    Setting,
    idle::{Cost, RATE_HZ, cost},
    profiler::Profiler,
    table::{markdown, median},
    target::Crowd,
};

const CROWD: Crowd = Crowd {
    children: 2_000,
    executed: 100,
    threads: 3_000,
    pause: Duration::from_secs(2),
};
/// Our profiler gets this long before it is measured, in seconds.
const SETTLE: u64 = 6;
/// How long it is measured at least, in seconds: what it does once in a few seconds is to be in.
const SECONDS: u64 = 20;

/// Measures; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let setting = Setting {
        seconds: setting.seconds.max(SECONDS),
        binary: setting.binary.clone(),
        runs: setting.runs,
    };
    let mut costs = Vec::new();
    for run in 1..=setting.runs {
        eprintln!("bench: {} processes, run {run}", CROWD.children);
        costs.push(cost(&setting, Profiler::Ours, CROWD, SETTLE)?);
    }
    let of = |value: fn(&Cost) -> f64| median(costs.iter().map(value).collect());
    let row = vec![
        format!("{}, {RATE_HZ} Hz", Profiler::Ours.name()),
        format!("{:.2} %", of(|cost| cost.cpu + cost.bpf)),
        format!("{:.2} %", of(|cost| cost.bpf)),
        format!("{:.1} MB", of(|cost| cost.resident_mb)),
        format!("{:.1} MB", of(|cost| cost.maps_mb)),
    ];
    Ok(markdown(
        &[
            "",
            "CPU, of one core",
            "of this, BPF",
            "resident memory, peak",
            "BPF maps",
        ],
        &[row],
    ))
}
