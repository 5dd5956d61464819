//! What a recording is asked for, how far it has come, and why there may be none.

use std::{io, time::Duration};

use profiler_common::shared::Part;

use super::{
    discovery::Scope,
    selection::{self, term::Term},
};
use crate::{
    kernel::{Clock, KernelError},
    profile::budget::Budget,
};

/// What the profiler may take of memory unless said otherwise (bytes).
pub const DEFAULT_MEMORY: u64 = 512 << 20;

/// What to record.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which processes are looked at.
    pub scope: Scope,
    /// Which of them are wanted; empty: all.
    pub terms: Vec<Term>,
    /// Which are wanted wherever they run, where terms say where.
    pub named: Scope,
    /// For how long; None: until told to stop or until all targets have ended.
    pub duration: Option<Duration>,
    /// Samples per second and CPU.
    pub rate_hz: u64,
    /// What the profiler may spend itself: it samples more slowly where it must. None: what it takes.
    pub max_overhead: Option<Budget>,
    /// What the profiler may take of memory, in bytes: what has not been met for longest is dropped where there is more.
    pub max_memory: u64,
    /// What the sampling event counts.
    pub clock: Clock,
    /// Bytes of each CPU's ring buffer; None: by the number of CPUs.
    pub ring_bytes: Option<u32>,
    /// Processes under profile at a time; None: as many as the host makes likely.
    pub max_processes: Option<u32>,
    /// Whether the kernel is to count what the programs cost.
    pub count_run_time: bool,
    /// Whether Python's own names of threads are wanted.
    pub thread_names: bool,
    /// How far samples go, for measurements: those of the steady state that stop on the way are no part of the
    /// profile, nor of its ledger. None: all the way.
    pub stop_after: Option<Part>,
    /// The command line as typed.
    pub command_line: String,
}

impl Options {
    /// How it is recorded where nothing else is said.
    #[must_use]
    pub fn new(scope: Scope, rate_hz: u64) -> Self {
        Self {
            scope,
            terms: Vec::new(),
            named: Scope::All,
            duration: None,
            rate_hz,
            clock: Clock::default(),
            ring_bytes: None,
            max_processes: None,
            count_run_time: false,
            max_overhead: None,
            max_memory: DEFAULT_MEMORY,
            thread_names: false,
            stop_after: None,
            command_line: String::new(),
        }
    }
}

/// What is known while recording, for a person to see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Since sampling began.
    pub elapsed: Duration,
    /// Samples that arrived.
    pub samples: u64,
    /// Processes under profile so far.
    pub processes: usize,
    /// Samples lost so far.
    pub lost: u64,
}

/// Why a recording could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel side.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// There is a budget, and no telling what the programs spend of it.
    #[error("--max-overhead: the kernel does not tell what eBPF programs cost")]
    Uncounted,
    /// What is wanted cannot be.
    #[error(transparent)]
    Selection(#[from] selection::Error),
    /// The command could not be launched.
    #[error("cannot run {program}: {error}")]
    Launch {
        /// What was to be run.
        program: String,
        /// What the system says.
        error: io::Error,
    },
}
