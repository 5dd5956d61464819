//! What holds for every layout, wherever it comes from.

use profiler_common::{
    cpython::{
        code,
        layout::{Layout, feature, instruction, line_table},
        walk,
    },
    memory::WINDOW_BYTES,
};

/// The largest distance of a field from the begin of its interpreter state that is believed (bytes):
/// the largest known state, that of free-threaded 3.15, has some 300 KiB.
const INTERPRETER_LIMIT: u32 = 1 << 22;

/// Fills in what follows from the fields: how many bytes of each structure must be read, and where the
/// window over the code object begins.
#[must_use]
pub const fn with_spans(mut layout: Layout) -> Layout {
    let thread = max(
        max(layout.thread_next, layout.thread_id),
        max(
            max(layout.thread_native_id, layout.thread_interpreter),
            layout.thread_frame,
        ),
    );
    layout.thread_span = round_up(max(end(thread, 8), end(layout.thread_active, 4)));
    let frame = max(layout.frame_code, layout.frame_previous);
    let instruction_bytes = if layout.instruction == instruction::POINTER {
        8
    } else {
        4
    };
    layout.frame_span = round_up(max(
        max(
            end(frame, 8),
            end(layout.frame_instruction, instruction_bytes),
        ),
        max(end(layout.frame_owner, 1), end(layout.frame_tlbc_index, 4)),
    ));
    let code = max(
        max(layout.code_name, layout.code_qualname),
        max(
            max(layout.code_filename, layout.code_line_table),
            layout.code_tlbc,
        ),
    );
    layout.code_window = layout.code_type;
    layout.code_span = round_up(max(
        max(end(code, 8), end(layout.code_first_line, 4)),
        end(layout.code_first_traceable, 4),
    ))
    .saturating_sub(layout.code_window);
    layout
}

const fn max(a: u16, b: u16) -> u16 {
    if a > b { a } else { b }
}

const fn end(offset: u16, bytes: u16) -> u16 {
    offset.saturating_add(bytes)
}

const fn round_up(bytes: u16) -> u16 {
    bytes.saturating_add(7) & !7
}

