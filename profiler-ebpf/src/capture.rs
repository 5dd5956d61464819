//! Sending code objects that are met for the first time: names, file name and line table, so that they
//! outlive the process.

use aya_ebpf::{macros::perf_event, programs::PerfEventContext};
use profiler_common::{
    cpython::{code, layout::Layout},
    outcome::Outcome,
    record::{Code, Piece, kind, missing, section},
    shared::{CODE_SLOTS, stage},
};

use crate::{
    chain::{CAPTURE_UNTIL, end, go_on, scratch, scratch_and_layout},
    maps,
    output::{self, To, Wake},
    publish::kept_frame,
    scratch::{Capture, INLINE_TABLE, INLINE_TEXT, MISSING_SLOTS, PIECE_BYTES, Scratch},
    user_memory::{UserMemory, read_bytes},
};

/// Code objects that one program sends.
const CODES_PER_CALL: u32 = 16;
/// Pieces that one program sends.
const PIECES_PER_CALL: u32 = 32;

#[inline(always)]
fn capture_buffer() -> Option<&'static mut Capture> {
    let capture = maps::CAPTURE.get_ptr_mut(0)?;
    // SAFETY: per-CPU memory that only these programs use, one at a time.
    Some(unsafe { &mut *capture })
}

/// What [`capture_next`] and [`send_piece`] leave to do, as a number: a global function returns nothing else.
mod turn {
    /// The next.
    pub const MORE: u32 = 0;
    /// Pieces of the code object that was sent.
    pub const PIECES: u32 = 1;
    /// Nothing.
    pub const DONE: u32 = 2;
}

/// Sends the next of the code objects that are missing.
#[perf_event]
pub fn capture(ctx: PerfEventContext) -> u32 {
    let mut left = turn::MORE;
    for _ in 0..CODES_PER_CALL {
        left = capture_next();
        if left != turn::MORE {
            break;
        }
    }
    let Some(scratch) = scratch() else {
        end(Outcome::Internal);
        return 0;
    };
    let next = match left {
        turn::DONE => stage::FINISH,
        _ if scratch.calls >= CAPTURE_UNTIL => {
            scratch.incomplete = 1;
            stage::FINISH
        }
        turn::PIECES => stage::PIECES,
        _ => stage::CAPTURE,
    };
    go_on(&ctx, scratch, next);
    0
}

/// Sends one code object. A global function: see [`crate::search::look_at_threads`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn capture_next() -> u32 {
    let (Some((scratch, layout)), Some(buffer)) = (scratch_and_layout(), capture_buffer()) else {
        return turn::DONE;
    };
    if scratch.missing_next.get() >= scratch.missing_count.get() {
        return turn::DONE;
    }
    let next = scratch.missing_next.get() as usize;
    scratch.missing_next.set(next as u32 + 1);
    let index = scratch.missing[next & (MISSING_SLOTS - 1)];
    if capture_one(scratch, layout, buffer, index) {
        turn::PIECES
    } else {
        turn::MORE
    }
}

