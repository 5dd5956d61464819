//! Reading a code object: its identity and where its strings lie.

use super::layout::{Layout, feature};
use crate::memory::{Fault, Memory, Window};

/// How many words from [`identity_words`] on are part of the identity.
pub const IDENTITY_WORDS: u16 = 4;

/// Offset in the code object of the words that are part of the identity besides those that name it: from
/// `co_firstlineno` on. There follow, up to 3.10, pointers to the code, the constants and the names; from
/// 3.12 on, the counts of variables and `co_version`.
#[inline(always)]
#[must_use]
pub const fn identity_words(layout: &Layout) -> u16 {
    layout.code_first_line & !7
}

/// What a frame needs to know of its code object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The identity.
    pub key: u64,
    /// `_co_firsttraceable`, where the layout has it.
    pub first_traceable: u32,
}

/// What stands where a frame says that its code object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeState {
    /// A code object.
    Code(Code),
    /// Something else.
    NotCode,
    /// Memory that could not be read; the identity is made from the address alone.
    Unreadable(u64),
}

/// Mixes a word into a hash: multiplication by an odd constant and a fold, so that each bit of the
/// word reaches the low half, which indexes the caches.
#[inline(always)]
#[must_use]
pub const fn mix(hash: u64, word: u64) -> u64 {
    // 2^64 divided by the golden ratio, odd.
    let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

/// What the identities of the code objects of one interpreter begin with.
///
/// Each interpreter of a process counts versions of its own ([`feature::CODE_VERSION`]), and where one has been
/// destroyed the next may lay out the same versions at the same addresses. Their ids are never used twice.
#[inline(always)]
#[must_use]
pub const fn seed(generation: u64, interpreter: u32) -> u64 {
    if interpreter == 0 {
        generation
    } else {
        mix(generation, interpreter as u64)
    }
}

/// A hash over some words that does not wait for one before it takes the next: their sum, each multiplied by an
/// odd number of its own. A code object's words are pointers and small numbers that somebody else chose, never us:
/// two sets of them with one sum are as rare as chance makes 64 bits be.
#[derive(Clone, Copy)]
struct Sum {
    sum: u64,
    words: u64,
}

impl Sum {
    #[inline(always)]
    const fn add(self, word: u64) -> Self {
        // Steps of the golden ratio's sequence, as SplitMix64 takes them, made odd: unrolled, they are constants.
        let step = (self.words + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (step ^ (step >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let factor = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) | 1;
        Self {
            sum: self.sum.wrapping_add(word.wrapping_mul(factor)),
            words: self.words + 1,
        }
    }
}

/// Reads what tells a code object from any other that may have lain, or will lie, at its address, into
/// one number. Leaves the code object's window in `window`, except where the layout has no version.
///
/// The words of the object itself are not enough where it has no version of its own (before 3.12): a
/// function that is made, run and freed in a loop is laid out by malloc at the same addresses again, its
/// name and line table too. There the name's hash and the beginning of the line table count as well.
#[inline(always)]
pub fn identify<M: Memory>(
    memory: &M,
    layout: &Layout,
    code_type: u64,
    seed: u64,
    address: u64,
    window: &mut Window,
) -> CodeState {
    let key = mix(seed, address);
    if address == 0 {
        return CodeState::NotCode;
    }
    let base = address.wrapping_add(u64::from(layout.code_window));
    if memory
        .read(base, window, u32::from(layout.code_span))
        .is_err()
    {
        return CodeState::Unreadable(key);
    }
    if code_type != 0 && window.u64(layout.code_type.wrapping_sub(layout.code_window)) != code_type
    {
        return CodeState::NotCode;
    }
    let mut sum = Sum { sum: key, words: 0 };
    // A fixed number of words: a loop to a length given by the layout would be one more fork in the
    // verifier's way for each word of each frame.
    let first = identity_words(layout).wrapping_sub(layout.code_window);
    for word in 0..IDENTITY_WORDS {
        sum = sum.add(window.u64(first.wrapping_add(word * 8)));
    }
    let name = window.u64(layout.code_name.wrapping_sub(layout.code_window));
    let table = window.u64(layout.code_line_table.wrapping_sub(layout.code_window));
    let file = window.u64(layout.code_filename.wrapping_sub(layout.code_window));
    let first_traceable = window.u32(layout.code_first_traceable.wrapping_sub(layout.code_window));
    sum = sum.add(file).add(name).add(table);
    if layout.features & feature::CODE_VERSION == 0 {
        // What cannot be read now reads as 0: the key changes once it can, and the object is sent again.
        sum = sum.add(
            memory
                .read_word(name.wrapping_add(u64::from(layout.unicode_hash)))
                .unwrap_or(0),
        );
        let head = memory.read(
            table.wrapping_add(u64::from(layout.bytes_size)),
            window,
            u32::from(layout.bytes_data - layout.bytes_size) + 16,
        );
        if head.is_ok() {
            let data = layout.bytes_data - layout.bytes_size;
            let size = window.u64(0);
            // Bytes beyond the table's end are whatever lies there: they must not count.
            sum = sum
                .add(size)
                .add(window.u64(data) & low_bytes(size))
                .add(window.u64(data + 8) & low_bytes(size.saturating_sub(8)));
        }
    }
    CodeState::Code(Code {
        key: mix(sum.sum, 0),
        first_traceable,
    })
}

/// A mask of the lowest `bytes` bytes of a word.
#[inline(always)]
const fn low_bytes(bytes: u64) -> u64 {
    if bytes >= 8 {
        u64::MAX
    } else {
        (1u64 << (bytes * 8)) - 1
    }
}

/// Where the data of a string or bytes object lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Address of the first byte.
    pub address: u64,
    /// Length in bytes.
    pub bytes: u32,
    /// Bytes per code point: 1 (Latin-1), 2 or 4; 1 for bytes objects.
    pub kind: u8,
}

/// No name is longer than this (bytes); what claims to be is taken for garbage.
pub const TEXT_LIMIT: u64 = 1 << 20;
/// No line table is longer than this (bytes).
pub const TABLE_LIMIT: u64 = 1 << 26;

/// Where the text of a `str` lies.
///
/// # Errors
/// [`Fault`] where it cannot be read or is no compact string.
#[inline(always)]
pub fn text_extent<M: Memory>(
    memory: &M,
    layout: &Layout,
    string: u64,
    window: &mut Window,
) -> Result<Extent, Fault> {
    memory.read(string, window, u32::from(layout.unicode_ascii_data))?;
    let length = window.u64(layout.unicode_length);
    let state = window.u32(layout.unicode_state);
    let kind = (state >> (layout.unicode_kind_shift & 31)) as u8 & 7;
    let compact = state >> (layout.unicode_compact_bit & 31) & 1 == 1;
    let ascii = state >> (layout.unicode_ascii_bit & 31) & 1 == 1;
    if !compact || !matches!(kind, 1 | 2 | 4) || length > TEXT_LIMIT {
        return Err(Fault);
    }
    let header = if ascii {
        layout.unicode_ascii_data
    } else {
        layout.unicode_compact_data
    };
    Ok(Extent {
        address: string.wrapping_add(u64::from(header)),
        bytes: length as u32 * u32::from(kind),
        kind,
    })
}

/// Where the data of a `bytes` object lies.
///
/// # Errors
/// [`Fault`] where its size cannot be read or is absurd.
#[inline(always)]
pub fn bytes_extent<M: Memory>(memory: &M, layout: &Layout, bytes: u64) -> Result<Extent, Fault> {
    let size = memory.read_word(bytes.wrapping_add(u64::from(layout.bytes_size)))?;
    if size > TABLE_LIMIT {
        return Err(Fault);
    }
    Ok(Extent {
        address: bytes.wrapping_add(u64::from(layout.bytes_data)),
        bytes: size as u32,
        kind: 1,
    })
}

/// What a code object refers to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeFields {
    /// The qualified name where there is one, else the name: address of a `str`.
    pub name: u64,
    /// The file name: address of a `str`.
    pub file: u64,
    /// The line table: address of a `bytes`.
    pub table: u64,
    /// `co_firstlineno`.
    pub first_line: i32,
    /// Explicit padding.
    pub padding: u32,
}

/// Reads the fields of a code object.
///
/// # Errors
/// [`Fault`] where it cannot be read.
#[inline(always)]
pub fn fields<M: Memory>(
    memory: &M,
    layout: &Layout,
    address: u64,
    window: &mut Window,
) -> Result<CodeFields, Fault> {
    let base = address.wrapping_add(u64::from(layout.code_window));
    memory.read(base, window, u32::from(layout.code_span))?;
    let name = if layout.features & feature::QUALNAME == 0 {
        layout.code_name
    } else {
        layout.code_qualname
    };
    Ok(CodeFields {
        name: window.u64(name.wrapping_sub(layout.code_window)),
        file: window.u64(layout.code_filename.wrapping_sub(layout.code_window)),
        table: window.u64(layout.code_line_table.wrapping_sub(layout.code_window)),
        first_line: window.u32(layout.code_first_line.wrapping_sub(layout.code_window)) as i32,
        padding: 0,
    })
}
