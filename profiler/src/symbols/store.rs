//! Code objects and stacks as the kernel side sent them, until names and lines are asked for.

use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashSet};
use profiler_common::record::{Code, Piece, Stack, StackFrame, missing, section};

use super::{
    section::{Section, Shared},
    stack::RawStack,
};

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

/// What is known under a code object's key.
#[derive(Debug)]
struct Known {
    /// The registration of the process that it was met in.
    generation: u64,
    /// None: only stacks have told of it so far.
    object: Option<CodeObject>,
    /// So many places of the stacks that are kept are in it.
    uses: u32,
    /// Whether it has arrived since stacks were last condemned: a stack that uses it may be on its way.
    is_new: bool,
}

/// A stack that is kept.
#[derive(Debug)]
struct Kept {
    stack: RawStack,
    /// When it was met last, by the times of samples (ns); 0: not since it was condemned.
    met: u64,
}

/// Everything that was sent once to be referred to later.
///
/// What is not needed any more can be dropped. The kernel side believes that what it has sent is known here: so stacks
/// are first condemned, then the kernel side is told to send them again when it meets them, and when all has been read
/// that was sent before it was told, those are dropped that have not been met meanwhile.
#[derive(Debug, Default)]
pub struct Store {
    code: HashMap<u64, Known>,
    stacks: HashMap<u64, Kept>,
    shared: Shared,
    /// What code objects and stacks take: see [`Store::bytes`].
    bytes: usize,
    /// The time of the latest sample (ns).
    now: u64,
}

/// What a code object, besides its sections, a stack and a place of it take: until the profile is written, which is when
/// most is needed at a time. A flame graph needs the text of each frame of each stack.
const CODE_BYTES: usize = 640;
/// See [`CODE_BYTES`].
const STACK_BYTES: usize = 320;
/// See [`CODE_BYTES`].
const PLACE_BYTES: usize = 48;

impl Store {
    /// Takes in a code object. What arrived before is kept where this record has less.
    pub fn add_code(&mut self, record: &Code, first_bytes: [&[u8]; 3]) {
        let lengths = [record.name_bytes, record.file_bytes, record.table_bytes];
        if let Some(known) = self.code.get_mut(&record.key) {
            known.is_new = true;
            if let Some(object) = &known.object
                && object
                    .sections
                    .iter()
                    .zip(first_bytes)
                    .all(|(section, bytes)| section.arrived() >= bytes.len())
            {
                return;
            }
        }
        let missing = [missing::NAME, missing::FILE, missing::TABLE];
        let sections = [0, 1, 2].map(|which| {
            if record.missing & missing[which] != 0 {
                return Section::missing();
            }
            let bytes = first_bytes[which];
            if bytes.len() as u32 >= lengths[which] {
                return self.section(bytes);
            }
            Section::begun(bytes.to_vec(), lengths[which] as usize)
        });
        let object = CodeObject {
            generation: record.generation,
            address: record.address,
            first_line: record.first_line,
            sections,
            text_kinds: [record.name_kind, record.file_kind],
        };
        self.fill(record.key, object);
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
        let Some(object) = self
            .code
            .get_mut(&record.key)
            .and_then(|known| known.object.as_mut())
        else {
            return;
        };
        let part = &mut object.sections[which];
        self.bytes -= part.own_bytes();
        part.add(record.offset as usize, bytes, &mut self.shared);
        self.bytes += part.own_bytes();
    }

    /// Takes in what user space has read itself.
    pub fn fill(&mut self, key: u64, object: CodeObject) {
        let known = known(&mut self.code, &mut self.bytes, key, object.generation);
        known.is_new = true;
        self.bytes += object.own_bytes();
        if let Some(before) = known.object.replace(object) {
            self.bytes -= before.own_bytes();
        }
    }

    /// A section, complete.
    pub fn section(&mut self, bytes: &[u8]) -> Section {
        self.shared.section(bytes)
    }

    /// Takes in a stack; frames as the kernel side sent them. Whether all its code objects are there with all their
    /// parts.
    pub fn add_stack(&mut self, stack: &Stack, frames: &[StackFrame]) -> bool {
        if let Some(kept) = self.stacks.get_mut(&stack.id) {
            // Another CPU has met it too.
            kept.met = self.now.max(1);
            return frames.iter().all(|frame| self.is_complete(frame.key));
        }
        let raw = RawStack::new(stack, frames);
        self.keep(stack.id, raw, self.now.max(1))
    }

    /// Takes in a stack as it is, met last at that time (ns); as [`Self::add_stack`].
    pub fn keep(&mut self, id: u64, stack: RawStack, met: u64) -> bool {
        let mut is_complete = true;
        for &(key, _) in stack.places() {
            let known = known(&mut self.code, &mut self.bytes, key, stack.generation);
            known.uses += 1;
            is_complete &= known.is_complete();
        }
        let kept = Kept { stack, met };
        self.bytes += kept.bytes();
        if let Some(before) = self.stacks.insert(id, kept) {
            self.bytes -= before.bytes();
            self.release(&before.stack);
        }
        is_complete
    }

    /// Takes out the code objects of some registrations, by key.
    pub fn take_code(&mut self, of: impl Fn(u64) -> bool) -> Vec<(u64, CodeObject)> {
        let taken = self.code.extract_if(|_, known| of(known.generation));
        let bytes = &mut self.bytes;
        taken
            .filter_map(|(key, known)| {
                *bytes -= known.bytes();
                Some((key, known.object?))
            })
            .collect()
    }

