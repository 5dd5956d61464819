//! Walking the thread's frames.

use aya_ebpf::{macros::perf_event, programs::PerfEventContext};
use profiler_common::{
    cpython::{
        layout::Layout,
        threads,
        walk::{self, Owner, Walk},
    },
    outcome::Outcome,
    process::Process,
    record::mark,
    shared::stage,
};

use crate::{
    chain::{WALK_UNTIL, current_process, end, end_in, go_on, scratch, scratch_and_layout},
    publish::publish_here,
    scratch::{Scratch, ThreadEntry},
    user_memory::UserMemory,
};

/// Frames that one program walks before it hands over to itself.
pub const FRAMES_PER_CALL: u32 = 160;
/// Of these, how many [`walk_frames`] walks.
const FRAMES_PER_TURN: u32 = 8;

/// Begins the walk of the thread whose state is in the window.
#[inline(always)]
pub fn start_walk(scratch: &mut Scratch, layout: &Layout, entry: &mut ThreadEntry) {
    let owner = Owner {
        generation: scratch.sample.generation,
        code_type: scratch.code_type,
        interpreter: threads::interpreter(&UserMemory, layout, &mut entry.main, &scratch.window),
        number: scratch.sample.time,
    };
    scratch.walk = match walk::start(&UserMemory, layout, &scratch.window) {
        Ok(start) => Walk::from(start, owner),
        Err(_) => Walk::without_frames(mark::UNREADABLE, scratch.sample.generation),
    };
    scratch.stretch.clear();
}

/// Walks the next few frames; whether there are more. A global function: see
/// [`crate::search::look_at_threads`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_frames() -> u32 {
    let Some((scratch, layout)) = scratch_and_layout() else {
        return 0;
    };
    for _ in 0..FRAMES_PER_TURN {
        if !walk::step(
            &UserMemory,
            layout,
            &mut scratch.window,
            &mut scratch.stretch,
            &mut scratch.codes,
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
    match current_process() {
        Some(process) => walk_here(&ctx, process),
        None => end(Outcome::Internal),
    }
    0
}

/// Walks the thread's frames, as many as one program may, and goes on.
#[inline(always)]
pub fn walk_here(ctx: &PerfEventContext, process: *mut Process) {
    let mut more = 1;
    for _ in 0..FRAMES_PER_CALL / FRAMES_PER_TURN {
        more = walk_frames();
        if more == 0 {
            break;
        }
    }
    // Not handed in: what was known of it before the frames were walked no longer holds.
    let Some(scratch) = scratch() else {
        end_in(process, Outcome::Internal);
        return;
    };
    if more != 0 {
        if scratch.calls < WALK_UNTIL {
            go_on(ctx, scratch, stage::WALK);
            return;
        }
        scratch.walk.stop(mark::ROOT_LOST);
    }
    publish_here(ctx, scratch, process);
}
