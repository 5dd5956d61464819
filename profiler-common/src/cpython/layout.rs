//! One interpreter's memory layout, as data. Nothing in the walk asks for a version number.

#[cfg(feature = "user")]
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How a frame tells which instruction it is at.
pub mod instruction {
    /// `f_lasti` counts bytes (3.6 to 3.9).
    pub const LASTI_BYTES: u8 = 0;
    /// `f_lasti` counts code units of two bytes (3.10).
    pub const LASTI_UNITS: u8 = 1;
    /// A pointer into the code object's instructions (`prev_instr` 3.11 and 3.12, `instr_ptr` 3.13+).
    pub const POINTER: u8 = 2;
}

/// How a code object encodes its lines.
pub mod line_table {
    /// `co_lnotab` (3.6 to 3.9): pairs of byte delta and signed line delta.
    pub const LNOTAB: u8 = 0;
    /// The `co_linetable` of 3.10: byte deltas, a line delta of -128 means "no line".
    pub const LINETABLE_310: u8 = 1;
    /// The location table of 3.11 and newer, with columns.
    pub const LOCATIONS: u8 = 2;
}

/// Bits of [`Layout::features`].
pub mod feature {
    /// `thread_frame` points at a `_PyCFrame` whose `cframe_current_frame` is the frame (3.11, 3.12).
    pub const CFRAME: u32 = 1 << 0;
    /// Frames say who owns them (`frame_owner` is valid; 3.11+).
    pub const OWNER: u32 = 1 << 1;
    /// Incomplete frames can be told by `code_first_traceable` (3.11+).
    pub const FIRST_TRACEABLE: u32 = 1 << 2;
    /// The code object's identity words hold a version that its interpreter never uses twice (`co_version`,
    /// 3.12+; without the GIL a lock guards the counter); 0 once the 32 bits are used up. Interpreters count each
    /// for itself, and one may come to lie where another was: see [`super::Layout::interpreter_id`].
    pub const CODE_VERSION: u32 = 1 << 3;
    /// Code objects have a qualified name of their own (3.11+).
    pub const QUALNAME: u32 = 1 << 4;
    /// Built without the GIL (`Py_GIL_DISABLED`).
    pub const FREE_THREADED: u32 = 1 << 5;
    /// Several thread states may carry one thread id; `thread_active` tells the attached one.
    pub const THREAD_ACTIVE: u32 = 1 << 6;
}

