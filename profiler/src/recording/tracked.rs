//! What is known of processes and threads, and of what happened in them.

use std::sync::Arc;

use profiler_common::process::Process as KernelProcess;

use crate::{host::process::Description, interpreter::process::Interpreter};

/// A process that is or was under profile, or could not be.
#[derive(Debug)]
pub struct Tracked {
    /// Process id on the host.
    pub pid: u32,
    /// The registration, 0 where it was refused.
    pub generation: u64,
    /// Its parent's process id, 0 where unknown.
    pub ppid: u32,
    /// What /proc told: of itself, or of the process that it was forked from.
    pub description: Arc<Description>,
    /// Its process id in its own PID namespace, where that is another than ours.
    pub container_pid: Option<u32>,
    /// Its interpreter; None where it was refused.
    pub interpreter: Option<Arc<Interpreter>>,
    /// So many others, which have ended, are in this entry.
    pub others: u32,
    /// What is known of a refused interpreter: version and path.
    pub refused_interpreter: (Option<String>, Option<String>),
    /// Why it could not be profiled.
    pub refused: Option<String>,
    /// CPU time when it came under profile (ns).
    pub cpu_begin: u64,
    /// CPU time of its living threads when recording ended (ns).
    pub cpu_end: Option<u64>,
    /// Its counters in the kernel when recording ended, where it still ran.
    pub counters: Option<Counters>,
}

impl Tracked {
    /// A process of which nothing more is known.
    #[must_use]
    pub fn new(pid: u32, ppid: u32, description: Arc<Description>) -> Self {
        Self {
            pid,
            generation: 0,
            ppid,
            container_pid: description.container_pid,
            description,
            interpreter: None,
            others: 0,
            refused_interpreter: (None, None),
            refused: None,
            cpu_begin: 0,
            cpu_end: None,
            counters: None,
        }
    }
}

/// A process's counters on the kernel side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// How often the sampling program fired.
    pub taken: u64,
    /// How it ended, by outcome.
    pub outcomes: [u64; 8],
    /// How often it fired while the filter left the thread out (of an ended process the lower bits).
    pub left_out: u64,
}

impl From<&KernelProcess> for Counters {
    fn from(process: &KernelProcess) -> Self {
        Self {
            taken: process.taken,
            outcomes: process.outcomes,
            left_out: process.left_out,
        }
    }
}

/// What happened under one registration. Kept apart from [`Tracked`], since the news has a ring buffer of its own: a
/// child's samples may be read before the news of its fork.
#[derive(Debug, Default)]
pub struct Activity {
    /// Samples that arrived and whose stack is known.
    pub delivered: u64,
    /// Of these, how many had their stack cut.
    pub truncated: u64,
    /// The periods that these stand for.
    pub periods: u64,
    /// Samples that arrived and whose stack is not known.
    pub unknown_stack: u64,
    /// CPU time of threads that ended (ns).
    pub cpu_exited: u64,
    /// Set when the process ended or execed: CPU time of what remained (ns).
    pub ended: Option<u64>,
    /// The counters, where the kernel side sent them at the end.
    pub counters: Option<Counters>,
    /// Whether it ended with an exec.
    pub execed: bool,
    /// Whether it was ended by ourselves, while the process ran: then the counters are those of a moment before
    /// the last sample.
    pub replaced: bool,
}

/// A thread that has been seen.
#[derive(Clone, Debug)]
pub struct SeenThread {
    /// Python's ident of it.
    pub ident: u64,
    /// The kernel's name of it.
    pub comm: String,
    /// The name that the program gave it, once known.
    pub name: Option<String>,
}

/// What the rest of the recording has to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A process executes another program.
    Exec {
        /// Process id.
        pid: u32,
        /// CPU time of its one thread until then (ns).
        cpu: u64,
    },
    /// A process that was registered has ended, at this time (ns of the monotonic clock).
    Ended(u32, u64),
    /// A process that is not registered was met, at this time (ns of the monotonic clock).
    Stranger(u32, u64),
    /// A sample in a registered process found no Python: what was registered may not be what is used.
    Stateless(u32),
}

/// Samples with the same registration, thread and stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The time they stand for (ns).
    pub weight_ns: u64,
}

impl Tally {
    /// Adds those of another.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.weight_ns += other.weight_ns;
    }
}
