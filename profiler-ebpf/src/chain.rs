//! What the programs of a chain share: going on to the next one, and how a sample ends.

use core::arch::asm;

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, programs::PerfEventContext};
use profiler_common::{
    cpython::{
        layout::Layout,
        walk::{LEAF_FRAMES, ROOT_FRAMES},
    },
    outcome::Outcome,
    process::Process,
    shared::{Part, event},
};

use crate::{config, maps, output, scratch::Scratch, walk::FRAMES_PER_CALL};

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

/// Whether the sample is to stop behind this part of its way. What stops so is counted nowhere.
#[inline(always)]
pub fn stops_after(part: Part) -> bool {
    config::STOP_AFTER.load() == part as u32
}

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
pub fn increment(counter: *mut u64) {
    // SAFETY: callers pass pointers to aligned words of map values.
    unsafe {
        asm!("lock *(u64 *)({counter} + 0) += {one}", counter = in(reg) counter, one = in(reg) 1u64)
    };
}

/// Counts how the sample ended.
#[inline(always)]
pub fn end(outcome: Outcome) {
    match current_process() {
        Some(process) => end_in(process, outcome),
        None => count_lost(outcome),
    }
}

/// Counts how the sample ended at its process, which is that of the current thread.
#[inline(always)]
pub fn end_in(process: *mut Process, outcome: Outcome) {
    // SAFETY: a value of the map stays valid while the program runs; counters are only added to.
    let counter = unsafe { &raw mut (*process).outcomes[outcome as usize & 7] };
    increment(counter);
    count_lost(outcome);
}

#[inline(always)]
fn count_lost(outcome: Outcome) {
    if outcome != Outcome::Delivered {
        output::count(event::SAMPLE_LOST);
    }
}

/// This CPU's scratch memory.
#[inline(always)]
pub fn scratch() -> Option<&'static mut Scratch> {
    let scratch = maps::SCRATCH.get_ptr_mut(0)?;
    // SAFETY: per-CPU memory of the chain of programs that runs on this CPU, which nothing interrupts
    // that uses it too.
    Some(unsafe { &mut *scratch })
}

/// This CPU's scratch memory and the layout of the interpreter in it.
#[inline(always)]
pub fn scratch_and_layout() -> Option<(&'static mut Scratch, &'static Layout)> {
    let scratch = scratch()?;
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
