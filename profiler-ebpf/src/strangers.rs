//! Processes that use CPU time and are not under profile.
//!
//! A program may load libpython long after its start, and nothing tells of that: there is no tracepoint where
//! memory is mapped. But the kernel counts the pages that a process has mapped executable, and a library adds to
//! them. So user space is told of a process when the sampling event meets it for the first time, and when the
//! count has changed since: only processes that use CPU time are looked at, and those once.

use aya_ebpf::helpers::bpf_get_current_task;
use profiler_common::{
    record::{Stranger, kind},
    shared::STRANGER_SLOTS,
};

use crate::{
    config,
    kernel_memory::read_or_zero,
    maps,
    output::{self, To, Wake},
};

/// How long a slot of the table stays quiet after a report: at first, and at most (ns). A compiler at run time
/// maps code all the time, and must not have itself looked at each time.
const FIRST_PAUSE_NS: u64 = 10_000_000;
/// See [`FIRST_PAUSE_NS`].
const LONGEST_PAUSE_NS: u64 = 1_000_000_000;

/// A slot of the table.
///
/// CPUs write to it without a lock. Each word is written at once, and whichever of two is lost, the worst is that
/// a process is reported twice, or with its next change.
#[repr(C)]
pub struct Met {
    /// Process id and pages mapped executable: bits 40 to 63, and 0 to 39.
    who: u64,
    /// Until when there is no report (ns).
    quiet_until: u64,
    /// How long the last pause was (ns).
    pause: u64,
}

/// Reports the current process, unless it is known as it is.
#[inline(always)]
pub fn meet(pid: u32, now: u64) {
    // SAFETY: has no preconditions.
    let task = unsafe { bpf_get_current_task() };
    let memory: u64 = read_or_zero(task, config::TASK_MM.load());
    if memory == 0 {
        // A thread of the kernel.
        return;
    }
    let pages: u64 = read_or_zero(memory, config::MM_EXEC_VM.load());
    let who = u64::from(pid) << 40 | pages & ((1 << 40) - 1);
    let Some(met) = maps::STRANGERS.get_ptr_mut(pid & (STRANGER_SLOTS - 1)) else {
        return;
    };
    // SAFETY: a value of the map is always valid, and is only accessed by words; see `Met`.
    let (known, quiet_until, pause) = unsafe {
        (
            (&raw const (*met).who).read_volatile(),
            (&raw const (*met).quiet_until).read_volatile(),
            (&raw const (*met).pause).read_volatile(),
        )
    };
    // Another process in the same slot waits for its turn, too: two that are busy must not take turns in
    // waking user space.
    if known == who || now < quiet_until {
        return;
    }
    let stranger = Stranger {
        kind: kind::STRANGER,
        padding: 0,
        pid,
        time: now,
    };
    if output::send_record(To::News, &stranger, Wake::Now).is_err() {
        // It is met again.
        return;
    }
    // Changes that follow on each other double the pause; after a while without any it is short again.
    let pause = if pause == 0 || now - quiet_until > 8 * pause {
        FIRST_PAUSE_NS
    } else if pause < LONGEST_PAUSE_NS {
        2 * pause
    } else {
        pause
    };
    // SAFETY: as above.
    unsafe {
        (&raw mut (*met).pause).write_volatile(pause);
        (&raw mut (*met).quiet_until).write_volatile(now + pause);
        (&raw mut (*met).who).write_volatile(who);
    }
}
