//! The first half of a sample: which process, which thread, which frames.

use core::arch::asm;

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
        threads::{self, Remembered, SearchStep, Whereabouts},
        walk::{self, LEAF_FRAMES, Owner, ROOT_FRAMES, Walk},
    },
    outcome::Outcome,
    process::{Process, STALE},
    record::{self, kind, mark},
    shared::{event, stage},
};

use crate::{
    config, filter,
    kernel_memory::read_or_zero,
    maps,
    output::{self, Wake},
    scratch::{Clock, Scratch, ThreadEntry},
    strangers,
    user_memory::UserMemory,
};

/// Thread states that one program looks at before it hands over to itself.
const THREADS_PER_CALL: u32 = 1024;
/// Of these, how many [`look_at_threads`] looks at.
const THREADS_PER_TURN: u32 = 16;
/// Frames that one program walks before it hands over to itself.
const FRAMES_PER_CALL: u32 = 160;
/// Of these, how many [`walk_frames`] walks.
const FRAMES_PER_TURN: u32 = 8;

/// How many tail calls a chain may have made and still go on to search, to walk, or to capture. The kernel
/// allows 32 (`MAX_TAIL_CALL_CNT`, Linux include/linux/bpf.h; 33 from 5.16 on): what is left is for the
/// programs that must come after.
pub const FIND_UNTIL: u32 = 8;
/// See [`FIND_UNTIL`].
pub const WALK_UNTIL: u32 = 19;
/// See [`FIND_UNTIL`].
pub const CAPTURE_UNTIL: u32 = 28;

// Deep stacks are walked even where the search took long.
const _: () =
    assert!((WALK_UNTIL - FIND_UNTIL) * FRAMES_PER_CALL >= LEAF_FRAMES as u32 + ROOT_FRAMES as u32);
// `capture`, `pieces` once more, and `finish` still follow.
const _: () = assert!(CAPTURE_UNTIL + 3 < 32);

/// How long a thread without Python state, or without the GIL, is not searched for again (ns).
const RETRY_NS: u64 = 10_000_000;
/// It is this many times as long where the search took long: among thousands of threads.
const RETRY_RATIO: u64 = 256;

/// The process of the current thread, if it is under profile.
#[inline(always)]
pub fn current_process() -> Option<*mut Process> {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    maps::PROCESSES.get_ptr_mut(tgid)
}

/// Adds 1 to a counter that other CPUs add to as well.
///
/// Written out, since the target has no atomic operations in `core`, and the instruction that every
/// kernel knows is the one that does not return the old value.
#[inline(always)]
fn increment(counter: *mut u64) {
    // SAFETY: callers pass pointers to aligned words of map values.
    unsafe {
        asm!("lock *(u64 *)({counter} + 0) += {one}", counter = in(reg) counter, one = in(reg) 1u64)
    };
}

/// Counts how the sample ended.
#[inline(always)]
pub fn end(outcome: Outcome) {
    if let Some(process) = current_process() {
        // SAFETY: a value of the map stays valid while the program runs; counters are only added to.
        let counter = unsafe { &raw mut (*process).outcomes[outcome as usize & 7] };
        increment(counter);
    }
    if outcome != Outcome::Delivered {
        output::count(event::SAMPLE_LOST);
    }
}

/// This CPU's scratch memory and the layout of the interpreter in it.
#[inline(always)]
pub fn scratch() -> Option<(&'static mut Scratch, &'static Layout)> {
    let scratch = maps::SCRATCH.get_ptr_mut(0)?;
    // SAFETY: per-CPU memory of the chain of programs that runs on this CPU, which nothing interrupts
    // that uses it too.
    let scratch = unsafe { &mut *scratch };
    let layout = scratch.layout;
    Some((scratch, maps::LAYOUTS.get(layout)?))
}

/// Goes on to another program; counts the sample as lost where the kernel refuses.
#[inline(always)]
pub fn go_on(ctx: &PerfEventContext, scratch: &mut Scratch, stage: u32) {
    scratch.calls += 1;
    // SAFETY: all stages are programs of this kind that take this context.
    unsafe { maps::STAGES.tail_call(ctx, stage) };
    #[cfg(feature = "diagnostics")]
    aya_log_ebpf::warn!(
        ctx,
        "tail call {} refused, to stage {}",
        scratch.calls,
        stage
    );
    end(Outcome::TailCallFailed);
}

