//! `_Py_DebugOffsets`: how CPython 3.13 and newer describe themselves, at the begin of the section
//! `.PyRuntime`.
//!
//! Include/internal/pycore_runtime.h (3.13) and pycore_debug_offsets.h (3.14, 3.15). After the cookie all
//! fields are 8-byte words, but their order is stable only within a minor version.

use profiler_common::cpython::layout::{Layout, feature, instruction, line_table};

use super::{
    check::{check, with_spans},
    version::PythonVersion,
    words::{FIELDS_3_13, FIELDS_3_14, FIELDS_3_15, Words, word},
};

/// What the structure begins with.
pub const COOKIE: &[u8; 8] = b"xdebugpy";

/// No known version of the structure is longer (bytes).
pub const LIMIT: usize = 2048;

/// What an interpreter says of itself. Offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its version.
    pub version: PythonVersion,
    /// How its structures are laid out.
    pub layout: Layout,
    /// `interpreters.head` in the runtime.
    pub interpreters_head: u64,
    /// Size of the runtime: what is left of the section must hold it.
    pub runtime_size: u64,
    /// `PyThreadState.interp`.
    pub thread_interpreter: u64,
    /// What `PyCode_Type.tp_basicsize` must be.
    pub code_size: u64,
    /// Size of a `PyObject`.
    pub object_size: u64,
}

/// Reads the version from the first bytes of the section, if they are a `_Py_DebugOffsets`.
#[must_use]
pub fn version(bytes: &[u8]) -> Option<PythonVersion> {
    bytes
        .starts_with(COOKIE)
        .then(|| word(bytes, 1).and_then(PythonVersion::from_hex))
        .flatten()
}

/// Makes a layout of the first bytes of the section.
///
/// A minor version that is newer than the newest known one is read like that, and believed where all
/// that can be checked holds.
///
/// # Errors
/// Says in one line why these offsets cannot be used.
pub fn parse(bytes: &[u8]) -> Result<Published, String> {
    let version = version(bytes).ok_or("its debug offsets bear no version")?;
    let fields = match version.feature() {
        (3, 13) => FIELDS_3_13,
        (3, 14) => FIELDS_3_14,
        (3, 15..) => FIELDS_3_15,
        _ => return Err("its debug offsets are of an unknown kind".to_owned()),
    };
    let free_threaded = match word(bytes, 2) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err("its debug offsets do not say whether it has a GIL".to_owned()),
    };
    let words = Words { fields, bytes };
    let layout = layout(&words, version, free_threaded)?;
    anchored(&words, &layout)?;
    check(&layout)?;
    let published = Published {
        version,
        layout,
        interpreters_head: words.get("runtime", "interpreters_head")?,
        runtime_size: words.get("runtime", "size")?,
        thread_interpreter: words.offset("thread", "interp")?.into(),
        code_size: words.offset("code", "co_code_adaptive")?.into(),
        object_size: words.get("object", "size")?,
    };
    if published.interpreters_head >= published.runtime_size
        || !published.interpreters_head.is_multiple_of(8)
    {
        return Err("its debug offsets put the interpreters outside the runtime".to_owned());
    }
    Ok(published)
}

