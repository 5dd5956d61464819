//! From code objects and instructions to functions and lines.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};

use profiler_common::record::mark;

use super::{
    lines::{self, Position},
    stack::RawStack,
    store::{CodeObject, Store},
    text,
};
use crate::profile::{
    builder::Builder,
    model::{Frame, Function, Location, Mark},
};

/// Names what could not be read: the frame is there all the same.
const UNKNOWN_NAME: &str = "[unknown function]";
const UNKNOWN_FILE: &str = "[unknown file]";

/// Turns stacks into frames with names and lines; each place in a code object is decoded once.
pub struct Resolver<'a> {
    store: &'a Store,
    /// Encoding of lines, by registration.
    line_tables: &'a HashMap<u64, u8>,
    functions: HashMap<u64, usize>,
    locations: HashMap<(u64, i32), usize>,
    texts: HashMap<(u8, Vec<u8>), Arc<str>>,
}

impl<'a> Resolver<'a> {
    /// Resolves what is in a store; `line_tables` gives the line table format of each registration.
    #[must_use]
    pub fn new(store: &'a Store, line_tables: &'a HashMap<u64, u8>) -> Self {
        Self {
            store,
            line_tables,
            functions: HashMap::new(),
            locations: HashMap::new(),
            texts: HashMap::new(),
        }
    }

    /// The frames of a stack, root first.
    pub fn frames(&mut self, stack: &RawStack, builder: &mut Builder) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(stack.leaf().len() + stack.root().len() + 1);
        let lost = [
            (mark::ROOT_LOST, Mark::RootLost),
            (mark::UNREADABLE, Mark::Unreadable),
            (mark::NO_THREAD_STATE, Mark::NoThreadState),
            (mark::NO_INTERPRETER, Mark::NoInterpreter),
            (mark::NO_FRAME, Mark::NoFrame),
            (mark::NOT_SAMPLED, Mark::NotSampled),
            (mark::DROPPED, Mark::Dropped),
        ];
        for (bit, mark) in lost {
            if stack.marks & bit != 0 {
                frames.push(Frame::Mark(mark));
            }
        }
        for &place in stack.root().iter().rev() {
            frames.push(Frame::Python(self.location(place, builder)));
        }
        let kept = stack.leaf().len() + stack.root().len();
        if stack.marks & mark::CUT != 0 {
            let omitted = (stack.depth as usize).saturating_sub(kept);
            frames.push(Frame::Mark(Mark::FramesOmitted(omitted as u32)));
        }
        for &place in stack.leaf().iter().rev() {
            frames.push(Frame::Python(self.location(place, builder)));
        }
        frames
    }

    fn location(&mut self, (key, instruction): (u64, i32), builder: &mut Builder) -> usize {
        if let Some(&location) = self.locations.get(&(key, instruction)) {
            return location;
        }
        let function = self.function(key, builder);
        let position = self.position(key, instruction);
        let location = builder.location(Location {
            function,
            line: position.line.unwrap_or(0),
            end_line: position.end_line.unwrap_or(0),
            column: position.column,
            end_column: position.end_column,
        });
        self.locations.insert((key, instruction), location);
        location
    }

    fn function(&mut self, key: u64, builder: &mut Builder) -> usize {
        if let Some(&function) = self.functions.get(&key) {
            return function;
        }
        let object = self.store.code(key);
        let function = Function {
            name: self.text(object, 0, UNKNOWN_NAME),
            file: self.text(object, 1, UNKNOWN_FILE),
            first_line: object.map_or(0, |object| u32::try_from(object.first_line).unwrap_or(0)),
        };
        let function = builder.function(function);
        self.functions.insert(key, function);
        function
    }

    fn text(&mut self, object: Option<&CodeObject>, section: usize, unknown: &str) -> Arc<str> {
        let Some((object, bytes)) =
            object.and_then(|object| Some((object, object.sections[section].complete()?)))
        else {
            return unknown.into();
        };
        let kind = object.text_kinds[section];
        if let Some(known) = self.texts.get(&(kind, bytes.to_vec())) {
            return Arc::clone(known);
        }
        let decoded: Arc<str> = text::decode(kind, bytes).into();
        self.texts
            .insert((kind, bytes.to_vec()), Arc::clone(&decoded));
        decoded
    }

    fn position(&self, key: u64, instruction: i32) -> Position {
        let none = Position {
            line: None,
            end_line: None,
            column: None,
            end_column: None,
        };
        let Some(object) = self.store.code(key) else {
            return none;
        };
        match (
            object.sections[2].complete(),
            self.line_tables.get(&object.generation),
        ) {
            (Some(table), Some(&format)) => {
                lines::position(format, table, object.first_line, instruction)
            }
            _ => none,
        }
    }
}
