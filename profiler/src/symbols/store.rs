//! Code objects and stacks as the kernel side sent them, until names and lines are asked for.

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use profiler_common::record::{Code, Piece, StackFrame, missing, section};

/// A code object.
#[derive(Debug)]
pub struct CodeObject {
    /// The registration of the process that it was met in.
    pub generation: u64,
    /// Where it lies.
    pub address: u64,
    /// `co_firstlineno`.
    pub first_line: i32,
    /// Name, file name and line table.
    pub sections: [Section; 3],
    /// Bytes per code point of name and file name.
    pub text_kinds: [u8; 2],
}

/// A part of a code object, possibly still incomplete.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Section {
    /// The bytes; shared between code objects where they are the same.
    pub bytes: Arc<[u8]>,
    /// How many of them have arrived; short of the length: the rest is zeroes.
    arrived: usize,
}

impl Section {
    /// A section of which nothing could be read.
    #[must_use]
    pub fn missing() -> Self {
        // One byte to come, so that it does not count as complete.
        Self {
            bytes: Arc::new([0]),
            arrived: 0,
        }
    }

    /// The bytes, if all have arrived.
    #[must_use]
    pub fn complete(&self) -> Option<&[u8]> {
        (self.arrived == self.bytes.len()).then_some(&self.bytes)
    }
}

/// A stack, leaf first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawStack {
    /// The registration of the process that it was met in.
    pub generation: u64,
    /// Bits of `profiler_common::record::mark`.
    pub marks: u32,
    /// How many frames the thread had, as far as walked.
    pub depth: u32,
    /// (Code object's key, instruction offset in bytes): from the leaf on.
    pub leaf: Box<[(u64, i32)]>,
    /// From behind the frames left out to the root.
    pub root: Box<[(u64, i32)]>,
}

/// Everything that was sent once to be referred to later.
#[derive(Debug, Default)]
pub struct Store {
    code: HashMap<u64, CodeObject>,
    stacks: HashMap<u64, RawStack>,
    shared: HashSet<Arc<[u8]>>,
}

/// No section is taken for longer than this (bytes), whatever the record says.
const MAX_SECTION: u32 = 1 << 26;

impl Store {
    /// Takes in a code object. What arrived before is kept where this record has less.
    pub fn add_code(&mut self, record: &Code, first_bytes: [&[u8]; 3]) {
        let lengths = [record.name_bytes, record.file_bytes, record.table_bytes];
        if let Some(known) = self.code.get(&record.key)
            && known
                .sections
                .iter()
                .zip(first_bytes)
                .all(|(section, bytes)| section.arrived >= bytes.len())
        {
            return;
        }
        let missing = [missing::NAME, missing::FILE, missing::TABLE];
        let sections = [0, 1, 2].map(|which| {
            if record.missing & missing[which] != 0 {
                return Section::missing();
            }
            let bytes = first_bytes[which];
            if bytes.len() as u32 >= lengths[which] {
                return Section {
                    bytes: self.share(bytes),
                    arrived: bytes.len(),
                };
            }
            let mut whole = vec![0; lengths[which].min(MAX_SECTION) as usize];
            whole[..bytes.len()].copy_from_slice(bytes);
            Section {
                bytes: whole.into(),
                arrived: bytes.len(),
            }
        });
        let object = CodeObject {
            generation: record.generation,
            address: record.address,
            first_line: record.first_line,
            sections,
            text_kinds: [record.name_kind, record.file_kind],
        };
        self.code.insert(record.key, object);
    }

    /// Takes in a further piece of a code object. Pieces come in order; one that does not fit is ignored:
    /// the section then stays incomplete.
    pub fn add_piece(&mut self, record: &Piece, bytes: &[u8]) {
        let which = match record.section {
            section::NAME => 0,
            section::FILE => 1,
            section::TABLE => 2,
            _ => return,
        };
        let Some(object) = self.code.get_mut(&record.key) else {
            return;
        };
        let part = &mut object.sections[which];
        let offset = record.offset as usize;
        if part.arrived != offset {
            return;
        }
        // Incomplete sections are not shared: this does not copy.
        let Some(whole) = Arc::get_mut(&mut part.bytes) else {
            return;
        };
        if let Some(target) = whole.get_mut(offset..offset.saturating_add(bytes.len())) {
            target.copy_from_slice(bytes);
            part.arrived += bytes.len();
        }
    }

    /// Takes in what user space has read itself.
    pub fn fill(&mut self, key: u64, object: CodeObject) {
        self.code.insert(key, object);
    }

    /// A section read by user space, complete.
    pub fn section(&mut self, bytes: &[u8]) -> Section {
        Section {
            bytes: self.share(bytes),
            arrived: bytes.len(),
        }
    }

