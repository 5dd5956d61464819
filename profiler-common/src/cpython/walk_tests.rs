//! The walk over images of stacks whose truth is written down here.

use std::cell::Cell;

use proptest::prelude::*;

use super::{
    code,
    image::Image,
    layout::{Layout, feature, instruction},
    walk::{self, Frames, LEAF_FRAMES, MetCodes, Owner, ROOT_FRAMES, Start, Walk},
};
use crate::{
    memory::{Fault, Memory, Stretch, Window, Words},
    record::{StackFrame, UNKNOWN_INSTRUCTION, mark},
};

const CODE_TYPE: u64 = 0x7000_0000;
const CODE: u64 = 0x5000_0000;
const SHIM: u8 = 3;
/// Where the instructions begin in a code object.
const INSTRUCTIONS: u16 = 192;

/// Offsets like those of 3.12: frames of 80 bytes that say who owns them.
fn layout() -> Layout {
    // SAFETY: a layout is made of integers, for which all zeroes is a value.
    let mut layout: Layout = unsafe { core::mem::zeroed() };
    layout.features = feature::OWNER | feature::CODE_VERSION | feature::FIRST_TRACEABLE;
    layout.instruction = instruction::POINTER;
    layout.shim_owners = 1 << SHIM;
    layout.frame_span = 72;
    layout.frame_previous = 8;
    layout.frame_instruction = 56;
    layout.frame_owner = 64;
    layout.frame_owner_generator = 1;
    layout.code_window = 8;
    layout.code_span = 168;
    layout.code_type = 8;
    layout.code_first_line = 68;
    layout.code_filename = 112;
    layout.code_name = 120;
    layout.code_line_table = 136;
    layout.code_first_traceable = 168;
    layout.code_instructions = INSTRUCTIONS;
    layout
}

/// A code object whose first traceable instruction is the second.
fn code(image: &mut Image, number: u64) -> u64 {
    let address = CODE + number * 0x1000;
    image.zero(address, 256);
    image.put(address + 8, CODE_TYPE);
    image.put(address + 120, 0x1234_0000 + number);
    image.put(address + 168, 1);
    address
}

fn frame(image: &mut Image, address: u64, code: u64, previous: u64, instruction: u64, owner: u8) {
    image.zero(address, 80);
    image.put(address, code);
    image.put(address + 8, previous);
    image.put(address + 56, code + u64::from(INSTRUCTIONS) + instruction);
    image.put(address + 64, owner.into());
}

/// Walks to the end, in at most so many steps.
fn walk_all(image: &Image, layout: &Layout, start: Start, steps: u32) -> (Walk, Box<Frames>) {
    walk_with(image, layout, start, steps, 1, &mut MetCodes::default())
}

/// Does so with what other walks have met.
fn walk_with<M: Memory>(
    image: &M,
    layout: &Layout,
    start: Start,
    steps: u32,
    number: u64,
    codes: &mut MetCodes,
) -> (Walk, Box<Frames>) {
    let nothing = StackFrame {
        key: 0,
        address: 0,
        instruction: 0,
        interpreter: 0,
    };
    let mut frames = Box::new(Frames {
        leaf: [nothing; LEAF_FRAMES],
        root: [nothing; ROOT_FRAMES],
    });
    let owner = Owner {
        generation: 7,
        code_type: CODE_TYPE,
        interpreter: 0,
        number,
    };
    let mut walk = Walk::from(start, owner);
    let (mut window, mut stretch) = (Window::new(), Stretch::default());
    for _ in 0..steps {
        if !walk::step(
            image,
            layout,
            &mut window,
            &mut stretch,
            codes,
            &mut walk,
            &mut frames,
        ) {
            break;
        }
    }
    (walk, frames)
}

fn on_thread(frame: u64) -> Start {
    Start {
        frame,
        cframe: 0,
        before: 0,
    }
}

