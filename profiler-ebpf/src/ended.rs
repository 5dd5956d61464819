//! What a thread has used in all.
//!
//! The scheduler accounts at its tick, and where it takes a thread off the CPU. When a thread's end is reported, some
//! milliseconds are not accounted yet, and ending takes time itself: of a process that lives for 15 ms that is much.
//! The figure is final when the kernel frees the thread, moments after it was waited for.

use aya_ebpf::{
    helpers::bpf_get_current_task, macros::raw_tracepoint, programs::RawTracePointContext,
};
use profiler_common::{
    record::{Final, kind},
    shared::{ENDED_SLOTS, event},
};

use crate::{
    config,
    kernel_memory::read_or_zero,
    maps,
    output::{self, To, Wake},
};

/// A slot of the table of threads that have ended: direct-mapped by thread id. One that is overwritten keeps the
/// figure that its end was reported with.
#[repr(C)]
pub struct Ended {
    /// The thread's `task_struct`, which is not used for another before it is freed.
    task: u64,
    /// The registration of its process.
    generation: u64,
}

/// Notes that the current thread ends.
#[inline(always)]
pub fn note(tid: u32, generation: u64) {
    // SAFETY: has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    if let Some(slot) = maps::ENDED.get_ptr_mut(tid & (ENDED_SLOTS - 1)) {
        // SAFETY: a value of the map is always valid. Two CPUs that write at once leave a task that is freed with
        // the registration of another in the same slot: both have ended, and user space finds no such thread.
        unsafe { *slot = Ended { task, generation } };
    }
}

/// `sched_process_free(task)`: the thread's account is closed.
#[raw_tracepoint(tracepoint = "sched_process_free")]
pub fn free(ctx: RawTracePointContext) -> i32 {
    let task: u64 = ctx.arg(0);
    let tid: u32 = read_or_zero(task, config::TASK_PID.load());
    let Some(slot) = maps::ENDED.get_ptr_mut(tid & (ENDED_SLOTS - 1)) else {
        return 0;
    };
    // SAFETY: a value of the map is always valid.
    let (ended, generation) = unsafe { ((*slot).task, (*slot).generation) };
    if ended != task || task == 0 {
        return 0;
    }
    // SAFETY: as above.
    unsafe { (*slot).task = 0 };
    let record = Final {
        kind: kind::FINAL,
        padding: 0,
        tid,
        generation,
        cpu: read_or_zero(task, config::TASK_RUNTIME.load()),
    };
    if output::send_record(To::News, &record, Wake::WhenFilling).is_err() {
        output::count(event::NEWS_LOST);
    }
    0
}
