//! 100 busy processes, each in a cgroup of its own: what a filter for one of them costs, against all of them; and what
//! it costs everybody.

mod switches;

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    Setting,
    profiler::{Profiler, Target},
    table::{markdown, median},
    target::Busy,
    usage::Usage,
};

const CGROUPS: usize = 100;
const RATES_HZ: [u32; 3] = [99, 999, 9999];
/// The profiler gets this long before it is measured, in seconds.
const SETTLE: u64 = 3;
/// The cgroup above them.
const PARENT: &str = "pyprof-bench";

/// What the profiler used.
struct Cost {
    /// In milliseconds for each second of the recording.
    bpf: f64,
    user: f64,
    /// Samples a second.
    samples: f64,
}

/// Measures our profiler; returns a table.
pub fn measure(setting: &Setting) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let cgroups = Cgroups::new(CGROUPS)?;
    let mut busy = Vec::new();
    for index in 0..CGROUPS {
        let place = directory.path().join(index.to_string());
        fs::create_dir(&place)?;
        let one = Busy::spawn(&place)?;
        cgroups.add(index, one.pid())?;
        one.give_way()?;
        busy.push(one);
    }
    for one in &busy {
        one.until_it_counts()?;
    }
    let one = cgroups.path(CGROUPS / 2);
    let mut rows = Vec::new();
    for rate in RATES_HZ {
        let all = costs(setting, Target::Family(0), rate)?;
        let filtered = costs(setting, Target::Cgroup(&one), rate)?;
        let whole = all.bpf + all.user;
        for (name, cost) in [("all of them", all), ("one, by its cgroup", filtered)] {
            rows.push(vec![
                name.to_owned(),
                rate.to_string(),
                format!("{:.0}", cost.samples),
                format!("{:.3}", cost.bpf),
                format!("{:.3}", cost.user),
                format!("{:.3}", cost.bpf + cost.user),
                format!("{:.3}", (cost.bpf + cost.user) / whole),
            ]);
        }
    }
    let table = markdown(
        &[
            "",
            "rate, Hz",
            "samples/s",
            "BPF, ms/s",
            "user space, ms/s",
            "all in, ms/s",
            "of profiling all",
        ],
        &rows,
    );
    drop((busy, cgroups));
    Ok(format!(
        "{table}\nA switch between threads of two cgroups on one CPU, system calls and all:\n\n{}",
        switches::measure(setting)?
    ))
}

/// Medians over the runs.
fn costs(setting: &Setting, target: Target<'_>, rate: u32) -> Result<Cost> {
    let mut costs = Vec::new();
    for run in 1..=setting.runs {
        eprintln!("bench: {CGROUPS} busy cgroups: {target:?} at {rate} Hz, run {run}");
        costs.push(cost(setting, target, rate)?);
    }
    let of = |value: fn(&Cost) -> f64| median(costs.iter().map(value).collect());
    Ok(Cost {
        bpf: of(|cost| cost.bpf),
        user: of(|cost| cost.user),
        samples: of(|cost| cost.samples),
    })
}

fn cost(setting: &Setting, target: Target<'_>, rate: u32) -> Result<Cost> {
    let directory = tempfile::tempdir()?;
    let whole = setting.seconds + SETTLE + 1;
    let run = Profiler::Ours.start(&setting.binary, target, rate, whole, directory.path())?;
    thread::sleep(Duration::from_secs(SETTLE));
    let before = Usage::of(run.pid())?;
    thread::sleep(Duration::from_secs(setting.seconds));
    let used = Usage::of(run.pid())?.since(&before);
    let seconds = setting.seconds as f64;
    Ok(Cost {
        bpf: used.bpf_ns as f64 / 1e6 / seconds,
        user: used.cpu_ns as f64 / 1e6 / seconds,
        samples: run.finish()? as f64 / whole as f64,
    })
}

/// Cgroups of version 2, which go when this is dropped.
struct Cgroups {
    root: PathBuf,
    count: usize,
}

impl Cgroups {
    fn new(count: usize) -> Result<Self> {
        let root = version_2().context("no cgroup version 2 is mounted")?;
        let cgroups = Self { root, count };
        for index in 0..count {
            fs::create_dir_all(cgroups.directory(index))?;
        }
        Ok(cgroups)
    }

    fn directory(&self, index: usize) -> PathBuf {
        self.root.join(PARENT).join(index.to_string())
    }

    /// As /proc/PID/cgroup has it.
    fn path(&self, index: usize) -> String {
        format!("/{PARENT}/{index}")
    }

    /// The file by which processes are put into it.
    fn door(&self, index: usize) -> PathBuf {
        self.directory(index).join("cgroup.procs")
    }

    fn add(&self, index: usize, pid: u32) -> io::Result<()> {
        fs::write(self.door(index), pid.to_string())
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for index in 0..self.count {
            remove(&self.directory(index));
        }
        remove(&self.root.join(PARENT));
    }
}

/// Removes a cgroup whose processes have just been ended.
fn remove(directory: &Path) {
    for _ in 0..100 {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                thread::sleep(Duration::from_millis(10));
            }
            _ => return,
        }
    }
}

/// Where version 2 is mounted.
fn version_2() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| place.into())
    })
}