    /// Takes out the stacks of some registrations, whose code objects have been taken out: by id, with when each was
    /// met last (ns).
    pub fn take_stacks(&mut self, of: impl Fn(u64) -> bool) -> Vec<(u64, RawStack, u64)> {
        let taken = self.stacks.extract_if(|_, kept| of(kept.stack.generation));
        let bytes = &mut self.bytes;
        taken
            .map(|(id, kept)| {
                *bytes -= kept.bytes();
                (id, kept.stack, kept.met)
            })
            .collect()
    }

    /// A stack by its id, which a sample has met at that time (ns).
    pub fn meet(&mut self, id: u64, time: u64) -> Option<&RawStack> {
        let kept = self.stacks.get_mut(&id)?;
        kept.met = kept.met.max(time);
        self.now = time;
        Some(&kept.stack)
    }

    /// A stack by its id.
    #[must_use]
    pub fn stack(&self, id: u64) -> Option<&RawStack> {
        Some(&self.stacks.get(&id)?.stack)
    }

    /// A code object by its key.
    #[must_use]
    pub fn code(&self, key: u64) -> Option<&CodeObject> {
        self.code.get(&key)?.object.as_ref()
    }

    /// Whether a code object is there with all its parts.
    #[must_use]
    pub fn is_complete(&self, key: u64) -> bool {
        self.code.get(&key).is_some_and(Known::is_complete)
    }

    /// What all this takes, in bytes: estimated, and counted as it comes and goes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.shared.bytes()
    }

    /// The stacks that can be dropped: when each was met last (ns), and its id.
    pub fn droppable(&self) -> impl Iterator<Item = (u64, u64)> {
        let stacks = self.stacks.iter();
        // A mark alone takes no more than the one that would stand in for it.
        stacks
            .filter(|(_, kept)| !kept.stack.places().is_empty())
            .map(|(&id, kept)| (kept.met, id))
    }

    /// What is gained where a stack is dropped, with the code objects that it alone has (bytes).
    #[must_use]
    pub fn gain(&self, id: u64) -> usize {
        let Some(kept) = self.stacks.get(&id) else {
            return 0;
        };
        let known = kept.stack.places().iter();
        let known = known.filter_map(|(key, _)| self.code.get(key));
        let alone = known.filter(|known| known.uses == 1).map(Known::gain);
        kept.bytes() + alone.sum::<usize>()
    }

    /// Condemns stacks, and the code objects that no other stack needs. Returns the keys of these, and of more: the
    /// kernel side is to send stacks and code objects again when it meets them.
    pub fn condemn(&mut self, ids: &[u64]) -> HashSet<u64> {
        let mut keys = HashSet::default();
        for id in ids {
            if let Some(kept) = self.stacks.get_mut(id) {
                kept.met = 0;
                keys.extend(kept.stack.places().iter().map(|place| place.0));
            }
        }
        for (&key, known) in &mut self.code {
            known.is_new = false;
            if known.uses == 0 {
                keys.insert(key);
            }
        }
        keys
    }

    /// Drops what was condemned, unless it has been met since: the stacks that are gone, and how many code objects are.
    pub fn drop_condemned(&mut self, ids: &[u64]) -> (HashSet<u64>, usize) {
        let mut dropped = HashSet::default();
        for &id in ids {
            if let Entry::Occupied(entry) = self.stacks.entry(id)
                && entry.get().met == 0
            {
                let kept = entry.remove();
                self.bytes -= kept.bytes();
                self.release(&kept.stack);
                dropped.insert(id);
            }
        }
        let before = self.code.len();
        self.code.retain(|_, known| {
            let stays = known.uses > 0 || known.is_new;
            if !stays {
                self.bytes -= known.bytes();
            }
            stays
        });
        self.shared.forget_unused();
        (dropped, before - self.code.len())
    }

    /// Counts the places of a stack off.
    fn release(&mut self, stack: &RawStack) {
        for (key, _) in stack.places() {
            if let Some(known) = self.code.get_mut(key) {
                known.uses = known.uses.saturating_sub(1);
            }
        }
    }
}

/// What is known under a key, or a beginning of that.
fn known<'a>(
    code: &'a mut HashMap<u64, Known>,
    bytes: &mut usize,
    key: u64,
    generation: u64,
) -> &'a mut Known {
    code.entry(key).or_insert_with(|| {
        *bytes += CODE_BYTES;
        Known {
            generation,
            object: None,
            uses: 0,
            is_new: true,
        }
    })
}

impl Known {
    fn is_complete(&self) -> bool {
        self.object.as_ref().is_some_and(|object| {
            object
                .sections
                .iter()
                .all(|section| section.complete().is_some())
        })
    }

    fn bytes(&self) -> usize {
        CODE_BYTES + self.object.as_ref().map_or(0, CodeObject::own_bytes)
    }

    /// What is gained where it is dropped (bytes).
    fn gain(&self) -> usize {
        let sections = self.object.iter().flat_map(|object| &object.sections);
        self.bytes() + sections.map(Section::shared_alone).sum::<usize>()
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        STACK_BYTES + self.stack.places().len() * PLACE_BYTES
    }
}

impl CodeObject {
    /// The bytes of its sections that it does not share.
    fn own_bytes(&self) -> usize {
        self.sections.iter().map(Section::own_bytes).sum()
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
