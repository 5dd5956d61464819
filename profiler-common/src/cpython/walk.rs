//! The walk over a thread's Python frames, leaf to root.
//!
//! It goes one step at a time and keeps its state in plain structures, so that the kernel side can
//! hold that state in map memory (which the verifier does not track, so that the loop verifies once) and
//! continue in another program where one must not run longer.

use super::{
    code::{self, CodeState},
    layout::{Layout, feature, instruction},
};
use crate::{
    memory::{Fault, Memory, REACH, Stretch, Window, Words},
    record::{StackFrame, UNKNOWN_INSTRUCTION, mark},
};

/// How many frames from the leaf on are kept.
pub const LEAF_FRAMES: usize = 1024;
/// How many frames up to the root are kept where the stack is deeper than [`LEAF_FRAMES`].
pub const ROOT_FRAMES: usize = 128;

// Indices are masked instead of checked.
const _: () = assert!(LEAF_FRAMES.is_power_of_two() && ROOT_FRAMES.is_power_of_two());

/// The frames of one stack.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    /// The first frames from the leaf on.
    pub leaf: [StackFrame; LEAF_FRAMES],
    /// The frames beyond: frame number `n` (0 is the leaf) is at `n % ROOT_FRAMES`, so that in the end
    /// the last ones are there.
    pub root: [StackFrame; ROOT_FRAMES],
}

/// Where a walk is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    /// Address of the frame to read next; 0 at the end.
    pub next: u64,
    /// Hash over the frames so far.
    pub hash: u64,
    /// Python frames so far.
    pub depth: u32,
    /// Bits of [`mark`].
    pub marks: u32,
    /// Makes the identities of one interpreter differ from those of any other ([`code::seed`]).
    pub seed: u64,
    /// Address of `PyCode_Type`, what a code object's `ob_type` must be; 0: not checked.
    pub code_type: u64,
    /// The `_PyCFrame` that the frames being walked hang on, until that is proven; else 0. See [`start`].
    pub cframe: u64,
    /// The `_PyCFrame` before it.
    pub before: u64,
    /// How many more `_PyCFrame`s may be tried.
    pub attempts: u64,
    /// See [`StackFrame::interpreter`].
    pub interpreter: u64,
    /// Tells this walk from any other that was done with the same memory: see [`MetCode`].
    pub number: u64,
    /// Address of the frame read last; 0: none yet.
    pub last: u64,
}

/// How many `_PyCFrame`s are tried: the newest, and the one before it.
const ATTEMPTS: u64 = 2;

/// An odd number: 2^64 divided by the square root of two.
const AT: u64 = 0xb504_f333_f9de_6485;

/// Whose frames are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The registration of the process.
    pub generation: u64,
    /// Address of `PyCode_Type`; 0: not known.
    pub code_type: u64,
    /// See [`StackFrame::interpreter`].
    pub interpreter: u32,
    /// See [`Walk::number`].
    pub number: u64,
}

/// How many code objects are remembered during a walk.
pub const CODE_SLOTS: usize = 32;

const _: () = assert!(CODE_SLOTS.is_power_of_two());

/// What a walk has read of a code object: deep stacks are recursive.
///
/// It holds for that one walk. The thread does not run meanwhile, its frames keep their code objects alive, and
/// these are written before a frame has them and never after (CPython `init_code`, Objects/codeobject.c).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MetCode {
    /// [`Walk::number`] of the walk.
    pub walk: u64,
    /// Address of the code object.
    pub address: u64,
    /// Its identity.
    pub key: u64,
    /// [`first_traceable`].
    pub first_traceable: i64,
}

/// The code objects that were met: direct-mapped by address.
pub type MetCodes = [MetCode; CODE_SLOTS];

/// Where a walk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The newest frame; 0: none.
    pub frame: u64,
    /// The `_PyCFrame` that it hangs on; 0: it hangs on the thread itself.
    pub cframe: u64,
    /// The `_PyCFrame` before that one; 0: none.
    pub before: u64,
}

