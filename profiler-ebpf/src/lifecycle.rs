//! Processes that fork, exec and end.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_ns},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use profiler_common::{
    process::{FOLLOW_CHILDREN, NAMED, NAMES_CHILDREN, Process, STALE},
    record::{Fork, Lifecycle, kind},
    shared::event,
};

use crate::{
    config, ended,
    kernel_memory::read_or_zero,
    maps,
    output::{self, To, Wake},
};

#[inline(always)]
fn report<T: Copy>(record: &T, wake: Wake) -> bool {
    let sent = output::send_record(To::News, record, wake).is_ok();
    if !sent {
        output::count(event::NEWS_LOST);
    }
    sent
}

/// `sched_process_fork(parent task, child task)`: a child of a process under profile runs the same
/// interpreter at the same addresses, and is profiled from its first sample on.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn fork(ctx: RawTracePointContext) -> i32 {
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    let Some(process) = maps::PROCESSES.get_ptr(parent) else {
        return 0;
    };
    // SAFETY: a value of the map stays valid while the program runs.
    let mut child = unsafe { *process };
    if child.flags & FOLLOW_CHILDREN == 0 || child.flags & STALE != 0 {
        return 0;
    }
    let task: u64 = ctx.arg(1);
    let pid: u32 = read_or_zero(task, config::TASK_PID.load());
    if read_or_zero::<u32>(task, config::TASK_TGID.load()) != pid || pid == 0 {
        // A thread.
        return 0;
    }
    // SAFETY: has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let generation = child.generation;
    child.generation = now;
    child.taken = 0;
    child.outcomes = [0; 8];
    child.left_out = 0;
    if child.flags & NAMES_CHILDREN == 0 {
        child.flags &= !NAMED;
    }
    if maps::PROCESSES.insert(pid, child, 0).is_err() {
        // Reported none the less, as a process that is not under profile: it is in the ledger, with the reason.
        child.generation = 0;
    }
    let record = Fork {
        kind: kind::FORK,
        padding: 0,
        pid,
        parent_pid: parent,
        padding2: 0,
        parent: generation,
        generation: child.generation,
    };
    if !report(&record, Wake::WhenFilling) {
        // A stranger, which is met when it runs.
        let _ = maps::PROCESSES.remove(pid);
    }
    0
}

#[inline(always)]
fn lifecycle(kind: u16, pid: u32, tid: u32, time: u64, process: &Process) -> Lifecycle {
    Lifecycle {
        kind,
        last: 0,
        pid,
        tid,
        left_out: process.left_out as u32,
        time,
        generation: process.generation,
        cpu: 0,
        taken: process.taken,
        outcomes: process.outcomes,
    }
}

/// Reports that a registered process is no longer what it was, with its counters, and forgets it. Where
/// there is no room for the report it stays, marked, for user space to find.
#[inline(always)]
fn retire(pid: u32, process: *mut Process, record: &mut Lifecycle, wake: Wake) {
    // SAFETY: a value of the map stays valid while the program runs. Marked first, so that a sample that
    // interrupts here no longer counts.
    unsafe { (*process).flags |= STALE };
    // SAFETY: as above.
    unsafe {
        record.taken = (*process).taken;
        record.outcomes = (*process).outcomes;
        record.left_out = (*process).left_out as u32;
    }
    if report(record, wake) {
        let _ = maps::PROCESSES.remove(pid);
    }
}

/// `sched_process_exec(task, old pid, binary)`: the process runs another program from now on. The thread that
/// called exec has taken the id of the process; it may have had another.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn exec(ctx: RawTracePointContext) -> i32 {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let tid: u32 = ctx.arg(1);
    // SAFETY: has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    match maps::PROCESSES.get_ptr_mut(pid) {
        Some(process) => {
            // SAFETY: a value of the map stays valid while the program runs.
            let mut record = lifecycle(kind::EXEC, pid, tid, now, unsafe { &*process });
            record.cpu = current_runtime();
            retire(pid, process, &mut record, Wake::Now);
        }
        None if config::REPORT_EVERY_EXEC.load() != 0 => {
            let record = Lifecycle {
                kind: kind::EXEC,
                last: 0,
                pid,
                tid,
                left_out: 0,
                time: now,
                generation: 0,
                cpu: current_runtime(),
                taken: 0,
                outcomes: [0; 8],
            };
            report(&record, Wake::Now);
        }
        None => {}
    }
    0
}

/// CPU time of the current thread, in ns.
#[inline(always)]
fn current_runtime() -> u64 {
    // SAFETY: has no preconditions.
    read_or_zero(
        unsafe { bpf_get_current_task() },
        config::TASK_RUNTIME.load(),
    )
}

/// `sched_process_exit`: a thread ends, the last one takes the process with it.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn exit(_ctx: RawTracePointContext) -> i32 {
    let ids = bpf_get_current_pid_tgid();
    let (pid, tid) = ((ids >> 32) as u32, ids as u32);
    let Some(process) = maps::PROCESSES.get_ptr_mut(pid) else {
        return 0;
    };
    // SAFETY: has no preconditions.
    let (task, now) = unsafe { (bpf_get_current_task(), bpf_ktime_get_ns()) };
    // `do_exit` has counted this thread out of `signal->live` before it comes here (Linux kernel/exit.c).
    let signal: u64 = read_or_zero(task, config::TASK_SIGNAL.load());
    let live: u32 = read_or_zero(signal, config::SIGNAL_LIVE.load());
    // SAFETY: a value of the map stays valid while the program runs.
    let mut record = lifecycle(kind::EXIT, pid, tid, now, unsafe { &*process });
    record.cpu = current_runtime();
    ended::note(tid, record.generation);
    if live == 0 {
        record.last = 1;
        retire(pid, process, &mut record, Wake::WhenFilling);
    } else {
        report(&record, Wake::WhenFilling);
    }
    0
}
