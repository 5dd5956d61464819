//! The ledger as JSON: `--stats`. Its keys are stable; times are in seconds.

use std::{collections::BTreeMap, io::Write, time::UNIX_EPOCH};

use serde::Serialize;

use crate::{
    host::labels::Runtime,
    profile::{ledger::Ledger, model::Profile},
};

use super::{Error, memory};

/// What `status` says of a process that was profiled; otherwise it says why not.
const PROFILED: &str = "profiled";

#[derive(Serialize)]
struct Stats<'a> {
    version: &'a str,
    kernel: &'a str,
    /// RFC 3339, UTC.
    started: String,
    duration_s: f64,
    rate_hz: u64,
    cpus: u32,
    samples: Samples,
    profiler: Profiler,
    /// Null where there was none.
    budget: Option<Budget>,
    memory: Memory,
    processes: Vec<Process<'a>>,
}

/// How the profiler's budget was kept.
#[derive(Serialize)]
struct Budget {
    /// What might be spent, in cores.
    cores: f64,
    /// For how long it was to be kept: from when sampling was steady to its end.
    duration_s: f64,
    /// CPU time of the profiler and its programs in that time.
    spent_s: f64,
    /// Whether that is within the budget, and a tenth.
    kept: bool,
    /// How long the rate was lower than asked for.
    lowered_s: f64,
    /// The mean rate in that time; null where there was none.
    lowered_hz: Option<f64>,
    /// The lowest rate.
    lowest_hz: f64,
}

/// How the bound of memory was kept.
#[derive(Serialize)]
struct Memory {
    /// What the profiler might take.
    bound_bytes: u64,
    /// Stacks that were dropped, and functions that none of the others has.
    dropped_stacks: u64,
    dropped_functions: u64,
    /// Samples of such stacks, and what they weigh: they are in the profile, under a mark.
    dropped_samples: u64,
    dropped_s: f64,
}

#[derive(Serialize)]
struct Samples {
    taken: u64,
    delivered: u64,
    lost: BTreeMap<&'static str, u64>,
    truncated: u64,
    /// Taken samples for each delivered one: how far times are scaled up to make good for those that were lost. Null
    /// where none was delivered.
    scale: Option<f64>,
}

#[derive(Serialize)]
struct Profiler {
    cpu_s: f64,
    /// Null where the kernel does not count it.
    bpf_s: Option<f64>,
    rss_peak_bytes: u64,
}

#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    /// So many more of the same program, which have ended, are in this entry.
    others: u32,
    ppid: u32,
    comm: &'a str,
    cmdline: &'a str,
    python: Option<&'a str>,
    interpreter: Option<&'a str>,
    /// Name, or short id.
    container: Option<&'a str>,
    container_id: Option<&'a str>,
    runtime: Option<&'static str>,
    container_pid: Option<u32>,
    pod: Option<&'a str>,
    cgroup: Option<&'a str>,
    unit: Option<&'a str>,
    slice: Option<&'a str>,
    user: Option<&'a str>,
    samples: Samples,
    /// What its samples weigh.
    sampled_s: f64,
    /// What the kernel accounted to it.
    cpu_s: Option<f64>,
    status: &'a str,
}