/// Where a walk begins whose thread state names that `_PyCFrame`.
fn on_cframe(image: &Image, layout: &Layout, cframe: u64) -> Start {
    let mut thread = Window::new();
    thread.words_mut()[usize::from(layout.thread_frame / 8)] = cframe;
    walk::start(image, layout, &thread).unwrap()
}

/// A chain of `depth` frames in one stretch of memory, root lowest; the newest.
fn chain(image: &mut Image, depth: u64) -> u64 {
    let mut newest = 0;
    for number in 0..depth {
        let code = code(image, number % 3);
        let address = 0x10_0000 + number * 80;
        frame(image, address, code, newest, 4, 0);
        newest = address;
    }
    newest
}

/// Makes sure that frames come leaf first, with their code objects and instructions, without shims and without
/// frames that have not come past their first traceable instruction.
#[test]
fn only_frames_that_python_knows_show() {
    let mut image = Image::default();
    let codes = [0, 1, 2].map(|number| code(&mut image, number));
    frame(&mut image, 0x1000, codes[0], 0, 10, 0);
    frame(&mut image, 0x2000, 0xdead_0000, 0x1000, 0, SHIM);
    frame(&mut image, 0x3000, codes[1], 0x2000, 20, 0);
    frame(&mut image, 0x4000, codes[2], 0x3000, 0, 0);
    let (walk, frames) = walk_all(&image, &layout(), on_thread(0x4000), 10);
    assert_eq!((walk.depth, walk.marks), (2, 0));
    let shown: Vec<_> = frames.leaf[..2]
        .iter()
        .map(|frame| (frame.address, frame.instruction))
        .collect();
    assert_eq!(shown, [(codes[1], 20), (codes[0], 10)]);
}

/// Makes sure that a stack deeper than what is kept keeps its leaf and its root, and says how much is missing.
#[test]
fn deep_stacks_keep_leaf_and_root() {
    let depth = (LEAF_FRAMES + ROOT_FRAMES) as u64 + 500;
    let mut image = Image::default();
    let newest = chain(&mut image, depth);
    let (walk, frames) = walk_all(&image, &layout(), on_thread(newest), 10_000);
    assert_eq!((u64::from(walk.depth), walk.marks), (depth, mark::CUT));
    assert_eq!(
        (walk.leaf_frames(), walk.root_frames()),
        (LEAF_FRAMES as u32, ROOT_FRAMES as u32)
    );
    // The root, frame number 0 of the chain, was met last.
    let root = frames.root[(depth as usize - 1) % ROOT_FRAMES];
    assert_eq!(root.address, CODE);
}

/// Makes sure that one frame more or less at the limit is neither lost nor marked.
#[test]
fn a_stack_that_just_fits_is_whole() {
    for depth in [
        1,
        LEAF_FRAMES as u64,
        LEAF_FRAMES as u64 + 1,
        (LEAF_FRAMES + ROOT_FRAMES) as u64,
    ] {
        let mut image = Image::default();
        let newest = chain(&mut image, depth);
        let (walk, _) = walk_all(&image, &layout(), on_thread(newest), 10_000);
        assert_eq!((u64::from(walk.depth), walk.marks), (depth, 0));
        assert_eq!(u64::from(walk.leaf_frames() + walk.root_frames()), depth);
    }
}

/// Makes sure that a page that is not present ends the chain with a mark, and keeps what was read before.
#[test]
fn unreadable_memory_is_marked() {
    let mut image = Image::default();
    let code = code(&mut image, 0);
    frame(&mut image, 0x1000, code, 0x9999_0000, 10, 0);
    let (walk, _) = walk_all(&image, &layout(), on_thread(0x1000), 10);
    assert_eq!((walk.depth, walk.marks), (1, mark::UNREADABLE));
}

/// Makes sure that a frame stays where its code object is not present, and goes where there is none.
#[test]
fn code_that_cannot_be_read_keeps_its_frame() {
    let mut image = Image::default();
    image.zero(0x8000, 256);
    frame(&mut image, 0x1000, 0xabc0_0000, 0, 10, 0);
    frame(&mut image, 0x2000, 0x8000, 0x1000, 10, 0);
    let (walk, frames) = walk_all(&image, &layout(), on_thread(0x2000), 10);
    assert_eq!((walk.depth, frames.leaf[0].address), (1, 0xabc0_0000));
}

