//! Per-CPU working memory. The sampling event cannot interrupt itself on a CPU, so that a chain of
//! programs has it for itself.

use profiler_common::{
    cpython::{
        code::CodeFields,
        threads::{Remembered, Search},
        walk::{Frames, MetCodes, Walk},
    },
    memory::{Stretch, Window},
    record,
};

/// Code objects that one chain of programs sends at most; a stack with more is sent again when met again.
pub const MISSING_SLOTS: usize = 64;
/// Bytes of a name or file name in the first record.
pub const INLINE_TEXT: usize = 1024;
/// Bytes of a line table in the first record.
pub const INLINE_TABLE: usize = 4096;

/// A number that stays in memory. The verifier does not follow what is in map memory, so that a loop
/// which counts there looks the same to it each time round; in a register, each count would be a state of
/// its own to explore.
#[repr(transparent)]
pub struct InMemory(u32);

impl InMemory {
    /// The number.
    #[inline(always)]
    pub fn get(&self) -> u32 {
        // SAFETY: a reference is valid for reads.
        unsafe { (&raw const self.0).read_volatile() }
    }

    /// Changes the number.
    #[inline(always)]
    pub fn set(&mut self, value: u32) {
        // SAFETY: a unique reference is valid for writes.
        unsafe { (&raw mut self.0).write_volatile(value) }
    }
}

/// The state of the sample that is being taken.
#[repr(C)]
pub struct Scratch {
    /// Copy of target memory.
    pub window: Window,
    /// Copy of the frames that are being walked.
    pub stretch: Stretch,
    /// Code objects that the walk has met.
    pub codes: MetCodes,
    /// The sample to send.
    pub sample: record::Sample,
    /// Address of `PyCode_Type`.
    pub code_type: u64,
    /// The thread's pointer: what Python calls its ident.
    pub thread_pointer: u64,
    /// The list of interpreters.
    pub interpreters: u64,
    /// The pointer to the thread state that holds the GIL.
    pub current_thread: u64,
    /// Index of the layout.
    pub layout: u32,
    /// Tail calls so far.
    pub calls: u32,
    /// The search for the thread state.
    pub search: Search,
    /// The walk.
    pub walk: Walk,
    /// Frames whose code objects must be sent.
    pub missing: [u16; MISSING_SLOTS],
    /// How many of them.
    pub missing_count: InMemory,
    /// The next of them to send.
    pub missing_next: InMemory,
    /// Whether some code object could not be sent: then the stack does not count as sent.
    pub incomplete: u32,
    /// Whether some part of a code object could not be read: user space may still read it while the process lives.
    pub unread: u32,
    /// What of a code object is still to be sent in pieces.
    pub pieces: Pieces,
    /// The header of the stack's record; the frames follow it, so that it is sent as it lies.
    pub stack: record::Stack,
    /// The frames.
    pub frames: Frames,
}

// A per-CPU value cannot be larger: PCPU_MIN_UNIT_SIZE, Linux include/linux/percpu.h.
const _: () = assert!(size_of::<Scratch>() <= 32 << 10);

/// What of a code object is still to be sent: per section its address and the bytes from where to where.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pieces {
    /// Identity of the code object.
    pub key: u64,
    /// Address of the section's first byte.
    pub address: [u64; 3],
    /// Bytes sent.
    pub sent: [u32; 3],
    /// Bytes in all.
    pub bytes: [u32; 3],
}

/// Where a code object's record is put together.
#[repr(C)]
pub struct Capture {
    /// What it refers to.
    pub fields: CodeFields,
    /// The header.
    pub code: record::Code,
    /// Name, file name and line table, each as far as it fits, without gaps.
    pub data: [u8; 2 * INLINE_TEXT + INLINE_TABLE],
    /// A piece to send.
    pub piece: record::Piece,
    /// Its bytes.
    pub piece_data: [u8; PIECE_BYTES],
}

/// Bytes of a piece.
pub const PIECE_BYTES: usize = 4096;

/// The firing of the event on one CPU (ns).
#[repr(C)]
pub struct Clock {
    /// When it fired first.
    pub first: u64,
    /// When it fired last.
    pub last: u64,
    /// The process that is not under profile which was looked at last.
    pub stranger: u64,
    /// When that was.
    pub met: u64,
    /// How often the event had been restarted by then.
    pub restarts: u64,
}

/// A thread and its Python thread state.
#[repr(C)]
pub struct ThreadEntry {
    /// The registration of its process.
    pub generation: u64,
    /// The thread state; address 0: it has none.
    pub remembered: Remembered,
    /// Address of the main interpreter's state, once met.
    pub main: u64,
    /// For a thread without state, or without the GIL: when to search again (ns).
    pub retry: u64,
    /// Thread id.
    pub tid: u32,
    /// Explicit padding.
    pub padding: u32,
}

/// The news of a cgroup.
#[repr(C)]
pub struct CgroupRecord {
    /// The header.
    pub cgroup: record::Cgroup,
    /// Its path.
    pub path: [u8; record::CGROUP_PATH_BYTES],
}
