//! The records in the ring buffers: `repr(C)`, integers only, padding explicit. The first two bytes of
//! each say what it is ([`kind`]).
//!
//! Order: a ring buffer belongs to a set of CPUs; what a CPU writes is read in the order of writing. A
//! stack is sent before the first sample that names it, and a code object before the first stack that
//! holds it, on the same CPU. The news of processes and cgroups ([`Fork`], [`Lifecycle`], [`Final`],
//! [`Stranger`], [`Cgroup`]) has a ring buffer of its own, for all CPUs: a fork on one CPU is read before
//! the child's exec on another.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a record is.
pub mod kind {
    /// [`super::Sample`].
    pub const SAMPLE: u16 = 1;
    /// [`super::Stack`], followed by its frames.
    pub const STACK: u16 = 2;
    /// [`super::Code`], followed by name, file name and line table.
    pub const CODE: u16 = 3;
    /// [`super::Piece`], followed by its bytes.
    pub const PIECE: u16 = 4;
    /// [`super::Fork`].
    pub const FORK: u16 = 5;
    /// [`super::Lifecycle`]: a process executes another program.
    pub const EXEC: u16 = 6;
    /// [`super::Lifecycle`]: a thread ended.
    pub const EXIT: u16 = 7;
    /// [`super::Thread`].
    pub const THREAD: u16 = 8;
    /// [`super::Stranger`].
    pub const STRANGER: u16 = 9;
    /// [`super::Cgroup`], followed by its path.
    pub const CGROUP: u16 = 10;
    /// [`super::Final`].
    pub const FINAL: u16 = 11;
}

/// Marks of a stack: what stands where frames are missing. They are part of the stack's identity.
pub mod mark {
    /// Frames in the middle were left out: the leaf part and the root part were kept.
    pub const CUT: u32 = 1 << 0;
    /// The walk gave up before the root: the chain was longer than any walk, or goes in circles.
    pub const ROOT_LOST: u32 = 1 << 1;
    /// The chain could not be read to its end: memory was not present.
    pub const UNREADABLE: u32 = 1 << 2;
    /// The thread has no Python thread state: a thread of native code in a Python process.
    pub const NO_THREAD_STATE: u32 = 1 << 3;
    /// The interpreter has no state yet, or no longer: starting up or shutting down.
    pub const NO_INTERPRETER: u32 = 1 << 4;
    /// The thread has a Python state but runs no Python frame.
    pub const NO_FRAME: u32 = 1 << 5;
    /// Time of a thread that ended before a sample met it, or all of whose samples were lost. No sample has this
    /// mark: user space makes it.
    pub const NOT_SAMPLED: u32 = 1 << 6;
    /// What stood here was dropped by user space, to stay within its bound of memory. No sample has this mark.
    pub const DROPPED: u32 = 1 << 7;
}

/// One sample: what is sent each time in the steady state. 56 bytes, 64 with the ring buffer's header.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// [`kind::SAMPLE`].
    pub kind: u16,
    /// The CPU it was taken on.
    pub cpu: u16,
    /// How many periods of the sampling event this firing stands for: more than 1 where it came late.
    pub periods: u16,
    /// The lower bits of [`crate::process::Process::left_out`]: where they have changed since the thread's last
    /// sample, it may have run meanwhile without being wanted.
    pub left_out: u16,
    /// When (ns, CLOCK_MONOTONIC).
    pub time: u64,
    /// Which registration of the process ([`crate::process::Process::generation`]).
    pub generation: u64,
    /// Which stack ([`Stack::id`]).
    pub stack: u64,
    /// The cgroup v2 id, 0 where unknown.
    pub cgroup: u64,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// CPU time of the thread since it began, in ns, as the scheduler had accounted it by then: what the
    /// samples weigh is made of its growth.
    pub runtime: u64,
}

/// A stack met for the first time on a CPU; [`StackFrame`]s follow, leaf first: `leaf_frames` from the
/// leaf on, then, where frames were left out, `root_frames` up to the root.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// [`kind::STACK`].
    pub kind: u16,
    /// Explicit padding.
    pub padding: u16,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// The registration of the process.
    pub generation: u64,
    /// Hash over frames and marks.
    pub id: u64,
    /// Bits of [`mark`].
    pub marks: u32,
    /// How many Python frames the thread had, as far as walked.
    pub depth: u32,
    /// Frames from the leaf on that follow.
    pub leaf_frames: u32,
    /// Frames up to the root that follow.
    pub root_frames: u32,
}

/// One frame of a [`Stack`].
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackFrame {
    /// Identity of the code object ([`Code::key`]).
    pub key: u64,
    /// Address of the code object.
    pub address: u64,
    /// Where in the instructions, in bytes; negative: before the first; [`UNKNOWN_INSTRUCTION`]: not known.
    pub instruction: i32,
    /// The lower half of the `id` of the interpreter that runs it: 0 is the main one.
    pub interpreter: u32,
}

/// What [`StackFrame::instruction`] is where the frame's pointer lies in no known copy of the bytecode.
pub const UNKNOWN_INSTRUCTION: i32 = i32::MAX;

/// A code object met for the first time on a CPU. The first bytes of name, file name and line table
/// follow, in this order, as many as the `*_sent` fields say; the rest comes in [`Piece`]s.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// [`kind::CODE`].
    pub kind: u16,
    /// Bits of [`missing`]: what could not be read.
    pub missing: u16,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// The registration of the process.
    pub generation: u64,
    /// The identity: a hash over the address and the words that change when the address is reused.
    pub key: u64,
    /// Address of the code object.
    pub address: u64,
    /// `co_firstlineno`.
    pub first_line: i32,
    /// Bytes per code point of the name: 1 (Latin-1 or ASCII), 2 or 4.
    pub name_kind: u8,
    /// Bytes per code point of the file name.
    pub file_kind: u8,
    /// Explicit padding.
    pub padding: u16,
    /// Whole length of the name in bytes.
    pub name_bytes: u32,
    /// Whole length of the file name in bytes.
    pub file_bytes: u32,
    /// Whole length of the line table in bytes.
    pub table_bytes: u32,
    /// Bytes of the name in this record.
    pub name_sent: u32,
    /// Bytes of the file name in this record.
    pub file_sent: u32,
    /// Bytes of the line table in this record.
    pub table_sent: u32,
}