/// Makes sure that the same address with another name or another version is another code object.
#[test]
fn identity_is_more_than_the_address() {
    let key_with = |at: u64, word: u64| {
        let mut image = Image::default();
        let code = code(&mut image, 0);
        image.put(code + at, word);
        frame(&mut image, 0x1000, code, 0, 10, 0);
        walk_all(&image, &layout(), on_thread(0x1000), 10).1.leaf[0].key
    };
    let same = key_with(120, 0x1234_0000);
    assert_eq!(same, key_with(120, 0x1234_0000));
    assert_ne!(same, key_with(120, 0x1234_0001), "name");
    // co_version is the upper half of the word at 88.
    assert_ne!(same, key_with(88, 5 << 32), "version");
}

/// Offsets like those of free-threaded 3.14: the frame says which copy of the bytecode it is in.
fn layout_with_copies() -> Layout {
    let mut layout = layout();
    layout.features |= feature::FREE_THREADED;
    layout.frame_span = 80;
    layout.frame_tlbc_index = 72;
    layout.code_span = 184;
    layout.code_tlbc = 176;
    layout
}

/// The instruction of a frame that points to `pointer` and names copy number `index`, of a code object of 40 bytes
/// of bytecode that has copies at 0x8000 (number 2) and 0x9000 (number 3).
fn instruction_in_copies(pointer: u64, index: u32) -> i32 {
    let mut image = Image::default();
    let code = code(&mut image, 0);
    let copies = 0x4_0000;
    image.put(code + 16, 20);
    image.put(code + 176, copies);
    for (word, value) in [4, code + u64::from(INSTRUCTIONS), 0, 0x8000, 0x9000]
        .into_iter()
        .enumerate()
    {
        image.put(copies + word as u64 * 8, value);
    }
    frame(&mut image, 0x1000, code, 0, 0, 0);
    image.put(0x1000 + 56, pointer);
    image.put(0x1000 + 72, index.into());
    let (walk, frames) = walk_all(&image, &layout_with_copies(), on_thread(0x1000), 10);
    assert_eq!((walk.depth, walk.marks), (1, 0));
    frames.leaf[0].instruction
}

/// Makes sure that an instruction in a thread's own copy of the bytecode is as far into it as it would be into
/// the main copy, whichever of the two the frame points into.
#[test]
fn instructions_are_found_in_copies_of_the_bytecode() {
    let main = CODE + u64::from(INSTRUCTIONS);
    assert_eq!(instruction_in_copies(main + 10, 0), 10);
    assert_eq!(instruction_in_copies(0x8000 + 12, 2), 12);
    assert_eq!(instruction_in_copies(0x9000 + 38, 3), 38);
    // RESUME has stored the index, and not yet the pointer.
    assert_eq!(instruction_in_copies(main + 2, 3), 2);
}

/// Makes sure that a pointer that lies in no copy which the frame could mean gives no line rather than a wrong one.
#[test]
fn instructions_in_no_known_copy_are_unknown() {
    let main = CODE + u64::from(INSTRUCTIONS);
    for (pointer, index) in [
        (0x8000 + 12, 3),
        (0x8000 + 40, 2),
        (0x8000 - 2, 2),
        (main + 40, 0),
        (0x8000 + 12, 1),
        // Beyond the array.
        (0x8000 + 12, 4),
        (0x8000 + 12, u32::MAX),
        (0, 2),
        (u64::MAX, 2),
    ] {
        let found = instruction_in_copies(pointer, index);
        assert_eq!(found, UNKNOWN_INSTRUCTION, "{pointer:#x} in {index}");
    }
}