impl Walk {
    /// A walk that begins at a frame.
    #[inline(always)]
    #[must_use]
    pub const fn from(start: Start, owner: Owner) -> Self {
        let frame = start.frame;
        let seed = code::seed(owner.generation, owner.interpreter);
        Self {
            next: frame,
            hash: seed,
            seed,
            code_type: owner.code_type,
            cframe: start.cframe,
            before: start.before,
            attempts: ATTEMPTS,
            interpreter: owner.interpreter as u64,
            number: owner.number,
            last: 0,
            depth: 0,
            marks: if frame == 0 { mark::NO_FRAME } else { 0 },
        }
    }

    /// A walk that ended before it began.
    #[must_use]
    pub const fn without_frames(mark: u32, seed: u64) -> Self {
        Self {
            next: 0,
            hash: seed,
            depth: 0,
            marks: mark,
            seed,
            code_type: 0,
            cframe: 0,
            before: 0,
            attempts: 0,
            interpreter: 0,
            number: 0,
            last: 0,
        }
    }

    /// Frames kept from the leaf on.
    #[inline(always)]
    #[must_use]
    pub const fn leaf_frames(&self) -> u32 {
        if self.depth > LEAF_FRAMES as u32 {
            LEAF_FRAMES as u32
        } else {
            self.depth
        }
    }

    /// Frames kept up to the root.
    #[inline(always)]
    #[must_use]
    pub const fn root_frames(&self) -> u32 {
        let beyond = self.depth - self.leaf_frames();
        if beyond > ROOT_FRAMES as u32 {
            ROOT_FRAMES as u32
        } else {
            beyond
        }
    }

    /// The identity of the stack, once the walk has ended; never 0.
    #[inline(always)]
    #[must_use]
    pub const fn id(&self) -> u64 {
        code::mix(self.hash, self.marks as u64) | 1
    }

    /// Forgets what was met so far and goes on from another frame.
    #[inline(always)]
    const fn start_again(&mut self, frame: u64, cframe: u64, mark: u32) {
        self.next = frame;
        self.hash = self.seed;
        self.depth = 0;
        self.marks = mark;
        self.cframe = cframe;
    }

    /// Notes that the walk ended early, and ends it.
    #[inline(always)]
    pub const fn stop(&mut self, mark: u32) {
        self.marks |= mark;
        self.next = 0;
    }

    #[inline(always)]
    fn push(&mut self, frame: StackFrame, frames: &mut Frames) {
        let depth = self.depth as usize;
        if depth < LEAF_FRAMES {
            frames.leaf[depth & (LEAF_FRAMES - 1)] = frame;
        } else {
            frames.root[depth & (ROOT_FRAMES - 1)] = frame;
            if depth >= LEAF_FRAMES + ROOT_FRAMES {
                self.marks |= mark::CUT;
            }
        }
        self.depth += 1;
        // The key is a hash already. Only one step waits for the frame before.
        let at = (frame.instruction as u32 as u64).wrapping_mul(AT);
        self.hash = code::mix(self.hash, frame.key.wrapping_add(at));
    }
}

/// Where the walk of a thread begins, given its state in `window`.
///
/// In 3.11 and 3.12 the newest frame hangs on a `_PyCFrame` on the C stack, and `_PyEval_EvalFrameDefault`
/// links that to the thread before it has filled it in (CPython `Python/ceval.c`; compilers put the two
/// several instructions apart). A sample in between meets whatever was on the stack: frames that have long
/// returned, or garbage. What tells them apart: the frame at which this run of the interpreter was entered
/// must follow on the frame that the run before it is in. A walk that comes to its first entry and finds
/// another begins again with the run before; if that is no better, nothing is known of the stack.
///
/// # Errors
/// [`Fault`] where the indirection of 3.11 and 3.12 cannot be read.
#[inline(always)]
pub fn start<M: Memory>(memory: &M, layout: &Layout, window: &Window) -> Result<Start, Fault> {
    let frame = window.u64(layout.thread_frame);
    if layout.features & feature::CFRAME == 0 || frame == 0 {
        return Ok(Start {
            frame,
            cframe: 0,
            before: 0,
        });
    }
    let (newest, before) = run(memory, layout, frame)?;
    Ok(Start {
        frame: newest,
        cframe: frame,
        before,
    })
}

/// Bytes of a `_PyCFrame` within which its fields must lie.
pub const CFRAME_BYTES: u16 = 32;
type CFrame = Words<{ CFRAME_BYTES as usize / 8 }>;