/// Bits of [`Code::missing`].
pub mod missing {
    /// The (qualified) name.
    pub const NAME: u16 = 1 << 0;
    /// The file name.
    pub const FILE: u16 = 1 << 1;
    /// The line table.
    pub const TABLE: u16 = 1 << 2;
}

/// Which part of a code object a [`Piece`] continues.
pub mod section {
    /// The (qualified) name.
    pub const NAME: u16 = 0;
    /// The file name.
    pub const FILE: u16 = 1;
    /// The line table.
    pub const TABLE: u16 = 2;
}

/// A further piece of a code object's name, file name or line table; its bytes follow.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// [`kind::PIECE`].
    pub kind: u16,
    /// One of [`section`].
    pub section: u16,
    /// Where in the section the bytes belong.
    pub offset: u32,
    /// The registration of the process.
    pub generation: u64,
    /// [`Code::key`].
    pub key: u64,
    /// How many bytes follow.
    pub bytes: u32,
    /// Explicit padding.
    pub padding: u32,
}

/// A process under profile was forked.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Fork {
    /// [`kind::FORK`].
    pub kind: u16,
    /// Explicit padding.
    pub padding: u16,
    /// The child's process id in the initial pid namespace.
    pub pid: u32,
    /// The parent's process id.
    pub parent_pid: u32,
    /// Explicit padding.
    pub padding2: u32,
    /// The parent's registration.
    pub parent: u64,
    /// The child's registration, which is also when it began (ns, CLOCK_MONOTONIC); 0 where it has none, since the map
    /// of processes is full.
    pub generation: u64,
}

/// A process execed, or a thread ended.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Lifecycle {
    /// [`kind::EXEC`] or [`kind::EXIT`].
    pub kind: u16,
    /// For EXIT: 1 where it was the last thread of the process.
    pub last: u16,
    /// The process.
    pub pid: u32,
    /// The thread that ended (EXIT) or called exec, by the id that it had then (EXEC).
    pub tid: u32,
    /// The lower bits of [`crate::process::Process::left_out`].
    pub left_out: u32,
    /// When (ns, CLOCK_MONOTONIC).
    pub time: u64,
    /// The registration of the process; 0 where it is not registered.
    pub generation: u64,
    /// CPU time of the thread (ns, `task->se.sum_exec_runtime`).
    pub cpu: u64,
    /// For EXEC and the last EXIT of a registered process: [`crate::process::Process::taken`].
    pub taken: u64,
    /// Likewise [`crate::process::Process::outcomes`].
    pub outcomes: [u64; 8],
}

/// A thread met for the first time on a CPU.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Thread {
    /// [`kind::THREAD`].
    pub kind: u16,
    /// Explicit padding.
    pub padding: u16,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// Explicit padding.
    pub padding2: u32,
    /// The registration of the process.
    pub generation: u64,
    /// The thread's pointer (pthread_self): what CPython calls its ident.
    pub ident: u64,
    /// The thread's name as the kernel has it, NUL-terminated.
    pub comm: [u8; 16],
}

/// Bytes of a path in a [`Cgroup`] record at most: what the tracepoint has room for (`TRACE_CGROUP_PATH_LEN`,
/// Linux include/linux/cgroup.h).
pub const CGROUP_PATH_BYTES: usize = 1024;

/// A cgroup was made; its path from the root of its hierarchy follows.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Cgroup {
    /// [`kind::CGROUP`].
    pub kind: u16,
    /// Explicit padding.
    pub padding: u16,
    /// The number of its hierarchy, as in /proc/PID/cgroup: 0 is version 2.
    pub hierarchy: u32,
    /// How far below the root it is.
    pub level: u32,
    /// Bytes of the path.
    pub path_bytes: u32,
    /// Its id: the inode number of its directory.
    pub id: u64,
}

/// A process that uses CPU time and is not under profile: met for the first time, or with other code mapped
/// than when it was met last.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Stranger {
    /// [`kind::STRANGER`].
    pub kind: u16,
    /// Explicit padding.
    pub padding: u16,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// When (ns, CLOCK_MONOTONIC).
    pub time: u64,
}

/// What a thread that has ended used in all: its end itself is reported before all of it is accounted.
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug)]
pub struct Final {
    /// [`kind::FINAL`].
    pub kind: u16,
    /// Explicit padding.
    pub padding: u16,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// The registration of its process.
    pub generation: u64,
    /// Its CPU time (ns).
    pub cpu: u64,
}

const _: () = assert!(size_of::<Sample>() == 56);
const _: () = assert!(size_of::<Stack>() == 40);
const _: () = assert!(size_of::<StackFrame>() == 24);
const _: () = assert!(size_of::<Code>() == 64);
const _: () = assert!(size_of::<Piece>() == 32);
const _: () = assert!(size_of::<Fork>() == 32);
const _: () = assert!(size_of::<Lifecycle>() == 112);
const _: () = assert!(size_of::<Thread>() == 48);
const _: () = assert!(size_of::<Cgroup>() == 24);
const _: () = assert!(size_of::<Stranger>() == 16);
const _: () = assert!(size_of::<Final>() == 24);