/// How many periods this firing of the event stands for.
///
/// The CPU clock fires on a fixed grid. A firing that comes late, or follows some that never came (the
/// hypervisor held the CPU, the kernel throttled the event), stands for all periods since the last. Periods are
/// those of the rate that was asked for, also where user space has it fire more slowly; each time that user space
/// changes that, the grid begins anew.
#[inline(always)]
fn periods(now: u64) -> u32 {
    let period = config::PERIOD_NS.load();
    if config::WEIGH_BY_CLOCK.load() == 0 || period == 0 {
        return 1;
    }
    let Some(clock) = maps::CLOCK.get_ptr_mut(0) else {
        return 1;
    };
    // SAFETY: per-CPU memory that only this program uses.
    let clock = unsafe { &mut *clock };
    if clock.origin == 0 {
        // Half a period early, so that neither a late first firing nor a late one after it crosses the grid.
        clock.origin = now - period / 2;
        return 1;
    }
    let periods = (now - clock.origin) / period;
    let passed = periods - clock.periods;
    clock.periods = periods;
    let restarts = maps::RESTARTS.get(0).map_or(0, |restarts| *restarts);
    if clock.restarts != restarts {
        *clock = Clock {
            origin: now - period / 2,
            periods: 0,
            restarts,
        };
    }
    // A gap of over two seconds is no time that this thread ran: the machine was suspended.
    if passed * period > 2_000_000_000 {
        1
    } else {
        passed as u32
    }
}

/// Fires on each period of the sampling event, on every CPU.
#[perf_event]
pub fn sample(ctx: PerfEventContext) -> u32 {
    // SAFETY: has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let periods = periods(now);
    let ids = bpf_get_current_pid_tgid();
    let (pid, tid) = ((ids >> 32) as u32, ids as u32);
    if tid == 0 {
        return 0;
    }
    let Some(process) = maps::PROCESSES.get_ptr_mut(pid) else {
        strangers::meet(pid, now);
        return 0;
    };
    // SAFETY: a value of the map stays valid while the program runs. What user space and the
    // tracepoints change in it is single words.
    let process = unsafe { &mut *process };
    if process.flags & STALE != 0 {
        return 0;
    }
    if config::FILTERED.load() != 0 && !filter::wants(process) {
        increment(&raw mut process.left_out);
        return 0;
    }
    increment(&raw mut process.taken);
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else {
        end(Outcome::Internal);
        return 0;
    };
    // SAFETY: as in `scratch()`.
    let scratch = unsafe { &mut *scratch };
    scratch.layout = process.layout;
    let Some(layout) = maps::LAYOUTS.get(process.layout) else {
        end(Outcome::Internal);
        return 0;
    };
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

    if let Some(entry) = thread_entry(tid) {
        if entry.tid == tid && entry.generation == process.generation {
            let recent = now < entry.retry;
            if entry.remembered.state == 0 {
                if recent {
                    stop(&ctx, scratch, mark::NO_THREAD_STATE);
                    return 0;
                }
            } else if let Some(state) = threads::recall(
                &UserMemory,
                layout,
                Whereabouts {
                    thread_pointer: scratch.thread_pointer,
                    interpreters: scratch.interpreters,
                    current_thread: scratch.current_thread,
                },
                entry.remembered,
                recent,
                &mut scratch.window,
            ) {
                entry.remembered.state = state;
                start_walk(&ctx, scratch, layout);
                return 0;
            }
        } else {
            announce_thread(scratch);
        }
    }
    search(&ctx, scratch, layout);
    0
}

#[inline(always)]
fn thread_entry(tid: u32) -> Option<&'static mut ThreadEntry> {
    let entry = maps::THREADS.get_ptr_mut(tid & config::THREAD_MASK.load())?;
    // SAFETY: per-CPU memory that only the sampling programs use.
    Some(unsafe { &mut *entry })
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
    if output::send_record(&thread, Wake::WhenFilling).is_err() {
        output::count(event::LIFECYCLE_LOST);
    }
}

/// Begins the search for the thread's state.
#[inline(always)]
fn search(ctx: &PerfEventContext, scratch: &mut Scratch, layout: &Layout) {
    if let Some(state) = threads::current(
        &UserMemory,
        layout,
        scratch.current_thread,
        scratch.thread_pointer,
        &mut scratch.window,
    ) {
        remember(scratch, state, 0);
        start_walk(ctx, scratch, layout);
        return;
    }
    let mark = match threads::begin(&UserMemory, layout, scratch.interpreters) {
        Ok(Some(search)) => {
            scratch.search = search;
            go_on(ctx, scratch, stage::FIND);
            return;
        }
        Ok(None) => {
            // Another interpreter may be on its way, and be the one that is used.
            strangers::meet(scratch.sample.pid, scratch.sample.time);
            mark::NO_INTERPRETER
        }
        Err(_) => mark::UNREADABLE,
    };
    scratch.walk = Walk::without_frames(mark, scratch.sample.generation);
    go_on(ctx, scratch, stage::PUBLISH);
}

/// What [`look_at_threads`] found, as a number: a global function returns nothing else.
mod turn {
    /// Nothing yet.
    pub const MORE: u32 = 0;
    /// The thread's state: its address is in the scratch memory, its contents in the window.
    pub const FOUND: u32 = 1;
    /// No thread state carries the id.
    pub const NOT_FOUND: u32 = 2;
    /// Memory could not be read.
    pub const UNREADABLE: u32 = 3;
}