/// Offsets (bytes) and encodings of one interpreter build.
///
/// All fields are integers and there is no implicit padding: the same bytes are read by the BPF
/// program from a map. Offsets of a structure read through one [`crate::memory::Window`] are relative
/// to the structure, and every `*_span` (bytes from the structure's begin or from `code_window`) is at
/// most [`crate::memory::WINDOW_BYTES`].
#[repr(C)]
#[cfg_attr(feature = "user", derive(FromBytes, IntoBytes, Immutable, KnownLayout))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Bits of [`feature`].
    pub features: u32,
    /// One of [`instruction`].
    pub instruction: u8,
    /// One of [`line_table`].
    pub line_table: u8,
    /// Bit n set: a frame with `owner == n` is no Python frame (shims, trampolines) and is passed over.
    pub shim_owners: u8,
    /// Bits to clear in a frame's code pointer (`_PyStackRef` tags, 3.14+: 3).
    pub code_tag: u8,

    /// `PyInterpreterState.next`.
    pub interpreter_next: u32,
    /// `PyInterpreterState.threads.head` (`tstate_head` before 3.11).
    pub interpreter_threads: u32,
    /// `PyInterpreterState.id` (8 bytes), where [`feature::CODE_VERSION`] needs it: each interpreter of a process
    /// counts versions of its own.
    pub interpreter_id: u32,

    /// Bytes of `PyThreadState` to read so that all `thread_*` fields are covered.
    pub thread_span: u16,
    /// `PyThreadState.next`.
    pub thread_next: u16,
    /// `PyThreadState.thread_id` (pthread_self).
    pub thread_id: u16,
    /// `PyThreadState.native_thread_id` (3.11+), or 0.
    pub thread_native_id: u16,
    /// `PyThreadState.frame`, `.cframe` or `.current_frame`.
    pub thread_frame: u16,
    /// `PyThreadState._status` (3.12+), or 0; see [`feature::THREAD_ACTIVE`].
    pub thread_active: u16,
    /// Mask applied to the 4-byte word at `thread_active`: its bits `active` and `unbound`. The second is set for
    /// good when the state is deleted, which need not clear the first (`tstate_delete_common`, Python/pystate.c).
    pub thread_active_mask: u32,
    /// What the masked word is while a thread is attached: `active` alone.
    pub thread_active_value: u32,
    /// `PyThreadState.interp` (3.12+), or 0; see [`Layout::interpreter_id`].
    pub thread_interpreter: u16,

    /// `_PyCFrame.current_frame` (3.11, 3.12; [`feature::CFRAME`]).
    pub cframe_current_frame: u16,
    /// `_PyCFrame.previous` ([`feature::CFRAME`]).
    pub cframe_previous: u16,
    /// `is_entry` of a frame (1 byte; 3.11), or 0 where shims mark the entries instead.
    pub frame_is_entry: u16,
    /// Bytes of a frame to read so that all `frame_*` fields are covered.
    pub frame_span: u16,
    /// `f_code` / `f_executable`.
    pub frame_code: u16,
    /// `f_back` / `previous`.
    pub frame_previous: u16,
    /// `f_lasti` (4 bytes) or `prev_instr` / `instr_ptr` (8 bytes).
    pub frame_instruction: u16,
    /// `owner` (1 byte; [`feature::OWNER`]).
    pub frame_owner: u16,
    /// `frame_owner` value of a generator's frame, which is never incomplete.
    pub frame_owner_generator: u16,
    /// `tlbc_index` (4 bytes; free-threaded 3.14+), or 0: which copy of the bytecode the instruction points into.
    pub frame_tlbc_index: u16,

    /// Where in the code object the window that is read begins (a multiple of 8): 8, `ob_type`, on
    /// release builds. All `code_*` offsets below are from the object's begin.
    pub code_window: u16,
    /// Bytes of the window from `code_window` on.
    pub code_span: u16,
    /// `ob_type`.
    pub code_type: u16,
    /// `co_name`.
    pub code_name: u16,
    /// `co_qualname` ([`feature::QUALNAME`]).
    pub code_qualname: u16,
    /// `co_filename`.
    pub code_filename: u16,
    /// `co_firstlineno` (4 bytes).
    pub code_first_line: u16,
    /// `co_lnotab` / `co_linetable`: a bytes object.
    pub code_line_table: u16,
    /// `co_code_adaptive`: where the instructions begin (3.11+; [`instruction::POINTER`]).
    pub code_instructions: u16,
    /// `_co_firsttraceable` (4 bytes, in code units; [`feature::FIRST_TRACEABLE`]).
    pub code_first_traceable: u16,
    /// `co_tlbc` (free-threaded 3.14+), or 0: the copies of the bytecode, one for each thread.
    pub code_tlbc: u16,

    /// `PyBytesObject.ob_size`.
    pub bytes_size: u16,
    /// `PyBytesObject.ob_sval`.
    pub bytes_data: u16,
    /// `PyASCIIObject.length` (code points).
    pub unicode_length: u16,
    /// `PyASCIIObject.hash`.
    pub unicode_hash: u16,
    /// `PyASCIIObject.state` (4 bytes).
    pub unicode_state: u16,
    /// `sizeof(PyASCIIObject)`: data of an ASCII string.
    pub unicode_ascii_data: u16,
    /// `sizeof(PyCompactUnicodeObject)`: data of any other compact string.
    pub unicode_compact_data: u16,
    /// How far the `kind` field is shifted in `state` (3 bits: 1, 2 or 4 bytes a code point).
    pub unicode_kind_shift: u8,
    /// The bit of `compact` in `state`.
    pub unicode_compact_bit: u8,
    /// The bit of `ascii` in `state`.
    pub unicode_ascii_bit: u8,
    /// Explicit padding.
    pub padding: [u8; 3],
}

// The BPF program reads this structure from a map: a change of size must be seen on both sides.
const _: () = assert!(core::mem::size_of::<Layout>() == 104);
const _: () = assert!(core::mem::align_of::<Layout>() == 4);

// SAFETY: repr(C), integers only, no padding (zerocopy checks it).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Layout {}
