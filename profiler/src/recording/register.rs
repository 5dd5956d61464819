//! Putting processes under profile that were found.

use std::sync::Arc;

use profiler_common::process::{FOLLOW_CHILDREN, Process as KernelProcess, STALE};

use super::{
    collector::{Collector, Tracked},
    discovery::Scope,
    selection::Selection,
};
use crate::{
    host,
    interpreter::{Found, Interpreter},
    kernel::{KernelError, registry::Registry},
};

/// Why a process for which there was no room is not under profile, and what to do.
#[must_use]
pub fn full(capacity: u32) -> String {
    format!("the map of processes is full ({capacity}): make it larger with --max-processes")
}

/// Acts on what was found of a process, which is looked at because of a scope, and may be wanted or not.
///
/// # Errors
/// Where the map of layouts cannot be written.
pub fn settle(
    registry: &mut Registry,
    collector: &mut Collector,
    (scope, mut selection): (&Scope, Option<&mut Selection>),
    pid: u32,
    found: Found,
) -> Result<(), KernelError> {
    let is_registered = registry
        .process(pid)
        .is_some_and(|process| process.flags & STALE == 0);
    match found {
        // Registered already, by its parent's fork.
        Found::Python(_) if is_registered => return Ok(()),
        Found::NotPython | Found::Starting | Found::Gone => return Ok(()),
        _ => {}
    }
    let description = host::process::describe(pid);
    let mut tracked = Tracked::new(pid, description.ppid, Arc::new(description));
    match found {
        Found::Python(interpreter) => match registry.layout(&interpreter.layout)? {
            Some(layout) => {
                tracked.generation = monotonic_ns();
                for (tid, ns) in host::process::cpu_by_thread(pid) {
                    tracked.cpu_begin += ns;
                    collector.scale.begin((tracked.generation, tid), ns);
                }
                let mut process = kernel_process(&interpreter, layout, tracked.generation, scope);
                if let Some(selection) = &mut selection {
                    process.flags |= selection.flags(pid);
                    selection.meet(pid, tracked.generation);
                }
                if registry.register(pid, &process).is_err() {
                    tracked.generation = 0;
                    tracked.refused = Some(full(registry.capacity()));
                }
                tracked.interpreter = Some(collector.interpreter(interpreter));
            }
            None => {
                tracked.refused = Some("too many different interpreters on this host".into());
            }
        },
        Found::Refused {
            version,
            interpreter,
            reason,
        } => {
            tracked.refused_interpreter = (version, interpreter);
            tracked.refused = Some(reason);
        }
        Found::Unreadable(reason) => {
            tracked.refused = Some(format!("its memory map cannot be read: {reason}"));
        }
        Found::NotPython | Found::Starting | Found::Gone => {}
    }
    if tracked.generation == 0
        && let Some(selection) = selection
        && !selection.matches(pid)
    {
        // Nobody asked for it.
        return Ok(());
    }
    collector.track(tracked);
    Ok(())
}

/// The map's value for a process.
fn kernel_process(
    interpreter: &Interpreter,
    layout: u32,
    generation: u64,
    scope: &Scope,
) -> KernelProcess {
    KernelProcess {
        generation,
        interpreters: interpreter.interpreters,
        current_thread: interpreter.current_thread,
        code_type: interpreter.code_type,
        layout,
        flags: if scope.follows_children() {
            FOLLOW_CHILDREN
        } else {
            0
        },
        taken: 0,
        outcomes: [0; 8],
        left_out: 0,
    }
}

/// The clock that tells registrations apart, in ns: the kernel side takes it too.
fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is valid for writes; this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
