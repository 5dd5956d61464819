//! Putting processes under profile that were found.

use std::sync::Arc;

use profiler_common::process::{FOLLOW_CHILDREN, Process as KernelProcess, STALE};

use super::{
    collector::Collector,
    discovery::{Look, Scope},
    selection::Selection,
    tracked::{Counters, Tracked},
};
use crate::{
    host::{self, clock::monotonic_ns},
    interpreter::{Found, Interpreter, version::PythonVersion},
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
    look: Look,
) -> Result<(), KernelError> {
    let pid = look.pid;
    if let Found::Python(found) = &look.found
        && let Some(process) = registry
            .process(pid)
            .filter(|process| process.flags & STALE == 0)
    {
        // Registered already, by its parent's fork or by an earlier look.
        let registered = collector
            .tracked(process.generation)
            .and_then(|tracked| tracked.interpreter.clone());
        if !registered.is_some_and(|registered| is_used_instead(pid, &registered, found)) {
            note_others(collector, pid, &process, found);
            return Ok(());
        }
        registry.forget(pid);
        let threads = host::process::cpu_by_thread(pid);
        collector.replace(process.generation, Counters::from(&process), &threads);
    }
    let description = look
        .description
        .unwrap_or_else(|| host::process::describe(pid));
    let mut has_room = true;
    let mut tracked = Tracked::new(pid, description.ppid, Arc::new(description));
    match look.found {
        Found::Python(interpreter) => match registry.layout(&interpreter.layout)? {
            Some(layout) => {
                tracked.generation = monotonic_ns();
                let is_wanted = selection
                    .as_deref_mut()
                    .is_none_or(|selection| selection.meet(pid, tracked.generation));
                for (tid, now) in host::process::cpu_by_thread(pid) {
                    let begin = match look.cpu_at_exec.filter(|_| is_wanted) {
                        Some(cpu) if tid == pid => cpu.min(now),
                        // It began after the exec, which no other thread survives.
                        Some(_) => 0,
                        None => now,
                    };
                    tracked.cpu_begin += begin;
                    collector.begin((tracked.generation, tid), begin, now);
                }
                let mut process = kernel_process(&interpreter, layout, tracked.generation, scope);
                if let Some(selection) = &mut selection {
                    process.flags |= selection.flags(pid);
                }
                if registry.register(pid, &process).is_err() {
                    tracked.generation = 0;
                    has_room = false;
                }
                if is_wanted {
                    for other in &interpreter.beside {
                        collector.track(beside(&tracked, other, &interpreter.path));
                    }
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
        Found::NotPython | Found::Starting | Found::Gone => return Ok(()),
    }
    if tracked.generation == 0
        && let Some(selection) = selection
        && !selection.matches(pid)
    {
        // Nobody asked for it.
        return Ok(());
    }
    if has_room {
        collector.track(tracked);
    } else {
        collector.track_without_room(tracked);
    }
    Ok(())
}

/// Whether a process that is registered with one interpreter runs another, and not that one.
fn is_used_instead(pid: u32, registered: &Interpreter, other: &Interpreter) -> bool {
    registered.interpreters != other.interpreters && !registered.runs_in(pid) && other.runs_in(pid)
}

/// Lists what else of Python runs in a process that is under profile.
fn note_others(collector: &mut Collector, pid: u32, process: &KernelProcess, found: &Interpreter) {
    let Some(tracked) = collector.tracked(process.generation) else {
        return;
    };
    let Some(profiled) = &tracked.interpreter else {
        return;
    };
    let first = (found.version, found.path.clone(), found.interpreters);
    let others: Vec<Tracked> = std::iter::once(&first)
        .chain(&found.beside)
        .filter(|(_, _, interpreters)| *interpreters != profiled.interpreters)
        .map(|other| beside(tracked, other, &profiled.path))
        .collect();
    for other in others {
        let is_listed = collector.processes.iter().any(|process| {
            process.pid == pid
                && process.refused.is_some()
                && process.refused_interpreter == other.refused_interpreter
        });
        if !is_listed {
            collector.track(other);
        }
    }
}

/// The entry of an interpreter that runs beside the one that is profiled.
fn beside(tracked: &Tracked, other: &(PythonVersion, String, u64), profiled: &str) -> Tracked {
    let (version, path, _) = other;
    Tracked {
        refused_interpreter: (Some(version.to_string()), Some(path.clone())),
        refused: Some(format!(
            "the process runs two interpreters, and the other one is profiled: {profiled}"
        )),
        ..Tracked::new(tracked.pid, tracked.ppid, Arc::clone(&tracked.description))
    }
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
