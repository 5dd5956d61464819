//! The layouts of CPython 3.6 to 3.12: release builds for x86-64 Linux.
//!
//! All numbers were computed by `offsetof` over each version's own headers, and a test computes them
//! again. They hold for all patch releases of a minor version, as its binary interface is frozen with
//! the first; where that is not so, the entry says.

use profiler_common::cpython::layout::{Layout, feature, instruction, line_table};

use super::{
    check::with_spans,
    version::{Level, PythonVersion},
};

/// What is known of an interpreter by its version alone. Offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// How its structures are laid out.
    pub layout: Layout,
    /// `interpreters.head` in `_PyRuntime`; 3.6 has no runtime structure but a variable of its own.
    pub interpreters_head: Option<u64>,
    /// `gilstate.tstate_current` in `_PyRuntime`, up to 3.11.
    pub current_thread: Option<u64>,
    /// `PyThreadState.interp`.
    pub thread_interpreter: u64,
    /// What `PyCode_Type.tp_basicsize` must be.
    pub code_size: u64,
    /// What `PyUnicode_Type.tp_basicsize` must be.
    pub unicode_size: u64,
}

/// The entry for a version, if there is one. Pre-releases have none: their structures still changed.
#[must_use]
pub fn known(version: PythonVersion) -> Option<Known> {
    if version.level != Level::Final {
        return None;
    }
    match (version.feature(), version.micro) {
        ((3, 6), _) => Some(V3_6),
        // Before 3.7.4 `tstate_current` lies elsewhere; without it, only the lists tell the threads.
        ((3, 7), 0..=3) => Some(Known {
            current_thread: None,
            ..V3_7
        }),
        ((3, 7), _) => Some(V3_7),
        ((3, 8), _) => Some(V3_8),
        ((3, 9), _) => Some(V3_9),
        ((3, 10), _) => Some(V3_10),
        ((3, 11), _) => Some(V3_11),
        ((3, 12), _) => Some(V3_12),
        _ => None,
    }
}

/// Nothing known: where the entries start from.
const EMPTY: Layout = Layout {
    features: 0,
    instruction: 0,
    line_table: 0,
    shim_owners: 0,
    code_tag: 0,
    interpreter_next: 0,
    interpreter_threads: 0,
    interpreter_id: 0,
    thread_span: 0,
    thread_next: 0,
    thread_id: 0,
    thread_native_id: 0,
    thread_interpreter: 0,
    thread_frame: 0,
    thread_active: 0,
    thread_active_mask: 0,
    thread_active_value: 0,
    cframe_current_frame: 0,
    cframe_previous: 0,
    frame_is_entry: 0,
    frame_span: 0,
    frame_code: 0,
    frame_previous: 0,
    frame_instruction: 0,
    frame_owner: 0,
    frame_owner_generator: 0,
    frame_tlbc_index: 0,
    code_window: 0,
    code_span: 0,
    code_type: 0,
    code_name: 0,
    code_qualname: 0,
    code_filename: 0,
    code_first_line: 0,
    code_line_table: 0,
    code_instructions: 0,
    code_first_traceable: 0,
    code_tlbc: 0,
    bytes_size: 0,
    bytes_data: 0,
    unicode_length: 0,
    unicode_hash: 0,
    unicode_state: 0,
    unicode_ascii_data: 0,
    unicode_compact_data: 0,
    unicode_kind_shift: 0,
    unicode_compact_bit: 0,
    unicode_ascii_bit: 0,
    padding: [0; 3],
};

const V3_6: Known = Known {
    layout: with_spans(Layout {
        instruction: instruction::LASTI_BYTES,
        line_table: line_table::LNOTAB,
        interpreter_next: 0,
        interpreter_threads: 8,
        thread_next: 8,
        thread_id: 152,
        thread_frame: 24,
        frame_code: 32,
        frame_previous: 24,
        frame_instruction: 120,
        code_type: 8,
        // From co_argcount through co_lnotab.
        code_name: 104,
        code_filename: 96,
        code_first_line: 36,
        code_line_table: 112,
        bytes_size: 16,
        bytes_data: 32,
        unicode_length: 16,
        unicode_hash: 24,
        unicode_state: 32,
        unicode_ascii_data: 48,
        unicode_compact_data: 72,
        unicode_kind_shift: 2,
        unicode_compact_bit: 5,
        unicode_ascii_bit: 6,
        ..EMPTY
    }),
    interpreters_head: None,
    current_thread: None,
    thread_interpreter: 16,
    code_size: 144,
    unicode_size: 80,
};