/// Sends one code object. Whether pieces of it are left to send.
#[inline(always)]
fn capture_one(scratch: &mut Scratch, layout: &Layout, buffer: &mut Capture, index: u16) -> bool {
    let frame = kept_frame(scratch, index.into());
    let code = &mut buffer.code;
    *code = Code {
        kind: kind::CODE,
        missing: missing::NAME | missing::FILE | missing::TABLE,
        pid: scratch.sample.pid,
        generation: scratch.sample.generation,
        key: frame.key,
        address: frame.address,
        first_line: 0,
        name_kind: 1,
        file_kind: 1,
        padding: 0,
        name_bytes: 0,
        file_bytes: 0,
        table_bytes: 0,
        name_sent: 0,
        file_sent: 0,
        table_sent: 0,
    };
    scratch.pieces.key = frame.key;
    scratch.pieces.sent = [0; 3];
    scratch.pieces.bytes = [0; 3];
    let memory = &UserMemory;
    if let Ok(fields) = code::fields(memory, layout, frame.address, &mut scratch.window) {
        buffer.fields = fields;
        code.first_line = fields.first_line;
        if let Ok(text) = code::text_extent(memory, layout, buffer.fields.name, &mut scratch.window)
        {
            code.name_bytes = text.bytes;
            code.name_kind = text.kind;
            scratch.pieces.address[0] = text.address;
        }
        if let Ok(text) = code::text_extent(memory, layout, buffer.fields.file, &mut scratch.window)
        {
            code.file_bytes = text.bytes;
            code.file_kind = text.kind;
            scratch.pieces.address[1] = text.address;
        }
        if let Ok(table) = code::bytes_extent(memory, layout, buffer.fields.table) {
            code.table_bytes = table.bytes;
            scratch.pieces.address[2] = table.address;
        }
    }
    // What could be located is copied, each section right behind the one before.
    let data = (&raw mut buffer.data).cast::<u8>();
    let name = smaller(code.name_bytes, INLINE_TEXT as u32);
    // SAFETY: up to INLINE_TEXT bytes at the beginning of `data`.
    let copied = unsafe { read_bytes(data, name, INLINE_TEXT as u32, scratch.pieces.address[0]) };
    if name > 0 && copied.is_ok() {
        code.name_sent = name;
        code.missing &= !missing::NAME;
    }
    let at = smaller(code.name_sent, INLINE_TEXT as u32) as usize;
    let file = smaller(code.file_bytes, INLINE_TEXT as u32);
    // SAFETY: up to INLINE_TEXT bytes from at most INLINE_TEXT on; `data` holds both texts and the table.
    let copied = unsafe {
        read_bytes(
            data.add(at),
            file,
            INLINE_TEXT as u32,
            scratch.pieces.address[1],
        )
    };
    if file > 0 && copied.is_ok() {
        code.file_sent = file;
        code.missing &= !missing::FILE;
    }
    let at = at + smaller(code.file_sent, INLINE_TEXT as u32) as usize;
    let table = smaller(code.table_bytes, INLINE_TABLE as u32);
    // SAFETY: up to INLINE_TABLE bytes from at most twice INLINE_TEXT on.
    let copied = unsafe {
        read_bytes(
            data.add(at),
            table,
            INLINE_TABLE as u32,
            scratch.pieces.address[2],
        )
    };
    if table > 0 && copied.is_ok() {
        code.table_sent = table;
        code.missing &= !missing::TABLE;
    }
    if code.missing != 0 {
        scratch.unread = 1;
    }
    let bytes = at as u64 + u64::from(smaller(code.table_sent, INLINE_TABLE as u32));
    let record = core::ptr::from_ref(code).cast::<u8>();
    let header = size_of::<Code>() as u64;
    // SAFETY: the data lies right behind the header in the buffer.
    if unsafe { output::send(To::Samples, record, header + bytes, Wake::WhenFilling) }.is_err() {
        scratch.incomplete = 1;
        return false;
    }
    if let Some(slot) = maps::SENT_CODE.get_ptr_mut(frame.key as u32 & (CODE_SLOTS - 1)) {
        // SAFETY: per-CPU memory that only the sampling programs use.
        unsafe { *slot = frame.key };
    }
    scratch.pieces.sent = [code.name_sent, code.file_sent, code.table_sent];
    // A section that could not be read at all is not tried again here: user space is told.
    scratch.pieces.bytes = [
        if code.missing & missing::NAME == 0 {
            code.name_bytes
        } else {
            0
        },
        if code.missing & missing::FILE == 0 {
            code.file_bytes
        } else {
            0
        },
        if code.missing & missing::TABLE == 0 {
            code.table_bytes
        } else {
            0
        },
    ];
    scratch.pieces.sent[0] < scratch.pieces.bytes[0]
        || scratch.pieces.sent[1] < scratch.pieces.bytes[1]
        || scratch.pieces.sent[2] < scratch.pieces.bytes[2]
}

#[inline(always)]
fn smaller(one: u32, other: u32) -> u32 {
    if one < other { one } else { other }
}

/// Sends what of a code object did not fit in its first record.
#[perf_event]
pub fn pieces(ctx: PerfEventContext) -> u32 {
    let mut left = turn::MORE;
    for _ in 0..PIECES_PER_CALL {
        left = send_piece();
        if left != turn::MORE {
            break;
        }
    }
    let Some(scratch) = scratch() else {
        end(Outcome::Internal);
        return 0;
    };
    let next = match left {
        turn::DONE => stage::CAPTURE,
        _ if scratch.calls >= CAPTURE_UNTIL => {
            scratch.incomplete = 1;
            stage::FINISH
        }
        _ => stage::PIECES,
    };
    go_on(&ctx, scratch, next);
    0
}

/// Sends one piece. A global function: see [`crate::search::look_at_threads`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn send_piece() -> u32 {
    let (Some(scratch), Some(buffer)) = (scratch(), capture_buffer()) else {
        return turn::DONE;
    };
    let pieces = &mut scratch.pieces;
    let section = if pieces.sent[0] < pieces.bytes[0] {
        section::NAME
    } else if pieces.sent[1] < pieces.bytes[1] {
        section::FILE
    } else if pieces.sent[2] < pieces.bytes[2] {
        section::TABLE
    } else {
        return turn::DONE;
    };
    let which = section as usize % 3;
    let sent = pieces.sent[which];
    let bytes = smaller(pieces.bytes[which] - sent, PIECE_BYTES as u32);
    pieces.sent[which] = sent + bytes;
    let data = (&raw mut buffer.piece_data).cast::<u8>();
    // SAFETY: up to PIECE_BYTES bytes of the buffer for pieces.
    if unsafe {
        read_bytes(
            data,
            bytes,
            PIECE_BYTES as u32,
            pieces.address[which] + u64::from(sent),
        )
    }
    .is_err()
    {
        // User space sees that bytes are missing.
        scratch.unread = 1;
        return turn::MORE;
    }
    buffer.piece = Piece {
        kind: kind::PIECE,
        section,
        offset: sent,
        generation: scratch.sample.generation,
        key: pieces.key,
        bytes,
        padding: 0,
    };
    let record = (&raw const buffer.piece).cast::<u8>();
    let length = size_of::<Piece>() as u64 + u64::from(smaller(bytes, PIECE_BYTES as u32));
    // SAFETY: the piece's bytes lie right behind its header in the buffer.
    if unsafe { output::send(To::Samples, record, length, Wake::WhenFilling) }.is_err() {
        scratch.incomplete = 1;
    }
    turn::MORE
}
