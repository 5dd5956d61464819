//! What a recording amounts to, independent of any output format.

use std::{sync::Arc, time::SystemTime};

use super::{budget::Kept, ledger::Ledger, memory::Memory};
use crate::host::labels::Labels;

/// A finished recording. Indices (`usize`) point into the vectors of this structure.
#[derive(Clone, Debug)]
pub struct Profile {
    /// About the recording as a whole.
    pub recording: Recording,
    /// Every Python process that ran, profiled or not.
    pub processes: Vec<Process>,
    /// Threads that have samples.
    pub threads: Vec<Thread>,
    /// Functions: name, file, first line.
    pub functions: Vec<Function>,
    /// Places in functions.
    pub locations: Vec<Location>,
    /// Distinct stacks.
    pub stacks: Vec<Stack>,
    /// Samples, added up by (process, thread, cgroup, stack).
    pub samples: Vec<Sample>,
    /// The ledger over all processes.
    pub ledger: Ledger,
}

/// About the recording as a whole.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Version of this program.
    pub version: String,
    /// The command line as typed.
    pub command_line: String,
    /// Host name.
    pub host: String,
    /// Kernel release.
    pub kernel: String,
    /// When recording began.
    pub started: SystemTime,
    /// How long it recorded, in ns.
    pub duration_ns: u64,
    /// Samples per second and CPU.
    pub rate_hz: u64,
    /// CPUs sampled.
    pub cpus: u32,
    /// CPU time of the profiler's user side, in ns.
    pub profiler_cpu_ns: u64,
    /// Time of the BPF programs, in ns; None where the kernel does not count it.
    pub profiler_bpf_ns: Option<u64>,
    /// How the profiler's budget of CPU time was kept; None: it had none.
    pub budget: Option<Kept>,
    /// How the bound of memory was kept.
    pub memory: Memory,
    /// The profiler's peak resident memory, in bytes.
    pub profiler_rss_peak_bytes: u64,
}

/// One process (one program image: an exec begins another).
#[derive(Clone, Debug)]
pub struct Process {
    /// Process id on the host.
    pub pid: u32,
    /// Parent's process id, 0 where unknown.
    pub ppid: u32,
    /// The kernel's name of it.
    pub comm: String,
    /// Its command line, words joined by spaces.
    pub command_line: String,
    /// CPython's version, "3.12.1", where known.
    pub python: Option<String>,
    /// The file that holds the interpreter, as the process sees it.
    pub interpreter: Option<String>,
    /// Path in the cgroup tree, where known.
    pub cgroup: Option<String>,
    /// Container name or short id, where it is in one.
    pub container: Option<String>,
    /// What the cgroup tells: the container's full id and runtime, pod, unit, slice.
    pub labels: Labels,
    /// Process id in its own PID namespace, where that is another than the profiler's.
    pub container_pid: Option<u32>,
    /// The user that it ran as: name, or number where the host has none.
    pub user: Option<String>,
    /// CPU time that the kernel accounted to it while profiled, in ns; None where unknown.
    pub cpu_ns: Option<u64>,
    /// Why it could not be profiled; None: it was.
    pub refused: Option<String>,
    /// So many more processes of the same program, which have ended, are in this entry: there was no memory for each.
    pub others: u32,
    /// Its samples, and theirs.
    pub ledger: Ledger,
}

/// One thread.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its process.
    pub process: usize,
    /// Thread id on the host.
    pub tid: u32,
    /// Its name.
    pub name: String,
}

/// One function. Names come from the profiled process: they are untrusted and may hold anything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Qualified name (3.11+) or plain name.
    pub name: Arc<str>,
    /// File name as the code object has it.
    pub file: Arc<str>,
    /// First line, 0 where unknown.
    pub first_line: u32,
}

/// One place in a function; line and columns as CPython gives them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The function.
    pub function: usize,
    /// Line from 1; 0: the instruction has no line.
    pub line: u32,
    /// Last line of the expression; 0 where unknown.
    pub end_line: u32,
    /// First column in UTF-8 bytes from 0; None where unknown.
    pub column: Option<u32>,
    /// Column after the last; None where unknown.
    pub end_column: Option<u32>,
}

/// A stack, root first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stack {
    /// Frames from root to leaf.
    pub frames: Vec<Frame>,
}

/// An entry of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// A Python frame.
    Python(usize),
    /// No frame, but a sign of what is missing or why there is none.
    Mark(Mark),
}

/// What stands in a stack where frames are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// So many frames were left out here.
    FramesOmitted(u32),
    /// The root is missing: the chain of frames was too long to be walked.
    RootLost,
    /// The rest of the chain could not be read.
    Unreadable,
    /// A thread of native code in a Python process.
    NoThreadState,
    /// The interpreter was starting up or shutting down.
    NoInterpreter,
    /// The thread ran no Python code.
    NoFrame,
    /// No sample of the thread is there: it ended before one met it, or all were lost. This is its CPU time.
    NotSampled,
    /// The stack was dropped, as it had not been met for longest, to stay within the bound of memory.
    Dropped,
}

impl Mark {
    /// How the mark reads where a frame would stand.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::FramesOmitted(frames) => format!("[{frames} frames omitted]"),
            Self::RootLost => "[root frames omitted]".into(),
            Self::Unreadable => "[frames unreadable]".into(),
            Self::NoThreadState => "[native thread]".into(),
            Self::NoInterpreter => "[interpreter starting or ending]".into(),
            Self::NoFrame => "[no Python frame]".into(),
            Self::NotSampled => "[not sampled]".into(),
            Self::Dropped => "[dropped: memory bound]".into(),
        }
    }
}

/// Samples with the same process, thread, cgroup and stack.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The process.
    pub process: usize,
    /// The thread.
    pub thread: usize,
    /// The stack.
    pub stack: usize,
    /// How many samples.
    pub count: u64,
    /// The time that they stand for, in ns.
    pub weight_ns: u64,
}
