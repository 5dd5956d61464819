//! The beginning of a sample: which process, which thread. The steady state is in this program alone: a thread
//! whose state is remembered, and a stack that is known.

use aya_ebpf::{
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
        bpf_get_current_task, bpf_get_smp_processor_id, bpf_ktime_get_ns,
    },
    macros::perf_event,
    programs::PerfEventContext,
};
use profiler_common::{
    cpython::{
        layout::Layout,
        threads::{self, Whereabouts},
        walk::Walk,
    },
    outcome::Outcome,
    process::{Process, STALE},
    record::{self, kind, mark},
    shared::{self, Part},
};

use crate::{
    chain::{end_in, increment, stops_after},
    config,
    filter::{self, Sight, Verdict},
    kernel_memory::read_or_zero,
    maps,
    output::{self, To, Wake},
    scratch::Scratch,
    search::{search, thread_entry},
    strangers,
    user_memory::UserMemory,
    walk::{start_walk, walk_here},
};

/// When the event fired on this CPU (ns); all 0 where it did not, or nobody knows. That is no `Option`, in which LLVM
/// leaves the times undefined where there are none, and may keep what was never set: then the verifier refuses it.
struct Fired {
    /// For the first time.
    first: u64,
    /// For the last time before this one.
    last: u64,
}

/// It did not.
const NEVER: Fired = Fired { first: 0, last: 0 };

/// Notes that the event fired on this CPU now; when it did before.
///
/// All that an idle CPU does, whose caches are cold: one line of memory.
#[inline(always)]
fn fired(now: u64) -> Fired {
    let Some(clock) = maps::CLOCK.get_ptr_mut(0) else {
        return NEVER;
    };
    // SAFETY: per-CPU memory that only this program uses.
    let clock = unsafe { &mut *clock };
    if clock.first == 0 {
        clock.first = now;
        clock.last = now;
        return NEVER;
    }
    let before = Fired {
        first: clock.first,
        last: clock.last,
    };
    clock.last = now;
    before
}

/// What user space tells of the period; 0 where it does not change it.
#[inline(always)]
fn pace(index: u32) -> u64 {
    if config::PACED.load() == 0 {
        return 0;
    }
    maps::PACE.get(index).map_or(0, |value| *value)
}

/// Begins the grid anew, if user space has begun another period.
#[inline(always)]
fn begin_anew(now: u64) {
    let restarts = pace(shared::pace::RESTARTS);
    if restarts == 0 {
        return;
    }
    if let Some(clock) = maps::CLOCK.get_ptr_mut(0) {
        // SAFETY: per-CPU memory that only this program uses.
        let clock = unsafe { &mut *clock };
        if clock.restarts != restarts {
            clock.restarts = restarts;
            clock.first = now;
        }
    }
}

/// How many periods this firing of the event stands for.
///
/// The CPU clock fires on a fixed grid. A firing that comes late, or follows some that never came (the
/// hypervisor held the CPU, the kernel throttled the event), stands for all periods since the last. Periods are
/// those of the rate that was asked for, also where user space has it fire more slowly; each time that user space
/// changes that, the grid begins anew.
#[inline(always)]
fn periods(before: Fired, now: u64) -> u32 {
    let period = config::PERIOD_NS.load();
    if config::WEIGH_BY_CLOCK.load() == 0 || period == 0 {
        return 1;
    }
    if before.first == 0 {
        return pace(shared::pace::STRIDE).max(1) as u32;
    }
    // Half a period early, so that neither a late first firing nor a late one after it crosses the grid.
    let origin = before.first - period / 2;
    let passed = (now - origin) / period - (before.last - origin) / period;
    begin_anew(now);
    // A gap of over two seconds is no time that this thread ran: the machine was suspended.
    if passed * period > 2_000_000_000 {
        1
    } else {
        passed as u32
    }
}

/// How long a stranger that goes on running is not looked at again (ns).
const STRANGER_NS: u64 = 20_000_000;

/// Looks at a process that is not under profile, unless this CPU met it a moment ago: whatever else runs on the
/// host pays for that.
#[inline(always)]
fn meet_stranger(pid: u32, now: u64) {
    let Some(clock) = maps::CLOCK.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: per-CPU memory that only this program uses.
    let clock = unsafe { &mut *clock };
    if clock.stranger == u64::from(pid) && now - clock.met < STRANGER_NS {
        return;
    }
    clock.stranger = pid.into();
    clock.met = now;
    strangers::meet(pid, now);
}