fn layout(
    words: &Words<'_>,
    version: PythonVersion,
    free_threaded: bool,
) -> Result<Layout, String> {
    let tagged = version.feature() >= (3, 14);
    let code_line_table = words.offset("code", "linetable")?;
    let code_instructions = words.offset("code", "co_code_adaptive")?;
    let (mut code_tlbc, mut frame_tlbc_index) = (0, 0);
    if free_threaded && tagged {
        code_tlbc = words.offset("code", "co_tlbc")?;
        frame_tlbc_index = words.offset("frame", "tlbc_index")?;
    }
    let code_type = words.offset("object", "ob_type")?;
    let unicode_ascii_data = words
        .get("unicode", "asciiobject_size")
        .map(u16::try_from)?
        .unwrap_or(u16::MAX);
    // Free-threaded builds keep `interned` in a byte of its own from 3.14 on (cpython/unicodeobject.h).
    let unicode_kind_shift = if free_threaded && tagged { 8 } else { 2 };
    Ok(with_spans(Layout {
        features: feature::OWNER
            | feature::FIRST_TRACEABLE
            | feature::CODE_VERSION
            | feature::QUALNAME
            | feature::THREAD_ACTIVE
            | if free_threaded {
                feature::FREE_THREADED
            } else {
                0
            },
        instruction: instruction::POINTER,
        line_table: line_table::LOCATIONS,
        // pycore_frame.h: 3.13 has FRAME_OWNED_BY_CSTACK, 3; from 3.14 on CPython itself takes every
        // `owner >= FRAME_OWNED_BY_INTERPRETER`, 3, for no Python frame.
        shim_owners: if tagged { 0xF8 } else { 1 << 3 },
        // pycore_stackref.h: `Py_TAG_BITS` of 3.14 is 1 without the GIL and 3 with it, 3 in 3.15.
        // Objects are aligned to 8 bytes at least, so that clearing both bits suits all.
        code_tag: if tagged { 3 } else { 0 },
        interpreter_next: words
            .get("interpreter", "next")
            .map(u32::try_from)?
            .unwrap_or(u32::MAX),
        interpreter_threads: words
            .get("interpreter", "threads_head")
            .map(u32::try_from)?
            .unwrap_or(u32::MAX),
        interpreter_id: words
            .get("interpreter", "id")
            .map(u32::try_from)?
            .unwrap_or(u32::MAX),
        thread_span: 0,
        thread_next: words.offset("thread", "next")?,
        thread_id: words.offset("thread", "thread_id")?,
        thread_native_id: words.offset("thread", "native_thread_id")?,
        thread_interpreter: words.offset("thread", "interp")?,
        thread_frame: words.offset("thread", "current_frame")?,
        thread_active: words.offset("thread", "status")?,
        // `_status.active` has been the fifth bit since 3.12 (cpython/pystate.h); a thread sets it in its
        // own state when it attaches and clears it when it detaches. `unbound` is the third.
        thread_active_mask: 1 << 4 | 1 << 2,
        thread_active_value: 1 << 4,
        cframe_current_frame: 0,
        cframe_previous: 0,
        frame_is_entry: 0,
        frame_span: 0,
        frame_code: words.offset("frame", "executable")?,
        frame_previous: words.offset("frame", "previous")?,
        frame_instruction: words.offset("frame", "instr_ptr")?,
        frame_owner: words.offset("frame", "owner")?,
        // FRAME_OWNED_BY_GENERATOR.
        frame_owner_generator: 1,
        frame_tlbc_index,
        code_window: 0,
        code_span: 0,
        code_type,
        code_name: words.offset("code", "name")?,
        code_qualname: words.offset("code", "qualname")?,
        code_filename: words.offset("code", "filename")?,
        code_first_line: words.offset("code", "firstlineno")?,
        code_line_table,
        code_instructions,
        // cpython/code.h: `int _co_firsttraceable; void *co_extra;`, on free-threaded builds from 3.14 on
        // `_PyCodeArray *co_tlbc;`, then the instructions.
        code_first_traceable: code_instructions.saturating_sub(if code_tlbc != 0 {
            24
        } else {
            16
        }),
        code_tlbc,
        bytes_size: words.offset("bytes", "ob_size")?,
        bytes_data: words.offset("bytes", "ob_sval")?,
        unicode_length: words.offset("unicode", "length")?,
        // PyASCIIObject: length, hash, state.
        unicode_hash: words.offset("unicode", "length")?.saturating_add(8),
        unicode_state: words.offset("unicode", "state")?,
        unicode_ascii_data,
        // PyCompactUnicodeObject adds utf8_length and utf8.
        unicode_compact_data: unicode_ascii_data.saturating_add(16),
        unicode_kind_shift,
        unicode_compact_bit: unicode_kind_shift + 3,
        unicode_ascii_bit: unicode_kind_shift + 4,
        padding: [0; 3],
    }))
}