/// A `_PyCFrame`: the frame that this run of the interpreter is in, and the run before. Both with one read.
#[inline(always)]
fn run<M: Memory>(memory: &M, layout: &Layout, cframe: u64) -> Result<(u64, u64), Fault> {
    let mut words = CFrame::new();
    let last = if layout.cframe_previous > layout.cframe_current_frame {
        layout.cframe_previous
    } else {
        layout.cframe_current_frame
    };
    memory.read(cframe, &mut words, u32::from(last) + 8)?;
    Ok((
        words.u64(layout.cframe_current_frame),
        words.u64(layout.cframe_previous),
    ))
}

/// Proves that the frames walked so far hang on `walk.cframe`, now that the run's first frame has been met
/// (or the chain's end): or begins again with the run before. Whether they do.
#[inline(always)]
fn prove<M: Memory>(memory: &M, layout: &Layout, walk: &mut Walk) -> bool {
    let unknown = |walk: &mut Walk| {
        walk.start_again(0, 0, mark::UNREADABLE);
        false
    };
    let before = walk.before;
    // The thread's own `root_cframe` has none before it, and no frame.
    let (frame, before_that) = if before == 0 {
        (0, 0)
    } else {
        match run(memory, layout, before) {
            Ok(run) => run,
            Err(Fault) => return unknown(walk),
        }
    };
    if walk.next == frame && walk.marks & (mark::UNREADABLE | mark::ROOT_LOST) == 0 {
        walk.cframe = 0;
        return true;
    }
    walk.attempts = walk.attempts.wrapping_sub(1);
    if walk.attempts == 0 || before == 0 {
        return unknown(walk);
    }
    let mark = if frame == 0 { mark::NO_FRAME } else { 0 };
    walk.before = before_that;
    walk.start_again(frame, before, mark);
    false
}

/// Reads one frame and goes on to its caller. Whether there is more to walk.
#[inline(always)]
pub fn step<M: Memory>(
    memory: &M,
    layout: &Layout,
    window: &mut Window,
    stretch: &mut Stretch,
    codes: &mut MetCodes,
    walk: &mut Walk,
    frames: &mut Frames,
) -> bool {
    if walk.next != 0 {
        visit(memory, layout, window, stretch, codes, walk, frames);
    }
    if walk.next == 0 && walk.cframe != 0 {
        // The chain ended before an entry was met.
        prove(memory, layout, walk);
    }
    walk.next != 0
}