const V3_7: Known = Known {
    layout: with_spans(Layout {
        thread_id: 176,
        frame_instruction: 104,
        ..V3_6.layout
    }),
    interpreters_head: Some(24),
    current_thread: Some(1480),
    ..V3_6
};

const V3_8: Known = Known {
    layout: with_spans(Layout {
        // co_posonlyargcount came first.
        code_name: 112,
        code_filename: 104,
        code_first_line: 40,
        code_line_table: 120,
        ..V3_7.layout
    }),
    interpreters_head: Some(32),
    current_thread: Some(1368),
    code_size: 176,
    ..V3_7
};

const V3_9: Known = Known {
    current_thread: Some(568),
    ..V3_8
};

const V3_10: Known = Known {
    layout: with_spans(Layout {
        instruction: instruction::LASTI_UNITS,
        line_table: line_table::LINETABLE_310,
        frame_instruction: 96,
        ..V3_9.layout
    }),
    ..V3_9
};

const V3_11: Known = Known {
    layout: with_spans(Layout {
        features: feature::CFRAME | feature::OWNER | feature::FIRST_TRACEABLE | feature::QUALNAME,
        instruction: instruction::POINTER,
        line_table: line_table::LOCATIONS,
        interpreter_threads: 16,
        thread_id: 152,
        thread_native_id: 160,
        thread_frame: 56,
        cframe_current_frame: 8,
        cframe_previous: 16,
        frame_is_entry: 68,
        frame_code: 32,
        frame_previous: 48,
        frame_instruction: 56,
        frame_owner: 69,
        // FRAME_OWNED_BY_GENERATOR.
        frame_owner_generator: 1,
        // From co_argcount through co_linetable: co_warmup, before it, counts.
        code_name: 120,
        code_qualname: 128,
        code_filename: 112,
        code_first_line: 72,
        code_line_table: 136,
        code_instructions: 184,
        code_first_traceable: 168,
        ..V3_10.layout
    }),
    interpreters_head: Some(40),
    current_thread: Some(576),
    code_size: 184,
    ..V3_10
};

const V3_12: Known = Known {
    layout: with_spans(Layout {
        features: V3_11.layout.features | feature::CODE_VERSION | feature::THREAD_ACTIVE,
        // FRAME_OWNED_BY_CSTACK.
        shim_owners: 1 << 3,
        interpreter_threads: 72,
        interpreter_id: 8,
        thread_id: 136,
        thread_native_id: 144,
        thread_interpreter: 16,
        thread_active: 24,
        // _status.active, the fifth bit, and _status.unbound, the third.
        thread_active_mask: 1 << 4 | 1 << 2,
        thread_active_value: 1 << 4,
        cframe_current_frame: 0,
        cframe_previous: 8,
        frame_is_entry: 0,
        frame_code: 0,
        frame_previous: 8,
        frame_owner: 70,
        // From ob_size, the number of code units, through co_linetable; co_version is among them.
        code_first_line: 68,
        code_instructions: 192,
        code_first_traceable: 176,
        unicode_ascii_data: 40,
        unicode_compact_data: 56,
        ..V3_11.layout
    }),
    // The thread that holds the GIL is per interpreter from here on.
    current_thread: None,
    code_size: 192,
    unicode_size: 64,
    ..V3_11
};

#[cfg(test)]
mod tests {
    use super::{super::check::check, *};

    /// Makes sure that every entry keeps the promises that its readers rely on.
    #[test]
    fn every_entry_is_sane() {
        for minor in 6..=12 {
            let version = PythonVersion::release(3, minor, 0);
            let entry = known(version).expect("an entry for each version");
            assert_eq!(check(&entry.layout), Ok(()), "{version}");
        }
    }

    /// Makes sure that nothing is guessed for versions outside the table and for pre-releases.
    #[test]
    fn others_have_no_entry() {
        for text in ["2.7.18", "3.5.10", "3.13.0", "4.8.0", "3.12.0rc3"] {
            assert_eq!(known(text.parse().expect("a version")), None, "{text}");
        }
    }
}