/// Fires on each period of the sampling event, on every CPU.
#[perf_event]
pub fn sample(ctx: PerfEventContext) -> u32 {
    let sight = if config::FILTERED.load() != 0 {
        filter::sight()
    } else {
        Sight::NONE
    };
    if sight.verdict == Verdict::Out {
        return 0;
    }
    // SAFETY: has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let before = if sight.verdict == Verdict::In {
        // What comes between two firings in such places is not kept count of.
        NEVER
    } else {
        fired(now)
    };
    let ids = bpf_get_current_pid_tgid();
    let (pid, tid) = ((ids >> 32) as u32, ids as u32);
    if tid == 0 {
        return 0;
    }
    let Some(process) = maps::PROCESSES.get_ptr_mut(pid) else {
        meet_stranger(pid, now);
        return 0;
    };
    // SAFETY: a value of the map stays valid while the program runs. What user space and the
    // tracepoints change in it is single words.
    let process = unsafe { &mut *process };
    if process.flags & STALE != 0 {
        return 0;
    }
    if config::FILTERED.load() != 0 && !filter::wants(process, sight) {
        increment(&raw mut process.left_out);
        return 0;
    }
    increment(&raw mut process.taken);
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        end_in(process, Outcome::Internal);
        return 0;
    };
    // SAFETY: as in `scratch()`.
    let scratch = unsafe { &mut *scratch };
    scratch.layout = process.layout;
    let Some(layout) = maps::LAYOUTS.get(process.layout) else {
        end_in(process, Outcome::Internal);
        return 0;
    };
    let periods = periods(before, now);
    scratch.sample = record::Sample {
        kind: kind::SAMPLE,
        // SAFETY: has no preconditions.
        cpu: unsafe { bpf_get_smp_processor_id() } as u16,
        periods: if periods > u32::from(u16::MAX) {
            u16::MAX
        } else {
            periods as u16
        },
        left_out: process.left_out as u16,
        time: now,
        generation: process.generation,
        stack: 0,
        // SAFETY: has no preconditions.
        cgroup: unsafe { bpf_get_current_cgroup_id() },
        pid,
        tid,
        runtime: 0,
    };
    scratch.code_type = process.code_type;
    scratch.interpreters = process.interpreters;
    scratch.current_thread = process.current_thread;
    scratch.calls = 0;
    // SAFETY: has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    scratch.thread_pointer = read_or_zero(task, config::TASK_THREAD_POINTER.load());
    scratch.sample.runtime = read_or_zero(task, config::TASK_RUNTIME.load());

    if stops_after(Part::Process) {
        return 0;
    }
    if known_thread(scratch, layout, process) {
        if stops_after(Part::Thread) {
            return 0;
        }
        walk_here(&ctx, process);
    } else {
        search(&ctx, scratch, layout);
    }
    0
}

/// Begins the walk of the thread, or the walk without frames of one that has no Python state, where what is
/// remembered of it still holds. Whether it does.
#[inline(always)]
fn known_thread(scratch: &mut Scratch, layout: &Layout, process: &Process) -> bool {
    let Some(entry) = thread_entry(scratch.sample.tid) else {
        return false;
    };
    if entry.tid != scratch.sample.tid || entry.generation != process.generation {
        announce_thread(scratch);
        return false;
    }
    let recent = scratch.sample.time < entry.retry;
    if entry.remembered.state == 0 {
        if recent {
            scratch.walk = Walk::without_frames(mark::NO_THREAD_STATE, process.generation);
        }
        return recent;
    }
    let Some(state) = threads::recall(
        &UserMemory,
        layout,
        Whereabouts {
            thread_pointer: scratch.thread_pointer,
            interpreters: process.interpreters,
            current_thread: process.current_thread,
        },
        entry.remembered,
        recent,
        &mut scratch.window,
    ) else {
        return false;
    };
    entry.remembered.state = state;
    start_walk(scratch, layout, entry);
    true
}

/// Tells user space of a thread that this CPU has not seen lately.
#[inline(always)]
fn announce_thread(scratch: &Scratch) {
    let thread = record::Thread {
        kind: kind::THREAD,
        padding: 0,
        pid: scratch.sample.pid,
        tid: scratch.sample.tid,
        padding2: 0,
        generation: scratch.sample.generation,
        ident: scratch.thread_pointer,
        comm: bpf_get_current_comm().unwrap_or([0; 16]),
    };
    // Where there is no room, it has the name of its process until another CPU meets it.
    let _ = output::send_record(To::Samples, &thread, Wake::WhenFilling);
}
