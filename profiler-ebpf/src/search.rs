//! Which Python thread state the thread has: what is remembered of it, and the search where nothing is.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::perf_event, programs::PerfEventContext};
use profiler_common::{
    cpython::{
        layout::Layout,
        threads::{self, Remembered, SearchStep},
        walk::Walk,
    },
    outcome::Outcome,
    record::mark,
    shared::stage,
};

use crate::{
    chain::{FIND_UNTIL, end, go_on, scratch_and_layout},
    config, maps,
    scratch::{Scratch, ThreadEntry},
    strangers,
    user_memory::UserMemory,
    walk::start_walk,
};

/// Thread states that one program looks at before it hands over to itself.
const THREADS_PER_CALL: u32 = 1024;
/// Of these, how many [`look_at_threads`] looks at.
const THREADS_PER_TURN: u32 = 16;
/// How long a thread without Python state, or without the GIL, is not searched for again (ns).
const RETRY_NS: u64 = 10_000_000;
/// It is this many times as long where the search took long: among thousands of threads.
const RETRY_RATIO: u64 = 256;

/// Where this CPU remembers a thread, which need not be the one that is there.
#[inline(always)]
pub fn thread_entry(tid: u32) -> Option<&'static mut ThreadEntry> {
    let entry = maps::THREADS.get_ptr_mut(tid & config::THREAD_MASK.load())?;
    // SAFETY: per-CPU memory that only the sampling programs use.
    Some(unsafe { &mut *entry })
}

/// Begins the search for the thread's state.
#[inline(always)]
pub fn search(ctx: &PerfEventContext, scratch: &mut Scratch, layout: &Layout) {
    if let Some(state) = threads::current(
        &UserMemory,
        layout,
        scratch.current_thread,
        scratch.thread_pointer,
        &mut scratch.window,
    ) {
        walk_behind_search(ctx, scratch, layout, state, 0);
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
    let Some((scratch, layout)) = scratch_and_layout() else {
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
    let Some((scratch, layout)) = scratch_and_layout() else {
        end(Outcome::Internal);
        return 0;
    };
    match step {
        turn::MORE if scratch.calls < FIND_UNTIL => go_on(&ctx, scratch, stage::FIND),
        turn::FOUND => {
            let (state, alone) = (scratch.search.candidate, scratch.search.alone);
            walk_behind_search(&ctx, scratch, layout, state, alone);
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

/// Goes on to the walk of the thread whose state was found; `alone` as in [`Remembered`].
#[inline(always)]
fn walk_behind_search(
    ctx: &PerfEventContext,
    scratch: &mut Scratch,
    layout: &Layout,
    state: u64,
    alone: u64,
) {
    remember(scratch, state, alone);
    match thread_entry(scratch.sample.tid) {
        Some(entry) => {
            start_walk(scratch, layout, entry);
            go_on(ctx, scratch, stage::WALK);
        }
        None => end(Outcome::Internal),
    }
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