/// Looks at the next few thread states.
///
/// A global function, as the others that are called in a loop: the verifier looks at one by itself, once, and
/// at a call of it not at all, where it walks each turn of a loop in the program itself. Kernels that do not
/// know global functions (before 5.6) take it for a static one.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn look_at_threads() -> u32 {
    let Some((scratch, layout)) = scratch() else {
        return turn::UNREADABLE;
    };
    for _ in 0..THREADS_PER_TURN {
        match threads::step(
            &UserMemory,
            layout,
            scratch.thread_pointer,
            &mut scratch.window,
            &mut scratch.search,
        ) {
            SearchStep::More => {}
            SearchStep::Found(state) => {
                if state != scratch.search.candidate {
                    scratch.search.alone = 0;
                }
                scratch.search.candidate = state;
                return turn::FOUND;
            }
            SearchStep::NotFound => return turn::NOT_FOUND,
            SearchStep::Unreadable => return turn::UNREADABLE,
        }
    }
    turn::MORE
}

/// Searches for the thread's state in the interpreters' lists.
#[perf_event]
pub fn find(ctx: PerfEventContext) -> u32 {
    let mut step = turn::MORE;
    for _ in 0..THREADS_PER_CALL / THREADS_PER_TURN {
        step = look_at_threads();
        if step != turn::MORE {
            break;
        }
    }
    let Some((scratch, layout)) = scratch() else {
        end(Outcome::Internal);
        return 0;
    };
    match step {
        turn::MORE if scratch.calls < FIND_UNTIL => go_on(&ctx, scratch, stage::FIND),
        turn::FOUND => {
            remember(scratch, scratch.search.candidate, scratch.search.alone);
            start_walk(&ctx, scratch, layout);
        }
        turn::UNREADABLE => stop(&ctx, scratch, mark::UNREADABLE),
        _ => {
            #[cfg(feature = "diagnostics")]
            aya_log_ebpf::debug!(&ctx, "thread {} has no Python state", scratch.sample.tid);
            remember(scratch, 0, 0);
            stop(&ctx, scratch, mark::NO_THREAD_STATE);
        }
    }
    0
}

/// Caches the thread's state, or that it has none; `alone` as in [`Remembered`].
#[inline(always)]
fn remember(scratch: &Scratch, state: u64, alone: u64) {
    // SAFETY: has no preconditions.
    let searched = unsafe { bpf_ktime_get_ns() } - scratch.sample.time;
    if let Some(entry) = thread_entry(scratch.sample.tid) {
        *entry = ThreadEntry {
            generation: scratch.sample.generation,
            remembered: Remembered { state, alone },
            main: 0,
            retry: scratch.sample.time + RETRY_NS + searched * RETRY_RATIO,
            tid: scratch.sample.tid,
            padding: 0,
        };
    }
}

#[inline(always)]
fn stop(ctx: &PerfEventContext, scratch: &mut Scratch, mark: u32) {
    scratch.walk = Walk::without_frames(mark, scratch.sample.generation);
    go_on(ctx, scratch, stage::PUBLISH);
}

/// Begins the walk of the thread whose state is in the window.
#[inline(always)]
fn start_walk(ctx: &PerfEventContext, scratch: &mut Scratch, layout: &Layout) {
    let interpreter = match thread_entry(scratch.sample.tid) {
        Some(entry) => threads::interpreter(&UserMemory, layout, &mut entry.main, &scratch.window),
        None => 0,
    };
    let owner = Owner {
        generation: scratch.sample.generation,
        code_type: scratch.code_type,
        interpreter,
    };
    scratch.walk = match walk::start(&UserMemory, layout, &scratch.window) {
        Ok(start) => Walk::from(start, owner),
        Err(_) => Walk::without_frames(mark::UNREADABLE, scratch.sample.generation),
    };
    scratch.stretch.clear();
    go_on(ctx, scratch, stage::WALK);
}

/// Walks the next few frames; whether there are more. A global function: see [`look_at_threads`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_frames() -> u32 {
    let Some((scratch, layout)) = scratch() else {
        return 0;
    };
    for _ in 0..FRAMES_PER_TURN {
        if !walk::step(
            &UserMemory,
            layout,
            &mut scratch.window,
            &mut scratch.stretch,
            &mut scratch.walk,
            &mut scratch.frames,
        ) {
            return 0;
        }
    }
    1
}

/// Walks the thread's frames.
#[perf_event]
pub fn walk(ctx: PerfEventContext) -> u32 {
    let mut more = 1;
    for _ in 0..FRAMES_PER_CALL / FRAMES_PER_TURN {
        more = walk_frames();
        if more == 0 {
            break;
        }
    }
    let Some((scratch, _)) = scratch() else {
        end(Outcome::Internal);
        return 0;
    };
    if more == 0 {
        go_on(&ctx, scratch, stage::PUBLISH);
    } else if scratch.calls < WALK_UNTIL {
        go_on(&ctx, scratch, stage::WALK);
    } else {
        scratch.walk.stop(mark::ROOT_LOST);
        go_on(&ctx, scratch, stage::PUBLISH);
    }
    0
}
