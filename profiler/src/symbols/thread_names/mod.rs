//! The names that a program gave to its threads: `threading.Thread.name`.
//!
//! They live in Python objects: `sys.modules["threading"]._active` maps each thread's ident to its
//! `Thread`, whose `_name` and `_native_id` are plain attributes. Up to 3.13 the kernel knows nothing of
//! them; from 3.14 on `threading` hands them to the kernel, which cuts them to 15 bytes: the number is
//! gone from `ThreadPoolExecutor-0_1`, and half of a Cyrillic name.
//!
//! The process runs on while it is read, and may be hostile: reads are bounded in number, each object's
//! type is checked on the way, and whatever is not as expected yields fewer names, not an error.

mod dict;
pub mod layout;
mod object;

use std::collections::HashMap;

use self::{layout::ObjectLayout, object::Objects};
use crate::host::memory::ReadBytes;

/// The newest interpreter comes first in the list and the main one last.
const MOST_INTERPRETERS: usize = 256;

/// A thread as its program sees it. The name is untrusted: it may hold anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadName {
    /// `Thread.name`.
    pub name: String,
    /// `Thread.native_id` (3.8+): the thread id in the process's own pid namespace.
    pub native_id: Option<u32>,
}

/// The names of a process's threads by ident (`pthread_self()`, the `thread_id` of the thread state).
///
/// `interpreters` is the address of the pointer to the first interpreter state, `version` CPython's
/// (major, minor). Empty where the version is unknown, `threading` was never imported, or nothing could
/// be read. Threads that Python did not start and that never asked for their own `Thread` have no name.
#[must_use]
pub fn thread_names(
    memory: &impl ReadBytes,
    interpreters: u64,
    version: (u32, u32),
) -> HashMap<u64, ThreadName> {
    let mut names = HashMap::new();
    let Some(layout) = ObjectLayout::of(version) else {
        return names;
    };
    let objects = Objects::new(memory, layout);
    let mut next = objects.pointer(interpreters);
    for _ in 0..MOST_INTERPRETERS {
        let Some(interpreter) = next else { break };
        // A thread of the main interpreter that runs code in another one is the main thread there: the
        // name that it has in the main interpreter, which comes last, is the one to keep.
        names.extend(names_of(&objects, interpreter).into_iter().flatten());
        next = objects.pointer(interpreter.wrapping_add(layout.interpreter_next));
    }
    names
}

/// The names of the threads that one interpreter knows.
fn names_of<M: ReadBytes>(
    objects: &Objects<'_, M>,
    interpreter: u64,
) -> Option<Vec<(u64, ThreadName)>> {
    let layout = objects.layout;
    let modules = objects.pointer(interpreter.wrapping_add(layout.interpreter_modules))?;
    let threading = objects.lookup(modules, b"threading")?;
    let globals = objects.pointer(threading.wrapping_add(layout.module_dict))?;
    let active = objects.lookup(globals, b"_active")?;
    let mut keys = AttributeKeys::default();
    let entries = objects.entries(active)?;
    Some(
        entries
            .filter_map(|(ident, thread)| {
                Some((objects.integer(ident)?, keys.thread_name(objects, thread)?))
            })
            .collect(),
    )
}

/// Addresses of the attributes' names, once known. Attribute names in code are interned: within one
/// interpreter, each is a single object, and a look at the pointer tells.
#[derive(Default)]
struct AttributeKeys {
    name: Option<u64>,
    native_id: Option<u64>,
}

impl AttributeKeys {
    fn thread_name<M: ReadBytes>(
        &mut self,
        objects: &Objects<'_, M>,
        thread: u64,
    ) -> Option<ThreadName> {
        let is = |known: &mut Option<u64>, key: u64, text: &[u8]| {
            if known.is_none() && objects.is_text(key, text) {
                *known = Some(key);
            }
            *known == Some(key)
        };
        let mut name = None;
        let mut native_id = None;
        for (key, value) in objects.attributes(thread)? {
            if is(&mut self.name, key, b"_name") {
                name = objects.text(value);
            } else if is(&mut self.native_id, key, b"_native_id") {
                native_id = objects.integer(value).and_then(|id| id.try_into().ok());
            }
        }
        Some(ThreadName {
            name: name?,
            native_id,
        })
    }
}

#[cfg(test)]
mod tests;
