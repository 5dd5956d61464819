//! Threads that are moved from one cgroup to another while a filter goes by cgroups.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{chain::increment, config, kernel_memory::read_or_zero, maps};

/// `cgroup_attach_task(cgroup, path, task, whole process)`: some time of this process may have been spent where the
/// filter leaves it out, and the sampling program, which turns away firings elsewhere at first sight, has not told.
/// So it is marked as left out once more: what it used since its last sample is not all wanted.
#[raw_tracepoint(tracepoint = "cgroup_attach_task")]
pub fn cgroup_attach(ctx: RawTracePointContext) -> i32 {
    let task: u64 = ctx.arg(2);
    let pid: u32 = read_or_zero(task, config::TASK_TGID.load());
    if let Some(process) = maps::PROCESSES.get_ptr_mut(pid) {
        // SAFETY: a value of the map stays valid while the program runs; the counter is only added to.
        increment(unsafe { &raw mut (*process).left_out });
    }
    0
}
