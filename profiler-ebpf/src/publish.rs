//! The end of a sample: sending it, and before it the stack where that is new.

use core::arch::asm;

use aya_ebpf::{macros::perf_event, programs::PerfEventContext};
use profiler_common::{
    cpython::walk::{LEAF_FRAMES, ROOT_FRAMES},
    outcome::Outcome,
    process::Process,
    record::{Stack, StackFrame, kind, mark},
    shared::{CODE_SLOTS, Part, STACK_SLOTS, stage},
};

use crate::{
    chain::{end, end_in, go_on, scratch, stops_after},
    maps,
    output::{self, To, Wake},
    scratch::{MISSING_SLOTS, Scratch},
};

/// Frames that [`note_missing`] looks at.
const FRAMES_PER_TURN: u32 = 16;

const _: () = assert!(((LEAF_FRAMES + ROOT_FRAMES) as u32).is_multiple_of(FRAMES_PER_TURN));

/// Sends the sample if its stack is known; else goes on to what must be sent before.
#[inline(always)]
pub fn publish_here(ctx: &PerfEventContext, scratch: &mut Scratch, process: *mut Process) {
    if stops_after(Part::Walk) {
        return;
    }
    if names_known_stack(scratch) {
        if stops_after(Part::Stack) {
            return;
        }
        end_in(process, send_sample(scratch));
    } else {
        go_on(ctx, scratch, stage::PUBLISH);
    }
}

/// Has the sample name the stack that was walked. Whether this CPU has sent that.
#[inline(always)]
fn names_known_stack(scratch: &mut Scratch) -> bool {
    if scratch.walk.depth == 0 && scratch.walk.marks == 0 {
        // Only shims and incomplete frames.
        scratch.walk.marks = mark::NO_FRAME;
    }
    let id = scratch.walk.id();
    scratch.sample.stack = id;
    maps::SENT_STACKS
        .get(id as u32 & (STACK_SLOTS - 1))
        .is_some_and(|&sent| sent == id)
}

/// Sends the sample if its stack is known, as that without frames of a thread that was searched for in vain may
/// be; else lists the code objects that must be sent before.
#[perf_event]
pub fn publish(ctx: PerfEventContext) -> u32 {
    let Some(scratch) = scratch() else {
        end(Outcome::Internal);
        return 0;
    };
    if names_known_stack(scratch) {
        end(send_sample(scratch));
        return 0;
    }
    scratch.stack = Stack {
        kind: kind::STACK,
        padding: 0,
        pid: scratch.sample.pid,
        generation: scratch.sample.generation,
        id: scratch.sample.stack,
        marks: scratch.walk.marks,
        depth: scratch.walk.depth,
        leaf_frames: scratch.walk.leaf_frames(),
        root_frames: scratch.walk.root_frames(),
    };
    scratch.missing_count.set(0);
    scratch.missing_next.set(0);
    scratch.incomplete = 0;
    scratch.unread = 0;
    scratch.pieces.sent = [0; 3];
    scratch.pieces.bytes = [0; 3];
    for turn in 0..(LEAF_FRAMES + ROOT_FRAMES) as u32 / FRAMES_PER_TURN {
        if note_missing(turn * FRAMES_PER_TURN) == 0 {
            break;
        }
    }
    go_on_behind_noted(&ctx)
}

/// Sends what is missing, or the stack where nothing is.
#[inline(always)]
fn go_on_behind_noted(ctx: &PerfEventContext) -> u32 {
    let Some(scratch) = scratch() else {
        end(Outcome::Internal);
        return 0;
    };
    let next = if scratch.missing_count.get() > 0 {
        stage::CAPTURE
    } else {
        stage::FINISH
    };
    go_on(ctx, scratch, next);
    0
}

/// Notes which of the frames from `first` on have code objects to be sent; whether there are frames behind
/// these. A global function: see [`crate::search::look_at_threads`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn note_missing(first: u32) -> u32 {
    let Some(scratch) = scratch() else {
        return 0;
    };
    for offset in 0..FRAMES_PER_TURN {
        let index = first + offset;
        if index >= scratch.stack.leaf_frames + scratch.stack.root_frames {
            return 0;
        }
        note_if_missing(scratch, index);
    }
    1
}

/// Frame number `index` of those kept: first the leaf's, then the root's as they lie in their ring.
#[inline(always)]
pub fn kept_frame(scratch: &Scratch, index: u32) -> StackFrame {
    const LAST: u64 = (LEAF_FRAMES + ROOT_FRAMES - 1) as u64;
    let mut index = u64::from(index);
    // The verifier wants the bound checked on the very register that is then used; LLVM, where it knows
    // the bound from elsewhere, would leave the check out.
    // SAFETY: no instructions.
    unsafe { asm!("/* {0} */", inout(reg) index) };
    if index > LAST {
        index = LAST;
    }
    let frames = (&raw const scratch.frames).cast::<StackFrame>();
    // SAFETY: the two arrays of frames lie one behind the other, `index` is below their common length.
    unsafe { *frames.add(index as usize) }
}

#[inline(always)]
fn note_if_missing(scratch: &mut Scratch, index: u32) {
    let key = kept_frame(scratch, index).key;
    if maps::SENT_CODE
        .get(key as u32 & (CODE_SLOTS - 1))
        .is_some_and(|&sent| sent == key)
    {
        return;
    }
    let count = scratch.missing_count.get() as usize;
    if count < MISSING_SLOTS {
        scratch.missing[count & (MISSING_SLOTS - 1)] = index as u16;
        scratch.missing_count.set(count as u32 + 1);
    } else {
        scratch.incomplete = 1;
    }
}

/// Sends the new stack and its sample.
#[perf_event]
pub fn finish(ctx: PerfEventContext) -> u32 {
    let Some(scratch) = scratch() else {
        end(Outcome::Internal);
        return 0;
    };
    let header = size_of::<Stack>() as u64;
    let frame = size_of::<StackFrame>() as u64;
    let frames = u64::from(scratch.stack.leaf_frames) + u64::from(scratch.stack.root_frames);
    let limit = (LEAF_FRAMES + ROOT_FRAMES) as u64;
    let frames = if frames > limit { limit } else { frames };
    let data = (&raw const scratch.stack).cast::<u8>();
    // User space reads what is missing from the process, for as long as it lives and the function does.
    let wake = if scratch.incomplete | scratch.unread == 0 {
        Wake::WhenFilling
    } else {
        Wake::Now
    };
    // SAFETY: the frames lie right behind the header in the scratch memory, `limit` of them.
    if unsafe { output::send(To::Samples, data, header + frames * frame, wake) }.is_err() {
        end(Outcome::StackRingBufferFull);
        return 0;
    }
    if scratch.incomplete == 0 {
        let id = scratch.stack.id;
        if let Some(slot) = maps::SENT_STACKS.get_ptr_mut(id as u32 & (STACK_SLOTS - 1)) {
            // SAFETY: per-CPU memory that only the sampling programs use.
            unsafe { *slot = id };
        }
    }
    #[cfg(feature = "diagnostics")]
    aya_log_ebpf::debug!(
        &ctx,
        "thread {} sent a stack of {} frames",
        scratch.sample.tid,
        frames
    );
    #[cfg(not(feature = "diagnostics"))]
    let _ = ctx;
    end(send_sample(scratch));
    0
}

/// Sends the sample; returns how it ended.
#[inline(always)]
fn send_sample(scratch: &Scratch) -> Outcome {
    match output::send_record(To::Samples, &scratch.sample, Wake::WhenFilling) {
        Ok(()) => Outcome::Delivered,
        Err(output::Full) => Outcome::RingBufferFull,
    }
}
