//! What user space sets before it loads the programs.

use aya_ebpf::Global;
use profiler_common::shared;

/// The sampling period in ns.
#[unsafe(no_mangle)]
pub static PERIOD_NS: Global<u64> = Global::new(10_101_010);

/// Whether the event fires each period on every CPU (the CPU clock): then a late sample stands for all
/// the periods since the one before. Hardware counters stand still on an idle CPU: there it is 0.
#[unsafe(no_mangle)]
pub static WEIGH_BY_CLOCK: Global<u32> = Global::new(1);

/// Whether user space may have the event fire more slowly: see [`crate::maps::PACE`].
#[unsafe(no_mangle)]
pub static PACED: Global<u32> = Global::new(0);

/// Slots of the cache of thread states minus 1; their number is a power of two.
#[unsafe(no_mangle)]
pub static THREAD_MASK: Global<u32> = Global::new(shared::THREAD_SLOTS - 1);

/// Bytes in a ring buffer from which on user space is woken.
#[unsafe(no_mangle)]
pub static WAKEUP_BYTES: Global<u64> = Global::new(0);

/// Whether every exec on the host is of interest, or only those of processes under profile.
#[unsafe(no_mangle)]
pub static REPORT_EVERY_EXEC: Global<u32> = Global::new(0);

/// The `profiler_common::shared::Part` behind which a sample of the steady state stops, for measurements; 0: none. The
/// verifier knows the value and drops the comparisons.
#[unsafe(no_mangle)]
pub static STOP_AFTER: Global<u32> = Global::new(0);

/// Offset of the thread pointer in `task_struct` (x86-64: `thread.fsbase`), from the kernel's BTF.
#[unsafe(no_mangle)]
pub static TASK_THREAD_POINTER: Global<u32> = Global::new(0);

/// Offset of `se.sum_exec_runtime` in `task_struct`.
#[unsafe(no_mangle)]
pub static TASK_RUNTIME: Global<u32> = Global::new(0);

/// Offset of `tgid` in `task_struct`.
#[unsafe(no_mangle)]
pub static TASK_TGID: Global<u32> = Global::new(0);

/// Offset of `pid` in `task_struct`.
#[unsafe(no_mangle)]
pub static TASK_PID: Global<u32> = Global::new(0);

/// Offset of `signal` in `task_struct`.
#[unsafe(no_mangle)]
pub static TASK_SIGNAL: Global<u32> = Global::new(0);

/// Offset of `live`, the count of threads that have not ended, in `signal_struct`.
#[unsafe(no_mangle)]
pub static SIGNAL_LIVE: Global<u32> = Global::new(0);

/// Whether there is a filter; 0: every registered process is sampled.
#[unsafe(no_mangle)]
pub static FILTERED: Global<u32> = Global::new(0);

/// Offset of `real_cred` in `task_struct`.
#[unsafe(no_mangle)]
pub static TASK_CREDENTIALS: Global<u32> = Global::new(0);

/// Offset of `euid` in `cred`.
#[unsafe(no_mangle)]
pub static CREDENTIALS_USER: Global<u32> = Global::new(0);

/// Offset of `group_leader` in `task_struct`.
#[unsafe(no_mangle)]
pub static TASK_LEADER: Global<u32> = Global::new(0);

/// Offset of `comm` in `task_struct`.
#[unsafe(no_mangle)]
pub static TASK_COMM: Global<u32> = Global::new(0);

/// Offset of `cgroups` in `task_struct`.
#[unsafe(no_mangle)]
pub static TASK_CGROUPS: Global<u32> = Global::new(0);

/// Offset of `dfl_cgrp`, the cgroup of version 2, in `css_set`.
#[unsafe(no_mangle)]
pub static CGROUPS_DEFAULT: Global<u32> = Global::new(0);

/// Offset of `subsys`, the states by controller, in `css_set`.
#[unsafe(no_mangle)]
pub static CGROUPS_STATES: Global<u32> = Global::new(0);

/// Offset of `cgroup` in `cgroup_subsys_state`.
#[unsafe(no_mangle)]
pub static STATE_CGROUP: Global<u32> = Global::new(0);

/// Offset of `level` in `cgroup`.
#[unsafe(no_mangle)]
pub static CGROUP_LEVEL: Global<u32> = Global::new(0);

/// Offset of `ancestors` (from 6.1 on: pointers), or of `ancestor_ids`, in `cgroup`.
#[unsafe(no_mangle)]
pub static CGROUP_ANCESTORS: Global<u32> = Global::new(0);

/// Whether these are pointers.
#[unsafe(no_mangle)]
pub static ANCESTORS_ARE_POINTERS: Global<u32> = Global::new(0);

/// Offset of `kn` in `cgroup`.
#[unsafe(no_mangle)]
pub static CGROUP_NODE: Global<u32> = Global::new(0);

/// Offset of `id` in `kernfs_node`.
#[unsafe(no_mangle)]
pub static NODE_ID: Global<u32> = Global::new(0);

/// Offset of `root` in `cgroup`.
#[unsafe(no_mangle)]
pub static CGROUP_ROOT: Global<u32> = Global::new(0);

/// Offset of `hierarchy_id` in `cgroup_root`.
#[unsafe(no_mangle)]
pub static ROOT_HIERARCHY: Global<u32> = Global::new(0);

/// Offset of `mm` in `task_struct`.
#[unsafe(no_mangle)]
pub static TASK_MM: Global<u32> = Global::new(0);

/// Offset of `exec_vm`, the number of pages that are mapped executable, in `mm_struct`.
#[unsafe(no_mangle)]
pub static MM_EXEC_VM: Global<u32> = Global::new(0);
