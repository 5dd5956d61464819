//! The symbols by which an interpreter is known.

use super::elf::{Elf, Table};

/// The addresses, before relocation, of the symbols that tell an interpreter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Landmarks {
    /// `_PyRuntime` (3.7+).
    pub runtime: Option<u64>,
    /// `_PyThreadState_Current` (up to 3.6).
    pub current_thread: Option<u64>,
    /// `interp_head` (up to 3.6), a local symbol.
    pub interpreters: Option<u64>,
    /// `Py_Version` (3.11+).
    pub version: Option<u64>,
    /// `PyCode_Type`.
    pub code_type: Option<u64>,
    /// `PyUnicode_Type`.
    pub unicode_type: Option<u64>,
    /// Whether it was built with `Py_DEBUG`.
    pub debug_build: bool,
}

impl Landmarks {
    /// Looks for them where they can be expected.
    #[must_use]
    pub fn find(file: &Elf<'_>) -> Self {
        let found = Self::look_in(file, Table::Dynamic);
        let lacking = if found.runtime.is_some() {
            found.code_type.is_none()
        } else if found.current_thread.is_some() {
            // 3.6 keeps the list of interpreters to itself.
            true
        } else {
            // A library exports what it contains; a program need not.
            file.is_program
        };
        if !lacking {
            return found;
        }
        let full = Self::look_in(file, Table::Full);
        Self {
            runtime: found.runtime.or(full.runtime),
            current_thread: found.current_thread.or(full.current_thread),
            interpreters: found.interpreters.or(full.interpreters),
            version: found.version.or(full.version),
            code_type: found.code_type.or(full.code_type),
            unicode_type: found.unicode_type.or(full.unicode_type),
            debug_build: found.debug_build || full.debug_build,
        }
    }

    fn look_in(file: &Elf<'_>, table: Table) -> Self {
        let Some(symbols) = file.symbols(table) else {
            return Self::default();
        };
        let python = ["_PyRuntime", "_PyThreadState_Current"];
        if !python.iter().any(|name| symbols.mentions(name)) {
            return Self::default();
        }
        let [
            runtime,
            current_thread,
            interpreters,
            version,
            code_type,
            unicode_type,
            debug_build,
        ] = file.addresses(
            &symbols,
            [
                "_PyRuntime",
                "_PyThreadState_Current",
                "interp_head",
                "Py_Version",
                "PyCode_Type",
                "PyUnicode_Type",
                // Only there under Py_REF_DEBUG, which Py_DEBUG implies (Include/object.h).
                "_Py_NegativeRefcount",
            ],
        );
        Self {
            runtime,
            current_thread,
            interpreters,
            version,
            code_type,
            unicode_type,
            debug_build: debug_build.is_some(),
        }
    }
}
