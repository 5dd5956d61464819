//! The tables that samples point into: strings, mappings, functions and locations, each entry once.

use std::collections::HashMap;

use crate::{
    output::{Options, frame, text::printable},
    profile::model::{Frame, Mark, Profile, Sample},
};

use super::proto;

/// Tables under construction. Ids are indices + 1: 0 is no id.
pub(super) struct Table<'a> {
    options: &'a Options,
    pub strings: Vec<String>,
    pub mappings: Vec<proto::Mapping>,
    pub functions: Vec<proto::Function>,
    pub locations: Vec<proto::Location>,
    string_index: HashMap<String, i64>,
    /// Per process, the id of its interpreter's mapping.
    mapping_of: Vec<u64>,
    function_ids: HashMap<FunctionKey, u64>,
    location_ids: HashMap<(u64, Line), u64>,
}

/// Name, file, first line.
type FunctionKey = (i64, i64, i64);
/// Function id, line, column.
type Line = (u64, i64, i64);

impl<'a> Table<'a> {
    pub fn new(profile: &Profile, options: &'a Options) -> Self {
        let mut table = Self {
            options,
            strings: vec![String::new()],
            mappings: Vec::new(),
            functions: Vec::new(),
            locations: Vec::new(),
            string_index: HashMap::from([(String::new(), 0)]),
            mapping_of: Vec::new(),
            function_ids: HashMap::new(),
            location_ids: HashMap::new(),
        };
        let mut ids = HashMap::new();
        for process in &profile.processes {
            let id = match &process.interpreter {
                Some(file) if process.ledger.delivered > 0 => *ids
                    .entry(file.as_str())
                    .or_insert_with(|| table.mapping(file)),
                _ => 0,
            };
            table.mapping_of.push(id);
        }
        table
    }

    /// The index of a string.
    pub fn string(&mut self, text: &str) -> i64 {
        if let Some(&index) = self.string_index.get(text) {
            return index;
        }
        let index = self.strings.len() as i64;
        self.strings.push(text.into());
        self.string_index.insert(text.into(), index);
        index
    }

    /// The location ids of a sample's stack, leaf first.
    pub fn stack(&mut self, profile: &Profile, sample: &Sample) -> Vec<u64> {
        let mapping = self.mapping_of[sample.process];
        let stack = &profile.stacks[sample.stack].frames;
        let mut ids: Vec<_> = stack
            .iter()
            .rev()
            .map(|&frame| self.frame(profile, frame, mapping))
            .collect();
        if ids.is_empty() {
            ids.push(self.frame(profile, Frame::Mark(Mark::NoFrame), mapping));
        }
        ids
    }

    /// An interpreter. That all symbols are there tells pprof not to look for them in the file.
    fn mapping(&mut self, file: &str) -> u64 {
        let filename = self.string(&printable(file));
        let id = self.mappings.len() as u64 + 1;
        self.mappings.push(proto::Mapping {
            id,
            filename,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        });
        id
    }

    fn frame(&mut self, profile: &Profile, frame: Frame, mapping: u64) -> u64 {
        let line = match frame {
            Frame::Mark(mark) => (self.function(&mark.label(), "", 0), 0, 0),
            Frame::Python(location) => {
                let location = &profile.locations[location];
                let function = &profile.functions[location.function];
                let id = self.function(
                    &frame::visible(&function.name),
                    &printable(&function.file),
                    function.first_line,
                );
                let line = frame::shown_line(profile, location, self.options);
                let places = !(self.options.function_only || self.options.no_lines);
                // pprof counts columns from 1 (0: unknown), CPython from 0.
                let column = location
                    .column
                    .filter(|_| places)
                    .map_or(0, |column| i64::from(column) + 1);
                (id, i64::from(line), column)
            }
        };
        *self.location_ids.entry((mapping, line)).or_insert_with(|| {
            let id = self.locations.len() as u64 + 1;
            let (function_id, line, column) = line;
            self.locations.push(proto::Location {
                id,
                mapping_id: mapping,
                line: vec![proto::Line {
                    function_id,
                    line,
                    column,
                }],
            });
            id
        })
    }

    fn function(&mut self, name: &str, file: &str, first_line: u32) -> u64 {
        let key = (self.string(name), self.string(file), i64::from(first_line));
        if let Some(&id) = self.function_ids.get(&key) {
            return id;
        }
        // pprof takes a function whose system name is its name for C++ and strips what it takes for parameters and
        // templates: `<module>` would show as nothing (demangleSingleFunction in its internal/symbolizer). What
        // identifies a Python function is its place, so that is its system name.
        let system_name = self.string(&match (file, first_line) {
            ("", _) => format!("{name} (pyprof-ebpf)"),
            (file, line) => format!("{name} ({file}:{line})"),
        });
        let id = self.functions.len() as u64 + 1;
        let (name, filename, start_line) = key;
        self.functions.push(proto::Function {
            id,
            name,
            system_name,
            filename,
            start_line,
        });
        self.function_ids.insert(key, id);
        id
    }
}