/// Checks that a layout keeps the promises on which its readers rely.
///
/// # Errors
/// Names the first thing that is wrong, in one line.
pub fn check(layout: &Layout) -> Result<(), String> {
    let has = |bit: u32| layout.features & bit != 0;
    let window = WINDOW_BYTES as u16;
    let within = |what: &str, offset: u16, bytes: u16, begin: u16, span: u16| {
        let aligned = offset.is_multiple_of(bytes);
        let inside = offset >= begin
            && u32::from(offset) + u32::from(bytes) <= u32::from(begin) + u32::from(span);
        if aligned && inside {
            Ok(())
        } else {
            Err(format!("{what} cannot be at offset {offset}"))
        }
    };
    let require = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };

    for (what, span) in [
        ("the thread state", layout.thread_span),
        ("the frame", layout.frame_span),
        ("the code object", layout.code_span),
    ] {
        if span == 0 || span > window || !span.is_multiple_of(8) {
            return Err(format!("{what} spans {span} bytes"));
        }
    }
    for offset in [
        layout.interpreter_next,
        layout.interpreter_threads,
        layout.interpreter_id,
    ] {
        require(
            offset < INTERPRETER_LIMIT && offset.is_multiple_of(8),
            "the interpreter state's fields are out of place",
        )?;
    }
    require(
        layout.interpreter_next != layout.interpreter_threads,
        "the interpreter state's lists lie on each other",
    )?;

    let span = layout.thread_span;
    within("the next thread", layout.thread_next, 8, 0, span)?;
    within("the thread's id", layout.thread_id, 8, 0, span)?;
    within(
        "the thread's native id",
        layout.thread_native_id,
        8,
        0,
        span,
    )?;
    within(
        "the thread's interpreter",
        layout.thread_interpreter,
        8,
        0,
        span,
    )?;
    within("the thread's frame", layout.thread_frame, 8, 0, span)?;
    within("the thread's status", layout.thread_active, 4, 0, span)?;
    require(
        has(feature::THREAD_ACTIVE) == (layout.thread_active_value != 0)
            && layout.thread_active_value & !layout.thread_active_mask == 0,
        "the thread's status has no mask",
    )?;
    require(
        has(feature::CODE_VERSION) == (layout.thread_interpreter != 0),
        "versions of code objects without their interpreter",
    )?;
    within(
        "the current frame",
        layout.cframe_current_frame,
        8,
        0,
        walk::CFRAME_BYTES,
    )?;
    within(
        "the outer C frame",
        layout.cframe_previous,
        8,
        0,
        walk::CFRAME_BYTES,
    )?;

    let span = layout.frame_span;
    within("the frame's entry mark", layout.frame_is_entry, 1, 0, span)?;
    within("the frame's code", layout.frame_code, 8, 0, span)?;
    within("the previous frame", layout.frame_previous, 8, 0, span)?;
    let bytes = match layout.instruction {
        instruction::LASTI_BYTES | instruction::LASTI_UNITS => 4,
        instruction::POINTER => 8,
        _ => return Err("it is not known how frames tell their instruction".to_owned()),
    };
    within(
        "the frame's instruction",
        layout.frame_instruction,
        bytes,
        0,
        span,
    )?;
    within("the frame's owner", layout.frame_owner, 1, 0, span)?;
    within(
        "the frame's copy of the bytecode",
        layout.frame_tlbc_index,
        4,
        0,
        span,
    )?;
    require(
        has(feature::OWNER) || layout.shim_owners == 0,
        "frames without owner cannot be told apart by it",
    )?;
    require(
        layout.code_tag <= 7,
        "a code pointer's tag reaches into its address",
    )?;

    let (begin, span) = (layout.code_window, layout.code_span);
    require(
        begin.is_multiple_of(8),
        "the window over the code object is not aligned",
    )?;
    within("a code object's type", layout.code_type, 8, begin, span)?;
    for (what, offset) in [
        ("a code object's name", layout.code_name),
        ("a code object's file name", layout.code_filename),
        ("a code object's line table", layout.code_line_table),
    ] {
        within(what, offset, 8, begin, span)?;
    }
    within(
        "a code object's first line",
        layout.code_first_line,
        4,
        begin,
        span,
    )?;
    if has(feature::QUALNAME) {
        within(
            "a code object's qualified name",
            layout.code_qualname,
            8,
            begin,
            span,
        )?;
    }
    if has(feature::FIRST_TRACEABLE) {
        within(
            "a code object's first traceable instruction",
            layout.code_first_traceable,
            4,
            begin,
            span,
        )?;
    }
    require(
        (layout.code_tlbc != 0) == (layout.frame_tlbc_index != 0)
            && (layout.code_tlbc == 0 || has(feature::CODE_VERSION)),
        "copies of the bytecode cannot be told apart",
    )?;
    if layout.code_tlbc != 0 {
        within(
            "a code object's copies of the bytecode",
            layout.code_tlbc,
            8,
            begin,
            span,
        )?;
    }
    let (words, bytes) = (code::identity_words(layout), code::IDENTITY_WORDS * 8);
    require(
        words >= begin && u32::from(words) + u32::from(bytes) <= u32::from(begin) + u32::from(span),
        "the words that make up a code object's identity are out of place",
    )?;
    require(
        layout.instruction != instruction::POINTER
            || (layout.code_instructions > layout.code_line_table
                && layout.code_instructions.is_multiple_of(8)),
        "a code object's instructions are out of place",
    )?;
    require(
        layout.line_table <= line_table::LOCATIONS,
        "the format of line tables is not known",
    )?;

    within("a bytes object's size", layout.bytes_size, 8, 0, window)?;
    require(
        layout.bytes_data > layout.bytes_size && layout.bytes_data < window,
        "a bytes object's data is out of place",
    )?;
    within("a string's length", layout.unicode_length, 8, 0, window)?;
    within("a string's hash", layout.unicode_hash, 8, 0, window)?;
    within("a string's state", layout.unicode_state, 4, 0, window)?;
    require(
        layout.unicode_state < layout.unicode_ascii_data
            && layout.unicode_ascii_data < layout.unicode_compact_data
            && layout.unicode_compact_data < window,
        "a string's data is out of place",
    )?;
    require(
        layout.unicode_kind_shift <= 29
            && layout.unicode_compact_bit < 32
            && layout.unicode_ascii_bit < 32,
        "a string's state bits are out of place",
    )
}