    /// Takes in a stack; frames as the kernel side sent them.
    pub fn add_stack(
        &mut self,
        generation: u64,
        id: u64,
        marks: u32,
        depth: u32,
        leaf_frames: usize,
        frames: &[StackFrame],
    ) {
        let (leaf, root) = frames.split_at(leaf_frames.min(frames.len()));
        let place = |frame: &StackFrame| (frame.key, frame.instruction);
        let mut root: Vec<_> = root.iter().map(place).collect();
        if !root.is_empty() {
            // The root part is a ring in which frame number n lies at n modulo its length; leaf frames
            // are a multiple of it.
            let oldest = (depth as usize).saturating_sub(leaf.len());
            if oldest > root.len() {
                let length = root.len();
                root.rotate_left(oldest % length);
            }
        }
        let leaf = leaf.iter().map(place).collect();
        self.stacks.insert(
            id,
            RawStack {
                generation,
                marks,
                depth,
                leaf,
                root: root.into(),
            },
        );
    }

    /// Takes in a stack as it is.
    pub fn keep(&mut self, id: u64, stack: RawStack) {
        self.stacks.insert(id, stack);
    }

    /// Takes out the code objects of some registrations, by key.
    pub fn take_code(&mut self, of: impl Fn(u64) -> bool) -> Vec<(u64, CodeObject)> {
        self.code
            .extract_if(|_, object| of(object.generation))
            .collect()
    }

    /// Takes out the stacks of some registrations, by id.
    pub fn take_stacks(&mut self, of: impl Fn(u64) -> bool) -> Vec<(u64, RawStack)> {
        self.stacks
            .extract_if(|_, stack| of(stack.generation))
            .collect()
    }

    /// A stack by its id.
    #[must_use]
    pub fn stack(&self, id: u64) -> Option<&RawStack> {
        self.stacks.get(&id)
    }

    /// A code object by its key.
    #[must_use]
    pub fn code(&self, key: u64) -> Option<&CodeObject> {
        self.code.get(&key)
    }

    /// Whether a code object is there with all its parts.
    #[must_use]
    pub fn is_complete(&self, key: u64) -> bool {
        self.code.get(&key).is_some_and(|object| {
            object
                .sections
                .iter()
                .all(|section| section.complete().is_some())
        })
    }

    fn share(&mut self, bytes: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.shared.get(bytes) {
            return Arc::clone(known);
        }
        let new: Arc<[u8]> = bytes.into();
        self.shared.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::record::kind;

    use super::*;

    fn code(table_bytes: u32, table_sent: u32) -> Code {
        Code {
            kind: kind::CODE,
            missing: 0,
            pid: 1,
            generation: 1,
            key: 7,
            address: 0x1000,
            first_line: 1,
            name_kind: 1,
            file_kind: 1,
            padding: 0,
            name_bytes: 1,
            file_bytes: 1,
            table_bytes,
            name_sent: 1,
            file_sent: 1,
            table_sent,
        }
    }

    fn piece(offset: u32) -> Piece {
        Piece {
            kind: kind::PIECE,
            section: section::TABLE,
            offset,
            generation: 1,
            key: 7,
            bytes: 2,
            padding: 0,
        }
    }

    /// Makes sure that pieces complete a section only where none is missing.
    #[test]
    fn pieces_complete_a_section() {
        let mut store = Store::default();
        store.add_code(&code(6, 2), [b"n", b"f", b"ab"]);
        assert!(!store.is_complete(7));
        store.add_piece(&piece(4), b"ef");
        assert!(!store.is_complete(7), "a gap");
        store.add_piece(&piece(2), b"cd");
        store.add_piece(&piece(4), b"ef");
        assert!(store.is_complete(7));
        assert_eq!(
            store.code(7).and_then(|code| code.sections[2].complete()),
            Some(&b"abcdef"[..])
        );
        store.add_piece(&piece(6), b"gh");
        assert_eq!(
            store.code(7).and_then(|code| code.sections[2].complete()),
            Some(&b"abcdef"[..])
        );
    }

    /// Makes sure that the root part of a cut stack comes out in the order of the calls.
    #[test]
    fn the_ring_of_root_frames_is_straightened() {
        let mut store = Store::default();
        let frame = |key| StackFrame {
            key,
            address: 0,
            instruction: 0,
            interpreter: 0,
        };
        // Depth 10, 4 leaf frames (0 to 3), a ring of 4 that saw frames 4 to 9: 8, 9, 6, 7.
        let frames = [0, 1, 2, 3, 8, 9, 6, 7].map(frame);
        store.add_stack(1, 1, 1, 10, 4, &frames);
        let stack = store.stack(1).expect("it was just added");
        assert_eq!(
            stack.root.iter().map(|place| place.0).collect::<Vec<_>>(),
            [6, 7, 8, 9]
        );
    }
}
