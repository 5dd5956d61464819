//! A host on which no Python runs: what our profiler costs that waits for one.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    Setting,
    idle::RATE_HZ,
    profiler::{Profiler, Target},
    table::{markdown, median},
    usage::{self, Usage},
};
use crate::shell;

/// The profiler gets this long before it is measured, in seconds.
const SETTLE: u64 = 3;

/// Measures our profiler; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let cpus = thread::available_parallelism()?.get();
    let _busy = (0..cpus)
        .map(|_| Loop::start())
        .collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for rate in [RATE_HZ, 1_000] {
        let (mut cpu, mut bpf, mut resident) = (Vec::new(), Vec::new(), Vec::new());
        for run in 1..=setting.runs {
            eprintln!("bench: no Python at {rate} Hz, run {run}");
            let directory = tempfile::tempdir()?;
            let whole = setting.seconds + SETTLE + 1;
            let run = Profiler::Ours.start(
                &setting.binary,
                Target::Host,
                rate,
                whole,
                directory.path(),
            )?;
            thread::sleep(Duration::from_secs(SETTLE));
            let before = Usage::of(run.pid())?;
            thread::sleep(Duration::from_secs(setting.seconds));
            let used = Usage::of(run.pid())?.since(&before);
            let kib = usage::resident_peak_kib(run.pid()).context("it has ended too soon")?;
            let percent = |ns: u64| ns as f64 / 1e7 / setting.seconds as f64;
            cpu.push(percent(used.cpu_ns + used.bpf_ns));
            bpf.push(percent(used.bpf_ns));
            resident.push(kib as f64 * 1024.0 / 1e6);
        }
        rows.push(vec![
            format!("{}, {rate} Hz", Profiler::Ours.name()),
            format!("{:.3} %", median(cpu)),
            format!("{:.3} %", median(bpf)),
            format!("{:.1} MB", median(resident)),
        ]);
    }
    Ok(markdown(
        &[
            "",
            "CPU, of one core",
            "of this, BPF",
            "resident memory, peak",
        ],
        &rows,
    ))
}

/// A shell that is busy with nothing.
struct Loop(Child);

impl Loop {
    fn start() -> Result<Self> {
        let mut command = Command::new("sh");
        command
            .args(["-c", "while :; do :; done"])
            .stdin(Stdio::null());
        let child = shell::dies_with_us(&mut command).spawn();
        Ok(Self(child.context("cannot run sh")?))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
