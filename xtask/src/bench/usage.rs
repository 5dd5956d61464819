//! What a process has used so far, from what the kernel accounts to it.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
    path::Path,
};

use anyhow::{Context, Result};

/// `bpf_prog_type` of perf-event programs in include/uapi/linux/bpf.h.
const PERF_EVENT: u64 = 7;

/// A process's use of the machine, since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time of its threads, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// Run time of all BPF programs that it holds, in nanoseconds.
    pub bpf_ns: u64,
    /// How often its perf-event programs ran.
    pub ticks: u64,
}

impl Usage {
    /// Reads it now.
    pub fn of(pid: u32) -> Result<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let mut usage = Self::default();
        let threads = fs::read_dir(process.join("task"))
            .with_context(|| format!("process {pid} has ended"))?;
        for thread in threads.flatten() {
            // A thread may end meanwhile; what it used is lost, and small.
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let first = text.split_whitespace().next();
            usage.cpu_ns += first.and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        for program in programs(&process).values() {
            usage.bpf_ns += program.run_time_ns;
            if program.kind == PERF_EVENT {
                usage.ticks += program.runs;
            }
        }
        Ok(usage)
    }

    /// What was used between an earlier moment and this one.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            bpf_ns: self.bpf_ns.saturating_sub(earlier.bpf_ns),
            ticks: self.ticks.saturating_sub(earlier.ticks),
        }
    }
}

/// Memory of the BPF maps that a process holds, in KiB: `memlock` of their descriptors (`bpf_map_show_fdinfo`
/// in kernel/bpf/syscall.c, right from 6.4 on).
pub fn maps_kib(pid: u32) -> u64 {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        if let (Some(id), Some(bytes)) = (value(&text, "map_id:"), value(&text, "memlock:")) {
            maps.insert(id, bytes);
        }
    }
    maps.values().sum::<u64>() / 1024
}

/// The most memory that the process had resident at once, in KiB.
pub fn resident_peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    value(&status, "VmHWM:")
}

struct Program {
    kind: u64,
    run_time_ns: u64,
    runs: u64,
}

/// The BPF programs that a process holds, by id, from what fdinfo says of their descriptors
/// (`bpf_prog_show_fdinfo` in kernel/bpf/syscall.c).
fn programs(process: &Path) -> BTreeMap<u64, Program> {
    fs::read_dir(process.join("fdinfo"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .filter_map(|text| {
            let program = Program {
                kind: value(&text, "prog_type:")?,
                run_time_ns: value(&text, "run_time_ns:")?,
                runs: value(&text, "run_cnt:")?,
            };
            Some((value(&text, "prog_id:")?, program))
        })
        .collect()
}

/// The number after `name` at the beginning of a line.
fn value(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// Commands and arguments of bpf(2), in include/uapi/linux/bpf.h.
const BPF_ENABLE_STATS: libc::c_long = 32;
const BPF_STATS_RUN_TIME: u32 = 0;

/// Lets the kernel measure the run time of BPF programs until the descriptor is closed, however that
/// comes about: the setting kernel.bpf_stats_enabled would stay behind.
pub fn enable_statistics() -> Result<OwnedFd> {
    let kind = BPF_STATS_RUN_TIME;
    let size = size_of_val(&kind);
    // SAFETY: the kernel reads `size` bytes of `kind`, which lives through the call, and zeroes stand for
    // the rest of its bpf_attr.
    let descriptor =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_ENABLE_STATS, &raw const kind, size) };
    let descriptor = RawFd::try_from(descriptor)
        .ok()
        .filter(|&number| number >= 0)
        .ok_or_else(io::Error::last_os_error)
        .context("BPF statistics cannot be switched on")?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
