//! Stacks as sequences of places in code objects.

use std::sync::Arc;

use profiler_common::record::{Stack, StackFrame};

/// A place in a code object: the code object's key, and the instruction's offset in bytes.
pub type Place = (u64, i32);

/// A stack, leaf first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawStack {
    /// The registration of the process that it was met in.
    pub generation: u64,
    /// Bits of `profiler_common::record::mark`.
    pub marks: u32,
    /// How many frames the thread had, as far as walked.
    pub depth: u32,
    /// How many of the places come before the frames that were left out.
    leaf_frames: u32,
    /// From the leaf to the root; shared between copies.
    places: Arc<[Place]>,
}

impl RawStack {
    /// A stack as the kernel side sent it, with its frames.
    #[must_use]
    pub fn new(record: &Stack, frames: &[StackFrame]) -> Self {
        let (leaf, root) = frames.split_at((record.leaf_frames as usize).min(frames.len()));
        // The root part is a ring in which frame number n lies at n modulo its length; leaf frames are a multiple of
        // it.
        let oldest = (record.depth as usize).saturating_sub(leaf.len());
        let first = if oldest > root.len() {
            oldest % root.len().max(1)
        } else {
            0
        };
        let (newer, older) = root.split_at(first);
        let frames = leaf.iter().chain(older).chain(newer);
        Self {
            generation: record.generation,
            marks: record.marks,
            depth: record.depth,
            leaf_frames: leaf.len() as u32,
            places: frames.map(|frame| (frame.key, frame.instruction)).collect(),
        }
    }

    /// Nothing but a mark (bits of `profiler_common::record::mark`).
    #[must_use]
    pub fn marked(generation: u64, marks: u32) -> Self {
        Self {
            generation,
            marks,
            depth: 0,
            leaf_frames: 0,
            places: Arc::default(),
        }
    }

    /// All places that are kept, from the leaf to the root.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// From the leaf on.
    #[must_use]
    pub fn leaf(&self) -> &[Place] {
        &self.places[..self.leaf_frames as usize]
    }

    /// From behind the frames left out to the root.
    #[must_use]
    pub fn root(&self) -> &[Place] {
        &self.places[self.leaf_frames as usize..]
    }

    /// The same in other terms.
    #[must_use]
    pub fn translated(&self, generation: u64, place: impl FnMut(&Place) -> Place) -> Self {
        Self {
            generation,
            places: self.places.iter().map(place).collect(),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros as _;

    use super::*;

    /// Makes sure that the root part of a cut stack comes out in the order of the calls.
    #[test]
    fn the_ring_of_root_frames_is_straightened() {
        let frame = |key| StackFrame {
            key,
            ..StackFrame::new_zeroed()
        };
        // Depth 10, 4 leaf frames (0 to 3), a ring of 4 that saw frames 4 to 9: 8, 9, 6, 7.
        let frames = [0, 1, 2, 3, 8, 9, 6, 7].map(frame);
        let record = Stack {
            depth: 10,
            leaf_frames: 4,
            root_frames: 4,
            ..Stack::new_zeroed()
        };
        let stack = RawStack::new(&record, &frames);
        let keys = |places: &[Place]| places.iter().map(|place| place.0).collect::<Vec<_>>();
        assert_eq!(keys(stack.leaf()), [0, 1, 2, 3]);
        assert_eq!(keys(stack.root()), [6, 7, 8, 9]);
    }
}