/// Checks what the headers of all known versions have in common, on which the derived offsets rest and
/// which would not hold if the words were read in the wrong order.
fn anchored(words: &Words<'_>, layout: &Layout) -> Result<(), String> {
    let object = words.get("object", "size")?;
    let equal = |what: &str, a: u64, b: u64| {
        if a == b {
            Ok(())
        } else {
            Err(format!(
                "its debug offsets contradict each other about {what}"
            ))
        }
    };
    equal("objects", u64::from(layout.code_type) + 8, object)?;
    equal("bytes objects", layout.bytes_size.into(), object)?;
    equal("bytes objects", layout.bytes_data.into(), object + 16)?;
    equal("strings", layout.unicode_length.into(), object)?;
    equal("strings", layout.unicode_state.into(), object + 16)?;
    equal("strings", layout.unicode_ascii_data.into(), object + 24)?;
    equal("strings", words.get("unicode", "size")?, object + 48)?;
    if let Ok(size) = words.get("unicode", "compactunicodeobject_size") {
        equal("strings", layout.unicode_compact_data.into(), size)?;
    }
    equal("types", words.get("type", "tp_name")?, object + 8)?;
    equal("tuples", words.get("tuple", "ob_size")?, object)?;
    equal("lists", words.get("list", "ob_size")?, object)?;
    equal(
        "code objects",
        words.get("code", "size")?,
        u64::from(layout.code_instructions) + 8,
    )?;
    if layout.code_tlbc != 0 {
        equal(
            "code objects",
            u64::from(layout.code_tlbc) + 8,
            layout.code_instructions.into(),
        )?;
    }
    if layout.code_first_traceable <= layout.code_line_table {
        return Err("its debug offsets leave no room in the code object".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The begin of `.PyRuntime` of 3.13.0, as `readelf -x .PyRuntime` shows it for an unpatched build.
    fn genuine() -> Vec<u8> {
        let words: [u64; 73] = [
            0x7970677562656478,
            0x30d00f0,
            0,
            283320,
            608,
            632,
            194968,
            7272,
            7264,
            7344,
            7400,
            7656,
            7640,
            7648,
            16,
            7752,
            0,
            7768,
            7760,
            304,
            0,
            8,
            16,
            72,
            152,
            160,
            232,
            32,
            80,
            8,
            0,
            56,
            72,
            70,
            208,
            112,
            120,
            128,
            136,
            68,
            52,
            96,
            104,
            200,
            16,
            8,
            416,
            24,
            88,
            168,
            32,
            24,
            16,
            40,
            24,
            16,
            48,
            32,
            40,
            24,
            16,
            32,
            16,
            24,
            40,
            16,
            32,
            64,
            32,
            16,
            40,
            240,
            200,
        ];
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Makes sure that genuine offsets give the layout that 3.13's headers describe.
    #[test]
    fn offsets_of_3_13() {
        let published = parse(&genuine()).expect("genuine offsets");
        assert_eq!(published.version, PythonVersion::release(3, 13, 0));
        let layout = published.layout;
        assert_eq!(
            (
                layout.frame_code,
                layout.frame_previous,
                layout.frame_instruction
            ),
            (0, 8, 56)
        );
        assert_eq!(
            (
                layout.code_name,
                layout.code_filename,
                layout.code_line_table
            ),
            (120, 112, 136)
        );
        assert_eq!(layout.code_window, 8);
    }

    /// Makes sure that a newer minor version is read like the newest known one, and refused where its words do
    /// not stand where that has them.
    #[test]
    fn unknown_versions_must_prove_themselves() {
        let mut bytes = genuine();
        bytes[8..16].copy_from_slice(&0x0310_00f0_u64.to_le_bytes());
        assert!(parse(&bytes).is_err());
    }

    /// Makes sure that offsets of other versions, and cut or empty ones, are refused.
    #[test]
    fn what_is_no_description_is_refused() {
        let bytes = genuine();
        assert!(parse(&[]).is_err());
        for length in 0..68 * 8 {
            assert!(parse(&bytes[..length]).is_err(), "{length} bytes");
        }
        let mut old = bytes.clone();
        old[8..16].copy_from_slice(&0x030c_01f0_u64.to_le_bytes());
        assert!(parse(&old).is_err());
    }

    proptest! {
        /// Makes sure that whatever words follow the cookie, the answer is a layout that keeps its promises
        /// or a refusal.
        #[test]
        fn hostile_offsets(
            changes in prop::collection::vec((1usize..73, any::<u64>()), 0..8),
            small in prop::collection::vec((3usize..73, 0u64..512), 0..8),
            length in 0usize..=584,
        ) {
            let mut bytes = genuine();
            for (index, value) in changes.into_iter().chain(small) {
                bytes[index * 8..index * 8 + 8].copy_from_slice(&value.to_le_bytes());
            }
            if let Ok(published) = parse(&bytes[..length]) {
                prop_assert_eq!(check(&published.layout), Ok(()));
            }
            if let Ok(published) = parse(&bytes) {
                prop_assert_eq!(check(&published.layout), Ok(()));
            }
        }
    }
}