/// Reads the frame at `walk.next`.
#[inline(always)]
fn visit<M: Memory>(
    memory: &M,
    layout: &Layout,
    window: &mut Window,
    stretch: &mut Stretch,
    codes: &mut MetCodes,
    walk: &mut Walk,
    frames: &mut Frames,
) {
    let frame = walk.next;
    // Frames lie together from 3.11 on, where they also say who owns them. Before, each is an object on the heap: those
    // of deep calls were made one after the other, and where two of them lie together, the next likely does too.
    let together = layout.features & feature::OWNER != 0;
    let reach = together || walk.last.wrapping_sub(frame) <= REACH;
    walk.last = frame;
    let Ok(at) = stretch.hold(memory, frame, u32::from(layout.frame_span), reach) else {
        walk.stop(mark::UNREADABLE);
        return;
    };
    let copy = stretch.copy();
    walk.next = copy.u64(at.wrapping_add(layout.frame_previous));
    // A frame that is its own caller would never end; longer circles meet the bound on steps.
    if walk.next == frame {
        walk.stop(mark::ROOT_LOST);
    }
    let owner = if together {
        copy.u8(at.wrapping_add(layout.frame_owner))
    } else {
        0
    };
    let is_shim = layout.shim_owners & (1u8 << (owner & 7)) != 0;
    if walk.cframe != 0 {
        let is_entry = if layout.frame_is_entry == 0 {
            is_shim
        } else {
            copy.u8(at.wrapping_add(layout.frame_is_entry)) != 0
        };
        if is_entry && !prove(memory, layout, walk) {
            return;
        }
    }
    if is_shim {
        return;
    }
    let address = copy.u64(at.wrapping_add(layout.frame_code)) & !u64::from(layout.code_tag);
    let at_instruction = at.wrapping_add(layout.frame_instruction);
    let mut instruction = match layout.instruction {
        instruction::LASTI_BYTES => copy.u32(at_instruction) as i32,
        instruction::LASTI_UNITS => (copy.u32(at_instruction) as i32).wrapping_mul(2),
        _ => {
            let begin = address.wrapping_add(u64::from(layout.code_instructions));
            copy.u64(at_instruction).wrapping_sub(begin) as i32
        }
    };
    let (pointer, copy_index) = if layout.code_tlbc == 0 {
        (0, 0)
    } else {
        (
            copy.u64(at_instruction),
            copy.u32(at.wrapping_add(layout.frame_tlbc_index)),
        )
    };
    let met = &mut codes[(address >> 4) as usize & (CODE_SLOTS - 1)];
    // Where threads have copies of the bytecode, each frame needs more of the code object.
    let known = met.address == address && met.walk == walk.number && layout.code_tlbc == 0;
    if !known {
        match code::identify(memory, layout, walk.code_type, walk.seed, address, window) {
            CodeState::NotCode => return,
            CodeState::Code(code) => {
                if layout.code_tlbc != 0 {
                    instruction = in_copies(memory, layout, window, address, pointer, copy_index);
                }
                *met = MetCode {
                    walk: walk.number,
                    address,
                    key: code.key,
                    first_traceable: first_traceable(layout, code.first_traceable),
                };
            }
            // The frame is real, only its code object is not present: user space may still read it.
            CodeState::Unreadable(key) => {
                *met = MetCode {
                    walk: walk.number,
                    address,
                    key,
                    first_traceable: i64::MIN,
                };
            }
        }
    }
    if i64::from(instruction) < met.first_traceable
        && u16::from(owner) != layout.frame_owner_generator
    {
        return;
    }
    let key = met.key;
    walk.push(
        StackFrame {
            key,
            address,
            instruction,
            interpreter: walk.interpreter as u32,
        },
        frames,
    );
}

/// How far into the bytecode an instruction is (bytes), on builds where threads have copies of it, given the
/// code object's window and the frame's pointer and index.
///
/// The main copy ends the code object; the others are found by index in its `_PyCodeArray {Py_ssize_t size; char
/// *entries[]}` (CPython 3.14 and 3.15, Include/cpython/code.h). A frame begins in the main copy where its thread
/// has none yet, one of a generator in that of the thread that ran it before: `RESUME` moves it over, index and
/// pointer one after the other (`_LOAD_BYTECODE`, Python/bytecodes.c). So the pointer decides, and the index is
/// believed only where the pointer is inside that copy.
#[inline(always)]
fn in_copies<M: Memory>(
    memory: &M,
    layout: &Layout,
    code: &Window,
    address: u64,
    pointer: u64,
    index: u32,
) -> i32 {
    // ob_size, which follows ob_type, counts code units of two bytes. No bytecode has a gigabyte.
    const UNITS: u64 = (1 << 29) - 1;
    let size = layout.code_type.wrapping_sub(layout.code_window) + 8;
    let bytes = (code.u64(size) & UNITS) * 2;
    let main = pointer
        .wrapping_sub(address)
        .wrapping_sub(u64::from(layout.code_instructions));
    if main < bytes {
        return main as i32;
    }
    let copies = code.u64(layout.code_tlbc.wrapping_sub(layout.code_window));
    let entry = copies.wrapping_add(8 + u64::from(index) * 8);
    match memory.read_word(entry) {
        Ok(copy) if pointer.wrapping_sub(copy) < bytes => pointer.wrapping_sub(copy) as i32,
        _ => UNKNOWN_INSTRUCTION,
    }
}

/// Where the first traceable instruction of a code object is (bytes), given the field, or a number below any other.
///
/// A frame before it was pushed but is not yet a call that Python knows of, unless it is a generator's
/// (`_PyFrame_IsIncomplete`, CPython 3.11 to 3.15, `Include/internal/pycore_frame.h`).
#[inline(always)]
const fn first_traceable(layout: &Layout, field: u32) -> i64 {
    if layout.features & feature::FIRST_TRACEABLE == 0 {
        i64::MIN
    } else {
        (field as i32 as i64) * 2
    }
}
