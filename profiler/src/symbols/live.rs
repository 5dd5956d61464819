//! Reading what the kernel side could not, from a process that still lives.

use profiler_common::{
    cpython::{
        code::{self, CodeState, Extent},
        layout::Layout,
    },
    memory::Window,
    record::StackFrame,
};

use super::{
    section::Section,
    store::{CodeObject, Store},
};
use crate::{
    host::memory::{ProcessMemory, ReadBytes as _},
    interpreter::process::Interpreter,
};

/// Nothing longer than this (bytes) is read at a time.
const MAX_BYTES: u32 = 1 << 26;

/// Reads the code object of a frame, if it is still the one that the frame met.
pub fn read_code(
    pid: u32,
    generation: u64,
    interpreter: &Interpreter,
    frame: &StackFrame,
    store: &mut Store,
) -> Option<CodeObject> {
    let memory = ProcessMemory { pid };
    let layout = &interpreter.layout;
    let object = read(&memory, layout, generation, frame, store)?;
    let seed = code::seed(generation, frame.interpreter);
    // Again after reading: what was read belongs to that code object only if it is still there.
    is_same(&memory, layout, interpreter.code_type, seed, frame).then_some(object)
}

fn read(
    memory: &ProcessMemory,
    layout: &Layout,
    generation: u64,
    frame: &StackFrame,
    store: &mut Store,
) -> Option<CodeObject> {
    let mut window = Window::new();
    let fields = code::fields(memory, layout, frame.address, &mut window).ok()?;
    let name = code::text_extent(memory, layout, fields.name, &mut window).ok();
    let file = code::text_extent(memory, layout, fields.file, &mut window).ok();
    let table = code::bytes_extent(memory, layout, fields.table).ok();
    let kind = |extent: Option<Extent>| extent.map_or(1, |extent| extent.kind);
    let text_kinds = [kind(name), kind(file)];
    let sections = [name, file, table].map(|extent| section(memory, extent, store));
    Some(CodeObject {
        generation,
        address: frame.address,
        first_line: fields.first_line,
        sections,
        text_kinds,
    })
}

fn section(memory: &ProcessMemory, extent: Option<Extent>, store: &mut Store) -> Section {
    extent
        .filter(|extent| extent.bytes <= MAX_BYTES)
        .and_then(|extent| {
            let mut bytes = vec![0; extent.bytes as usize];
            memory.read_bytes(extent.address, &mut bytes).ok()?;
            Some(store.section(&bytes))
        })
        .unwrap_or_else(Section::missing)
}

/// Whether what lies at the frame's address is what the frame met. Where the kernel side could not read
/// the code object at all, its key is made of the address alone, and any code object is taken.
fn is_same(
    memory: &ProcessMemory,
    layout: &Layout,
    code_type: u64,
    seed: u64,
    frame: &StackFrame,
) -> bool {
    let mut window = Window::new();
    match code::identify(memory, layout, code_type, seed, frame.address, &mut window) {
        CodeState::Code(found) => {
            found.key == frame.key || code::mix(seed, frame.address) == frame.key
        }
        CodeState::NotCode | CodeState::Unreadable(_) => false,
    }
}
