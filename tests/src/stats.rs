//! The ledger that `--stats` writes.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Deserializer, de::Error};

/// The file.
#[derive(Clone, Debug, Deserialize)]
pub struct Stats {
    /// Version of the profiler.
    pub version: String,
    /// Kernel release.
    pub kernel: String,
    /// When recording began.
    #[serde(deserialize_with = "rfc3339")]
    pub started: SystemTime,
    /// How long it recorded, in seconds.
    pub duration_s: f64,
    /// Samples per second and CPU.
    pub rate_hz: u64,
    /// CPUs sampled.
    pub cpus: u32,
    /// The ledger over all processes.
    pub samples: Samples,
    /// What the profiler itself took.
    pub profiler: Profiler,
    /// How the profiler's budget of CPU time was kept, where it had one.
    pub budget: Option<Budget>,
    /// How the bound of memory was kept.
    pub memory: Memory,
    /// Every Python process that ran.
    pub processes: Vec<Process>,
}

/// How samples ended.
#[derive(Clone, Debug, Deserialize)]
pub struct Samples {
    /// How often the sampling program fired.
    pub taken: u64,
    /// Samples that are in the profile.
    pub delivered: u64,
    /// Samples that are not, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Delivered samples whose stack was cut.
    pub truncated: u64,
    /// Taken samples for each delivered one; None where none was delivered.
    pub scale: Option<f64>,
}

/// What the profiler itself took.
#[derive(Clone, Debug, Deserialize)]
pub struct Profiler {
    /// CPU time of the user side, in seconds.
    pub cpu_s: f64,
    /// Time of the BPF programs, in seconds; None where the kernel does not count it.
    pub bpf_s: Option<f64>,
    /// Peak resident memory, in bytes.
    pub rss_peak_bytes: u64,
}

/// How a bound of memory was kept.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Memory {
    /// What the profiler might take.
    pub bound_bytes: u64,
    /// Stacks that were dropped.
    pub dropped_stacks: u64,
    /// Functions that were dropped with them.
    pub dropped_functions: u64,
    /// Samples of such stacks.
    pub dropped_samples: u64,
    /// What these weigh, in seconds.
    pub dropped_s: f64,
}

/// How a budget was kept.
#[derive(Clone, Debug, Deserialize)]
pub struct Budget {
    /// What might be spent, in cores.
    pub cores: f64,
    /// For how long it was to be kept, in seconds.
    pub duration_s: f64,
    /// CPU time of the profiler and its programs in that time, in seconds.
    pub spent_s: f64,
    /// Whether that is within the budget and a tenth.
    pub kept: bool,
    /// How long the rate was lower than asked for, in seconds.
    pub lowered_s: f64,
    /// The mean rate in that time.
    pub lowered_hz: Option<f64>,
    /// The lowest rate.
    pub lowest_hz: f64,
}

/// One process.
#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    /// Process id on the host.
    pub pid: u32,
    /// Its parent.
    pub ppid: u32,
    /// The kernel's name of it.
    pub comm: String,
    /// Its command line.
    pub cmdline: String,
    /// CPython's version.
    pub python: Option<String>,
    /// The file that holds the interpreter.
    pub interpreter: Option<String>,
    /// Container, where it is in one: name, or short id.
    pub container: Option<String>,
    /// Its full id.
    pub container_id: Option<String>,
    /// What made it.
    pub runtime: Option<String>,
    /// The process's id in its own PID namespace.
    pub container_pid: Option<u32>,
    /// Pod.
    pub pod: Option<String>,
    /// systemd unit.
    pub unit: Option<String>,
    /// systemd slice.
    pub slice: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Path in the cgroup tree.
    pub cgroup: Option<String>,
    /// Its samples.
    pub samples: Samples,
    /// What its samples weigh, in seconds.
    pub sampled_s: f64,
    /// CPU time that the kernel accounted to it while profiled, in seconds.
    pub cpu_s: Option<f64>,
    /// `profiled`, or why not.
    pub status: String,
}

impl Stats {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it has not the form that is promised.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("the ledger has not the form that is promised")
    }

    /// When recording ended.
    #[must_use]
    pub fn ended(&self) -> SystemTime {
        self.started + Duration::from_secs_f64(self.duration_s)
    }

    /// The entry of a process. It is the last one where a process became another program.
    ///
    /// # Errors
    /// Where there is none.
    pub fn process(&self, pid: u32) -> Result<&Process> {
        self.processes
            .iter()
            .rfind(|process| process.pid == pid)
            .with_context(|| format!("process {pid} is not in the ledger"))
    }

    /// Checks that every sample is accounted for, over all and in each process.
    ///
    /// # Errors
    /// Says where it does not balance.
    pub fn check_balance(&self) -> Result<()> {
        self.samples.check_balance().context("over all")?;
        let (mut taken, mut delivered, mut truncated) = (0, 0, 0);
        let mut lost = BTreeMap::new();
        for process in &self.processes {
            let samples = &process.samples;
            samples
                .check_balance()
                .with_context(|| format!("process {}", process.pid))?;
            taken += samples.taken;
            delivered += samples.delivered;
            truncated += samples.truncated;
            for (reason, samples) in &samples.lost {
                *lost.entry(reason.clone()).or_insert(0) += samples;
            }
        }
        let sums = Samples {
            taken,
            delivered,
            lost,
            truncated,
            scale: self.samples.scale,
        };
        // A stack is sent before the first sample that names it.
        ensure!(
            !sums.lost.contains_key("unknown-stack"),
            "samples name stacks that were never sent: {sums:?}"
        );
        ensure!(
            sums.taken == self.samples.taken
                && sums.delivered == self.samples.delivered
                && sums.truncated == self.samples.truncated
                && sums.lost == self.samples.lost,
            "the processes' ledgers add up to {sums:?}, the whole one has {:?}",
            self.samples
        );
        Ok(())
    }
}

impl Samples {
    /// All samples that are not in the profile.
    #[must_use]
    pub fn lost_total(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Samples that were lost for want of room in a ring buffer.
    #[must_use]
    pub fn without_room(&self) -> u64 {
        ["ring-buffer-full", "stack-ring-buffer-full"]
            .iter()
            .filter_map(|reason| self.lost.get(*reason))
            .sum()
    }

    fn check_balance(&self) -> Result<()> {
        ensure!(
            self.taken == self.delivered + self.lost_total(),
            "taken {} is not delivered {} + lost {:?}",
            self.taken,
            self.delivered,
            self.lost
        );
        ensure!(
            self.truncated <= self.delivered,
            "more samples truncated than delivered: {self:?}"
        );
        Ok(())
    }
}

fn rfc3339<'de, D: Deserializer<'de>>(input: D) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(input)?;
    humantime::parse_rfc3339(&text).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(taken: u64, delivered: u64, lost: u64) -> Samples {
        Samples {
            taken,
            delivered,
            lost: [("ring-buffer-full".to_owned(), lost)].into(),
            truncated: 0,
            scale: None,
        }
    }

    /// Makes sure that the check finds a sample that is unaccounted for.
    #[test]
    fn an_unbalanced_ledger_is_found() {
        assert!(samples(5, 3, 2).check_balance().is_ok());
        assert!(samples(6, 3, 2).check_balance().is_err());
        assert!(samples(4, 3, 2).check_balance().is_err());
    }
}