/// Writes the ledger.
///
/// # Errors
/// Where `out` fails.
pub fn write(profile: &Profile, out: &mut dyn Write) -> Result<(), Error> {
    let recording = &profile.recording;
    let mut weights = vec![0; profile.processes.len()];
    for sample in &profile.samples {
        weights[sample.process] += sample.weight_ns;
    }
    let (dropped_ns, dropped_samples) = memory::dropped(profile);
    let stats = Stats {
        version: &recording.version,
        kernel: &recording.kernel,
        started: humantime::format_rfc3339_millis(recording.started.max(UNIX_EPOCH)).to_string(),
        duration_s: seconds(recording.duration_ns),
        rate_hz: recording.rate_hz,
        cpus: recording.cpus,
        samples: samples(&profile.ledger),
        profiler: Profiler {
            cpu_s: seconds(recording.profiler_cpu_ns),
            bpf_s: recording.profiler_bpf_ns.map(seconds),
            rss_peak_bytes: recording.profiler_rss_peak_bytes,
        },
        budget: recording.budget.map(|kept| Budget {
            cores: kept.cores,
            duration_s: kept.seconds,
            spent_s: kept.spent,
            kept: kept.is_kept(),
            lowered_s: kept.lowered,
            lowered_hz: (kept.lowered > 0.0).then_some(kept.lowered_hz),
            lowest_hz: kept.lowest_hz,
        }),
        memory: Memory {
            bound_bytes: recording.memory.bound_bytes,
            dropped_stacks: recording.memory.stacks,
            dropped_functions: recording.memory.functions,
            dropped_samples,
            dropped_s: seconds(dropped_ns),
        },
        processes: profile
            .processes
            .iter()
            .zip(weights)
            .map(|(process, weight)| Process {
                pid: process.pid,
                others: process.others,
                ppid: process.ppid,
                comm: &process.comm,
                cmdline: &process.command_line,
                python: process.python.as_deref(),
                interpreter: process.interpreter.as_deref(),
                container: process.container.as_deref(),
                container_id: process.labels.container.as_deref(),
                runtime: process.labels.runtime.map(Runtime::name),
                container_pid: process.container_pid,
                pod: process.labels.pod.as_deref(),
                cgroup: process.cgroup.as_deref(),
                unit: process.labels.unit.as_deref(),
                slice: process.labels.slice.as_deref(),
                user: process.user.as_deref(),
                samples: samples(&process.ledger),
                sampled_s: seconds(weight),
                cpu_s: process.cpu_ns.map(seconds),
                status: process.refused.as_deref().unwrap_or(PROFILED),
            })
            .collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &stats)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

fn samples(ledger: &Ledger) -> Samples {
    Samples {
        taken: ledger.taken,
        delivered: ledger.delivered,
        lost: ledger
            .lost
            .iter()
            .map(|(outcome, &samples)| (outcome.key(), samples))
            .collect(),
        truncated: ledger.truncated,
        scale: (ledger.delivered > 0).then(|| ledger.taken as f64 / ledger.delivered as f64),
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::output::testing::{JOBS, example, hostile, hostile_names};

    use super::*;

    fn stats(profile: &Profile) -> Value {
        let mut out = Vec::new();
        write(profile, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    /// Makes sure that the file has the keys that its documentation names, with the numbers of the profile.
    #[test]
    fn the_ledger_is_all_there() {
        let stats = stats(&example());
        let mut expected = json!({
            "version": "0.1.0",
            "kernel": "6.1.0",
            "started": "2024-02-29T12:00:00.000Z",
            "duration_s": 10.0,
            "rate_hz": 100,
            "cpus": 2,
            "samples": {
                "taken": 200, "delivered": 190, "lost": {"ring-buffer-full": 7, "unknown-stack": 3}, "truncated": 100,
                "scale": 200.0 / 190.0,
            },
            "profiler": {"cpu_s": 0.02, "bpf_s": 0.005, "rss_peak_bytes": 20_971_520},
            "budget": null,
            "memory": {
                "bound_bytes": 0, "dropped_stacks": 0, "dropped_functions": 0, "dropped_samples": 0, "dropped_s": 0.0,
            },
        });
        expected["processes"] = stats["processes"].clone();
        assert_eq!(stats, expected);
        let processes = stats["processes"].as_array().unwrap();
        assert_eq!(
            processes[1],
            json!({
                "pid": 20, "others": 0, "ppid": 1, "comm": "job", "cmdline": "job app.py", "python": "3.8.18",
                "interpreter": "/opt/python3.8", "container": "jobs", "container_id": JOBS, "runtime": "podman",
                "container_pid": 1, "pod": "2fc932ce-fdcc-454b-97bd-aadfdeb4c340",
                "cgroup": format!("/machine.slice/libpod-{JOBS}.scope"), "unit": null, "slice": "machine.slice",
                "user": "www",
                "samples": {"taken": 100, "delivered": 100, "lost": {}, "truncated": 100, "scale": 1.0},
                "sampled_s": 1.0, "cpu_s": 1.0, "status": "profiled",
            })
        );
        assert_eq!(processes[0]["unit"], "web.service");
        assert_eq!(processes[0]["container_id"], Value::Null);
        assert_eq!(processes[2]["status"], "Python 2.7 is not supported");
        assert_eq!(processes[2]["cpu_s"], Value::Null);
    }

    /// Makes sure that hostile names come back as they were: JSON escapes them.
    #[test]
    fn names_come_back() {
        let names = hostile_names();
        let stats = stats(&hostile(&names));
        for (process, name) in stats["processes"].as_array().unwrap().iter().zip(&names) {
            assert_eq!(process["comm"], **name);
        }
    }
}