/// Makes sure that a code object of a sub-interpreter is another than one of the same version that lay at the same
/// address in an interpreter before it.
#[test]
fn interpreters_count_versions_each_for_itself() {
    let mut image = Image::default();
    let code = code(&mut image, 0);
    let key = |interpreter| {
        let seed = code::seed(7, interpreter);
        code::identify(&image, &layout(), CODE_TYPE, seed, code, &mut Window::new())
    };
    assert_eq!(key(1), key(1));
    assert_ne!(key(0), key(1));
    assert_ne!(key(1), key(2));
}

fn layout_of_3_12() -> Layout {
    let mut layout = layout();
    layout.features |= feature::CFRAME;
    layout.cframe_current_frame = 0;
    layout.cframe_previous = 8;
    layout
}

/// Two runs of the interpreter on the C stack, the inner one entered by a shim; the newest `_PyCFrame`.
fn two_runs(image: &mut Image) -> u64 {
    let codes = [0, 1].map(|number| code(image, number));
    let (root_cframe, outer_cframe, inner_cframe) = (0x9_0000, 0x9_1000, 0x9_2000);
    let (outer_shim, outer) = (0x1000, 0x2000);
    let (inner_shim, inner) = (0x3000, 0x4000);
    frame(image, outer_shim, 0, 0, 0, SHIM);
    frame(image, outer, codes[0], outer_shim, 10, 0);
    frame(image, inner_shim, 0, outer, 0, SHIM);
    frame(image, inner, codes[1], inner_shim, 20, 0);
    for (cframe, current, previous) in [
        (root_cframe, 0, 0),
        (outer_cframe, outer, root_cframe),
        (inner_cframe, inner, outer_cframe),
    ] {
        image.put(cframe, current);
        image.put(cframe + 8, previous);
    }
    inner_cframe
}

/// Makes sure that a chain that is proven at its entry is walked to the root.
#[test]
fn a_proven_chain_is_whole() {
    let mut image = Image::default();
    let cframe = two_runs(&mut image);
    let layout = layout_of_3_12();
    let (walk, _) = walk_all(&image, &layout, on_cframe(&image, &layout, cframe), 10);
    assert_eq!((walk.depth, walk.marks), (2, 0));
}

/// Makes sure that a frame left on the C stack by a run that is over is not shown: the walk goes on with the run
/// before.
#[test]
fn a_stale_frame_is_not_shown() {
    let mut image = Image::default();
    let cframe = two_runs(&mut image);
    let stale = code(&mut image, 2);
    // It once followed another frame, which has returned since.
    frame(&mut image, 0x7000, 0, 0xfff0, 0, SHIM);
    frame(&mut image, 0x6000, stale, 0x7000, 30, 0);
    image.put(cframe, 0x6000);
    let layout = layout_of_3_12();
    let (walk, frames) = walk_all(&image, &layout, on_cframe(&image, &layout, cframe), 10);
    assert_eq!(
        (walk.depth, walk.marks, frames.leaf[0].address),
        (1, 0, CODE)
    );
}

/// Makes sure that nothing is shown where both C frames are garbage, and a mark says so.
#[test]
fn garbage_is_not_shown() {
    let mut image = Image::default();
    two_runs(&mut image);
    image.put(0xa_0000, 0x1_0001);
    image.put(0xa_0008, 0xa_1000);
    image.put(0xa_1000, 0x2_0003);
    image.put(0xa_1008, 0x3_0005);
    let layout = layout_of_3_12();
    let start = on_cframe(&image, &layout, 0xa_0000);
    let (walk, _) = walk_all(&image, &layout, start, 10);
    assert_eq!((walk.depth, walk.marks), (0, mark::UNREADABLE));
}

