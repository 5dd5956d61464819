//! CPUs beside each other: their samples come apart, each by itself in order.

use std::{
    collections::BTreeMap, f64::consts::TAU, fs::File, io, os::unix::net::UnixStream, thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use end_to_end::{environment::Turn, interpreters, target::Target};
use profiler::{
    kernel::{
        event::{self, Event},
        period_ns,
    },
    recording::{
        Options, Recording,
        discovery::Scope,
        stream::{Entry, Stream, Writer},
        wait::Stop,
    },
};

/// So slow that neither the turns of a busy machine nor its interrupts make much of a period.
const RATE_HZ: u64 = 19;
const SECONDS: Duration = Duration::from_secs(3);

/// Binds a process to a CPU.
fn bind(pid: u32, cpu: usize) -> Result<()> {
    // SAFETY: a set of CPUs is valid as zeroes, and `cpu` is checked to be in it.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        ensure!(cpu < libc::CPU_SETSIZE as usize, "CPU {cpu}");
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(pid as i32, size_of_val(&set), &raw const set)
    };
    ensure!(done == 0, "CPU {cpu}: {}", io::Error::last_os_error());
    Ok(())
}

/// When samples of these processes were taken (ns), by CPU and in the order in which they came.
fn times(pids: &[u32]) -> Result<BTreeMap<u16, Vec<u64>>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("stream");
    let (pids, children) = (pids.iter().copied().collect(), false);
    let options = Options {
        duration: Some(SECONDS),
        ..Options::new(Scope::These { pids, children }, RATE_HZ)
    };
    let mut recording = Recording::begin(options, &[])?;
    recording.keep_stream(Some(Writer::new(File::create(&path)?, period_ns(RATE_HZ))));
    recording.discover()?;
    let (wakes, _signals) = UnixStream::pair()?;
    let flag = std::sync::Arc::default();
    recording.run(&Stop { flag, wakes }, None, |_| ())?;
    let stream = recording.keep_stream(None).context("no stream")?;
    stream.finish()?;
    let mut times: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
    for entry in Stream::open(&path)?.entries() {
        if let Entry::Record(record) = entry
            && let Event::Sample(sample) = event::parse(record)?
        {
            times.entry(sample.cpu).or_default().push(sample.time);
        }
    }
    Ok(times)
}

/// Where in the period most of these times are, as a part of it: the direction of the sum of their directions on a
/// circle, since a period ends where the next one begins.
fn phase(times: &[u64]) -> f64 {
    let period = period_ns(RATE_HZ);
    let angles = times
        .iter()
        .map(|time| TAU * (time % period) as f64 / period as f64);
    let (x, y) = angles.fold((0.0, 0.0), |(x, y), angle| {
        (x + angle.cos(), y + angle.sin())
    });
    (y.atan2(x) / TAU).rem_euclid(1.0)
}

/// Makes sure that two CPUs are not interrupted at the same instant, but far apart in the period, and that the samples
/// of each come in the order in which they were taken.
#[test]
fn apart_and_in_order() -> Result<()> {
    let Some(_turn) = Turn::take() else {
        return Ok(());
    };
    let interpreter = interpreters::required()?
        .into_iter()
        .find(|interpreter| interpreter.name == "3.12.1")
        .context("no 3.12.1")?;
    // Their turns are half a period apart, or half of what is shared out.
    let cpus = [0, thread::available_parallelism()?.get() / 2];
    let mut targets = Vec::new();
    for cpu in cpus {
        let target = Target::start(&interpreter, "busy.py", [] as [&str; 0])?;
        bind(target.pid(), cpu)?;
        targets.push(target);
    }
    let pids: Vec<u32> = targets.iter().map(Target::pid).collect();
    let times = times(&pids)?;
    let of = |cpu: usize| {
        let times = u16::try_from(cpu).ok().and_then(|cpu| times.get(&cpu));
        times.with_context(|| format!("CPU {cpu} took no samples"))
    };
    for cpu in cpus {
        let times = of(cpu)?;
        ensure!(times.len() > 20, "CPU {cpu}: only {} samples", times.len());
        ensure!(times.is_sorted(), "CPU {cpu}: not in order");
    }
    let phases = [phase(of(cpus[0])?), phase(of(cpus[1])?)];
    let apart = (phases[0] - phases[1]).abs();
    let apart = apart.min(1.0 - apart);
    println!("{phases:?}: {apart:.3} of a period apart");
    // Opened one after the other, they would be a thousandth apart.
    ensure!(apart > 0.1, "{phases:?}: {apart} of a period apart");
    Ok(())
}
