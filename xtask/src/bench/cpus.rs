//! What user space needs where there are many more CPUs than here: streams of records of all of this host's CPUs, taken
//! in many times at once as if each were of other CPUs and processes.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    Setting,
    table::{markdown, median},
};
use crate::{paths, shell, streams::Streams};

const CPUS: usize = 192;
const RATES_HZ: [u32; 2] = [99, 1_000];
/// How long a stream is.
const SECONDS: u64 = 20;
/// The programs get this long to import what they want.
const STARTING: Duration = Duration::from_secs(4);

/// Measures the user side of our profiler; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let streams = Streams::build()?;
    let directory = tempfile::tempdir()?;
    let here = thread::available_parallelism()?.get();
    let copies = (CPUS / here).to_string();
    let mut rows = Vec::new();
    for rate in RATES_HZ {
        eprintln!("bench: {CPUS} CPUs at {rate} Hz: recording {SECONDS} s of {here}");
        let file = directory.path().join(rate.to_string());
        let file = file.to_str().context("a path that is not UTF-8")?;
        record(&streams, file, rate, here)?;
        let replay = ["replay", file, "--copies", &copies];
        let mut said = Vec::new();
        for run in 1..=setting.runs {
            eprintln!("bench: {CPUS} CPUs at {rate} Hz: {copies} copies, run {run}");
            said.push(streams.run(replay)?);
        }
        let of = |half: usize, name: &str| {
            let of = |said: &Value| said["halves"][half][name].as_f64().unwrap_or(f64::NAN);
            median(said.iter().map(of).collect())
        };
        let finish = |said: &Value| said["finish_s"].as_f64().unwrap_or(f64::NAN);
        rows.push(vec![
            rate.to_string(),
            format!("{:.0}", of(1, "samples_per_second")),
            format!("{:.1} %", of(0, "cpu_per_second") * 100.0),
            format!("{:.1} %", of(1, "cpu_per_second") * 100.0),
            format!("{:.0} MB", of(0, "bytes_in_use") / 1e6),
            format!("{:.0} MB", of(1, "bytes_in_use") / 1e6),
            format!("{:.1} s", median(said.iter().map(finish).collect())),
        ]);
    }
    let half = SECONDS / 2;
    Ok(markdown(
        &[
            "rate, Hz",
            "samples/s",
            &format!("CPU, of one core, first {half} s"),
            &format!("next {half} s"),
            &format!("memory after {half} s"),
            &format!("after {SECONDS} s"),
            "to put the profile together",
        ],
        &rows,
    ))
}

/// A stream of as many busy programs as there are CPUs, each with some thousand stacks.
fn record(streams: &Streams, file: &str, rate: u32, cpus: usize) -> Result<()> {
    let programs = (0..cpus)
        .map(|_| Flights::start())
        .collect::<Result<Vec<_>>>()?;
    thread::sleep(STARTING);
    let mut words = vec![
        "record".to_owned(),
        file.to_owned(),
        format!("--seconds={SECONDS}"),
        format!("--rate={rate}"),
    ];
    words.extend(programs.iter().map(|one| format!("--pid={}", one.0.id())));
    streams.run(words).map(|_| ())
}

/// The example in README.md.
struct Flights(Child);

impl Flights {
    fn start() -> Result<Self> {
        let python: &Path = &paths::cache().join("venv-flights/bin/python");
        let mut command = Command::new(python);
        command
            .arg(paths::workspace().join("examples/flights.py"))
            .args(["--only", "rows", "--flights", "4000000"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = shell::dies_with_us(&mut command).spawn();
        let missing = || format!("no {}: cargo xtask setup provides it", python.display());
        Ok(Self(child.with_context(missing)?))
    }
}

impl Drop for Flights {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
