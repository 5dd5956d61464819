//! Puts a profile together from what was collected.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use foldhash::{HashMap, HashMapExt as _};

use super::{Options, collector::Collector, tracked::Tracked};
use crate::{
    host::{clock::own_cpu_ns, containers, identity, labels::Labels, process::thread_comm},
    profile::{
        budget::Kept,
        builder::Builder,
        memory::Memory,
        model::{Process, Profile, Recording, Thread},
    },
    symbols::{ended, resolve::Resolver},
};

/// What is known of the recording besides its records.
pub struct About<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// When it began.
    pub started: SystemTime,
    /// How long it sampled.
    pub duration: Duration,
    /// CPUs sampled.
    pub cpus: usize,
    /// Time in the BPF programs, where the kernel counts it.
    pub bpf: Option<Duration>,
    /// How the budget was kept, where there was one.
    pub budget: Option<Kept>,
    /// How the bound of memory was kept.
    pub memory: Memory,
    /// Names of containers.
    pub containers: containers::Names,
}

/// The profile.
#[must_use]
pub fn profile(collector: &Collector, about: &About<'_>) -> Profile {
    let line_tables = collector
        .processes
        .iter()
        .filter_map(|process| {
            Some((
                process.generation,
                process.interpreter.as_ref()?.layout.line_table,
            ))
        })
        .collect();
    let mut builder = Builder::new();
    let mut indices = HashMap::new();
    for process in &collector.processes {
        // No Python process that ran.
        if process.refused.is_none() && collector.was_brief(process) {
            continue;
        }
        indices.insert(
            process.generation,
            (
                builder.process(describe(collector, process, &about.containers)),
                process,
            ),
        );
    }
    let mut threads = HashMap::new();
    let mut weights: HashMap<usize, u64> = HashMap::new();
    let past = &collector.past;
    for (store, tallies, line_tables) in [
        (&collector.store, &collector.tallies, line_tables),
        (&past.symbols.store, &past.tallies, ended::line_tables()),
    ] {
        let mut resolver = Resolver::new(store, &line_tables);
        let mut stacks = HashMap::new();
        let mut tallies: Vec<_> = tallies.iter().collect();
        tallies.sort_unstable_by_key(|(key, _)| **key);
        for (&(generation, tid, stack_id), tally) in tallies {
            let (Some(&(index, process)), Some(stack)) =
                (indices.get(&generation), store.stack(stack_id))
            else {
                continue;
            };
            let thread = *threads.entry((generation, tid)).or_insert_with(|| {
                builder.thread(Thread {
                    process: index,
                    tid,
                    name: thread_name(collector, process, tid),
                })
            });
            let stack = *stacks.entry(stack_id).or_insert_with(|| {
                let frames = resolver.frames(stack, &mut builder);
                builder.stack(frames)
            });
            builder.sample(thread, stack, tally.count, tally.weight_ns);
            *weights.entry(index).or_default() += tally.weight_ns;
        }
    }
    for &(index, process) in indices.values() {
        if let Some(known) = builder.process_mut(index)
            && collector.counters(process).left_out > 0
        {
            // The kernel accounts no time to the part of a process that was wanted: its samples do.
            known.cpu_ns = Some(weights.get(&index).copied().unwrap_or(0));
        }
    }
    builder.finish(recording(about))
}

fn describe(collector: &Collector, process: &Tracked, containers: &containers::Names) -> Process {
    let (version, path) = match &process.interpreter {
        Some(interpreter) => (
            Some(interpreter.version.to_string()),
            Some(interpreter.path.clone()),
        ),
        None => process.refused_interpreter.clone(),
    };
    let description = &process.description;
    let (container, runtime) = containers.call(&description.labels).unzip();
    Process {
        pid: process.pid,
        ppid: process.ppid,
        comm: description.comm.clone(),
        command_line: description.command_line.clone(),
        python: version,
        interpreter: path,
        cgroup: description.cgroup.clone(),
        container,
        labels: Labels {
            runtime: runtime.flatten(),
            ..description.labels.clone()
        },
        container_pid: process.container_pid,
        user: description.user.clone(),
        cpu_ns: if process.refused.is_none() {
            collector.cpu_ns(process)
        } else {
            None
        },
        refused: process.refused.clone(),
        others: process.others,
        ledger: collector.ledger(process),
    }
}

/// Python's name of a thread, or else the kernel's: as it is now where the thread lives, since names are
/// often set late.
fn thread_name(collector: &Collector, process: &Tracked, tid: u32) -> String {
    if let Some(name) = collector.past.threads.get(&(process.generation, tid)) {
        return name.to_string();
    }
    let seen = collector.threads.get(&(process.generation, tid));
    if let Some(name) = seen.and_then(|thread| thread.name.as_ref()) {
        return name.clone();
    }
    thread_comm(process.pid, tid)
        .or_else(|| seen.map(|thread| thread.comm.clone()))
        .unwrap_or_else(|| process.description.comm.clone())
}

fn recording(about: &About<'_>) -> Recording {
    Recording {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command_line: about.options.command_line.clone(),
        host: identity::host_name(),
        kernel: identity::kernel_release(),
        started: about.started,
        duration_ns: about.duration.as_nanos() as u64,
        rate_hz: about.options.rate_hz,
        cpus: about.cpus as u32,
        profiler_cpu_ns: own_cpu_ns(),
        profiler_bpf_ns: about.bpf.map(|time| time.as_nanos() as u64),
        budget: about.budget,
        memory: about.memory,
        profiler_rss_peak_bytes: own_rss_peak_bytes(),
    }
}

/// The most memory that was resident.
fn own_rss_peak_bytes() -> u64 {
    own_memory("VmHWM:")
}

/// The memory that is resident.
pub fn own_rss_bytes() -> u64 {
    own_memory("VmRSS:")
}

/// An entry of /proc/self/status, in bytes: they are given in KiB.
fn own_memory(entry: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(entry));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}