proptest! {
    /// Makes sure that no memory, however hostile, makes the walk panic, and that it counts no more frames than it
    /// took steps.
    #[test]
    fn hostile_memory_is_harmless(
        words in proptest::collection::vec((0u64..4096, prop_oneof![0u64..40_000, any::<u64>()]), 0..600),
        frame in prop_oneof![0u64..40_000, any::<u64>()],
        cframe in prop_oneof![Just(0u64), 0u64..40_000],
        features in any::<u32>(),
        offsets in any::<[u16; 8]>(),
    ) {
        let mut image = Image::default();
        for (index, word) in words {
            image.put(index * 8, word);
        }
        let mut layout = layout();
        layout.features = features;
        [
            layout.frame_previous, layout.frame_code, layout.frame_owner,
            layout.frame_instruction, layout.cframe_previous, layout.code_name,
            layout.frame_tlbc_index, layout.code_tlbc,
        ] = offsets.map(|offset| offset % 250);
        let (walk, _) = walk_all(&image, &layout, Start { frame, cframe, before: cframe }, 500);
        prop_assert!(walk.depth <= 500);
    }
}

/// Makes sure that a code object is read once in a walk, whatever lies at its address in the next one.
#[test]
fn code_is_known_for_one_walk() {
    let mut image = Image::default();
    let newest = chain(&mut image, 6);
    let layout = layout();
    let (before, frames) = walk_all(&image, &layout, on_thread(newest), 10);
    assert_eq!(frames.leaf[0].key, frames.leaf[3].key);
    assert_ne!(frames.leaf[0].key, frames.leaf[1].key);
    // What is remembered of one walk must not be believed in another.
    let mut codes = MetCodes::default();
    let mut keys = Vec::new();
    for (number, name) in [(1, 0x1234_0000), (2, 0x5678_0000)] {
        image.put(CODE + 120, name);
        let (walk, frames) = walk_with(&image, &layout, on_thread(newest), 10, number, &mut codes);
        assert_eq!(walk.depth, before.depth);
        keys.push(frames.leaf.map(|frame| frame.key)[..6].to_vec());
    }
    let changed: Vec<bool> = (0..6)
        .map(|index| keys[0][index] != keys[1][index])
        .collect();
    assert_eq!(changed, [false, false, true, false, false, true]);
}

/// An image that counts how often it is read between two addresses.
struct Counting {
    image: Image,
    range: core::ops::Range<u64>,
    reads: Cell<u32>,
}

impl Memory for Counting {
    fn read<const WORDS: usize>(
        &self,
        address: u64,
        into: &mut Words<WORDS>,
        bytes: u32,
    ) -> Result<(), Fault> {
        if self.range.contains(&address) {
            self.reads.set(self.reads.get() + 1);
        }
        self.image.read(address, into, bytes)
    }

    fn read_word(&self, address: u64) -> Result<u64, Fault> {
        self.image.read_word(address)
    }
}

/// Walks 40 frames of a version whose frames are objects on the heap, each so many bytes above its caller; how often
/// their memory was read. What lies between them can be read where `between` is set.
fn reads_of_frames_on_the_heap(stride: u64, between: bool) -> u32 {
    const DEPTH: u64 = 40;
    const BEGIN: u64 = 0x10_0000;
    let mut layout = layout();
    layout.features = 0;
    layout.shim_owners = 0;
    let mut image = Image::default();
    let range = BEGIN..BEGIN + DEPTH * stride;
    if between {
        image.zero(BEGIN, DEPTH * stride);
    }
    let mut newest = 0;
    for number in 0..DEPTH {
        let code = code(&mut image, 0);
        let address = BEGIN + number * stride;
        frame(&mut image, address, code, newest, 4, 0);
        newest = address;
    }
    let counting = Counting {
        image,
        range,
        reads: Cell::new(0),
    };
    let start = on_thread(newest);
    let (walk, _) = walk_with(&counting, &layout, start, 100, 1, &mut MetCodes::default());
    assert_eq!((u64::from(walk.depth), walk.marks), (DEPTH, 0));
    counting.reads.get()
}

/// Makes sure that frames on the heap are read several at a time where they lie together, and each by itself, nothing
/// around it, where they do not.
#[test]
fn frames_on_the_heap_are_read_together_where_they_lie_together() {
    // Two whole frames of 448 bytes lie within 1024 below a third.
    assert!(reads_of_frames_on_the_heap(448, true) <= 20);
    assert_eq!(reads_of_frames_on_the_heap(0x5000, false), 40);
}
