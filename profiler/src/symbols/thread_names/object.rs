//! Reading single objects of a live interpreter: words, types, strings and integers.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use super::layout::{Digits, ObjectLayout};
use crate::{host::memory::ReadBytes, symbols::text};

/// Bits of `tp_flags` (`Include/object.h`), the same in every version that has them.
pub(super) mod type_flag {
    /// `Py_TPFLAGS_INLINE_VALUES`, 3.13+.
    pub const INLINE_VALUES: u64 = 1 << 2;
    /// `Py_TPFLAGS_MANAGED_DICT`, 3.11+.
    pub const MANAGED_DICT: u64 = 1 << 4;
    /// `Py_TPFLAGS_LONG_SUBCLASS`.
    pub const INT: u64 = 1 << 24;
    /// `Py_TPFLAGS_UNICODE_SUBCLASS`.
    pub const TEXT: u64 = 1 << 28;
    /// `Py_TPFLAGS_DICT_SUBCLASS`.
    pub const DICT: u64 = 1 << 29;
}

/// What reading one process may cost: 1 for each read and 1 for every 64 bytes. 10,000 modules and 10,000
/// threads cost half of it; whatever a hostile process shows as its dicts ends here, within a fraction
/// of a second and some 16 MiB.
const MOST_COST: u32 = 1 << 18;
const BYTES_PER_COST: usize = 64;
/// What a longer name is cut to.
const MOST_CODE_POINTS: u64 = 1024;

/// Reads objects. Addresses come from the target and may be anything, so that sums wrap around.
pub(super) struct Objects<'a, M> {
    memory: &'a M,
    pub(super) layout: &'static ObjectLayout,
    cost_left: Cell<u32>,
    /// Flags of the types met, by address.
    type_flags: RefCell<HashMap<u64, u64>>,
}

/// The head of a compact string.
struct TextHead {
    kind_of_object: u64,
    length: u64,
    bytes_per_point: u8,
    ascii: bool,
}

impl<'a, M: ReadBytes> Objects<'a, M> {
    pub(super) fn new(memory: &'a M, layout: &'static ObjectLayout) -> Self {
        Self {
            memory,
            layout,
            cost_left: Cell::new(MOST_COST),
            type_flags: RefCell::default(),
        }
    }

    pub(super) fn bytes(&self, address: u64, into: &mut [u8]) -> Option<()> {
        let cost = u32::try_from(1 + into.len() / BYTES_PER_COST).ok()?;
        self.cost_left.set(self.cost_left.get().checked_sub(cost)?);
        self.memory.read_bytes(address, into).ok()
    }

    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let mut raw = [0; 8];
        self.bytes(address, &mut raw)?;
        Some(u64::from_ne_bytes(raw))
    }

    /// A pointer that is not null.
    pub(super) fn pointer(&self, address: u64) -> Option<u64> {
        self.word(address).filter(|&to| to != 0)
    }

    /// The address of an object's type, and the type's flags.
    pub(super) fn type_of(&self, object: u64) -> Option<(u64, u64)> {
        let kind = self.pointer(object.wrapping_add(self.layout.object_type))?;
        Some((kind, self.flags_of(kind)?))
    }

    /// The object, if its type has one of [`type_flag`].
    pub(super) fn of_type(&self, object: u64, flag: u64) -> Option<u64> {
        let (_, flags) = self.type_of(object)?;
        (flags & flag != 0).then_some(object)
    }

    fn flags_of(&self, kind: u64) -> Option<u64> {
        if let Some(&flags) = self.type_flags.borrow().get(&kind) {
            return Some(flags);
        }
        let flags = self.word(kind.wrapping_add(self.layout.type_flags))?;
        self.type_flags.borrow_mut().insert(kind, flags);
        Some(flags)
    }

    /// Whether an object is the given ASCII string of at most 16 bytes.
    pub(super) fn is_text(&self, object: u64, expected: &[u8]) -> bool {
        let compare = || {
            let head = self.text_head(object)?;
            if !head.ascii || usize::try_from(head.length) != Ok(expected.len()) {
                return None;
            }
            self.check(head.kind_of_object, type_flag::TEXT)?;
            let mut data = [0; 16];
            let data = data.get_mut(..expected.len())?;
            self.bytes(object.wrapping_add(self.layout.text_ascii_data), data)?;
            (data == expected).then_some(())
        };
        compare().is_some()
    }

    /// A string.
    pub(super) fn text(&self, object: u64) -> Option<String> {
        let head = self.text_head(object)?;
        self.check(head.kind_of_object, type_flag::TEXT)?;
        let data = if head.ascii {
            self.layout.text_ascii_data
        } else {
            self.layout.text_compact_data
        };
        let points = usize::try_from(head.length.min(MOST_CODE_POINTS)).ok()?;
        let mut bytes = vec![0; points * usize::from(head.bytes_per_point)];
        self.bytes(object.wrapping_add(data), &mut bytes)?;
        Some(text::decode(head.bytes_per_point, &bytes))
    }

    fn text_head(&self, object: u64) -> Option<TextHead> {
        let layout = self.layout;
        let mut raw = [0; 40];
        self.bytes(object, &mut raw)?;
        let state = u32::from_ne_bytes(field(&raw, layout.text_state)?);
        let bit = |at: u32| state >> at & 1 == 1;
        let bytes_per_point = (state >> layout.text_kind_shift & 7) as u8;
        (bit(layout.text_compact_bit) && matches!(bytes_per_point, 1 | 2 | 4)).then_some(TextHead {
            kind_of_object: u64::from_ne_bytes(field(&raw, layout.object_type)?),
            length: u64::from_ne_bytes(field(&raw, layout.text_length)?),
            bytes_per_point,
            ascii: bit(layout.text_ascii_bit),
        })
    }

    /// An integer from 0 to 2^60-1: of at most two digits. Neither address nor thread id is larger.
    pub(super) fn integer(&self, object: u64) -> Option<u64> {
        const BITS_PER_DIGIT: u32 = 30;
        let layout = self.layout;
        // However small the number is, its object has room for two digits.
        let mut raw = [0; 32];
        self.bytes(object, &mut raw)?;
        self.check(
            u64::from_ne_bytes(field(&raw, layout.object_type)?),
            type_flag::INT,
        )?;
        let size = u64::from_ne_bytes(field(&raw, layout.int_size)?);
        let digits = match (layout.digits, size & 3) {
            (Digits::Signed, _) => size,
            (Digits::Tagged, 0) => size >> 3,
            (Digits::Tagged, 1) => 0,
            (Digits::Tagged, _) => return None,
        };
        let digit = |at: u64| {
            let raw = field(&raw, layout.int_digits + at * 4)?;
            Some(u64::from(u32::from_ne_bytes(raw)))
        };
        match digits {
            0 => Some(0),
            1 => digit(0),
            2 => Some(digit(1)? << BITS_PER_DIGIT | digit(0)?),
            _ => None,
        }
    }

    fn check(&self, kind: u64, flag: u64) -> Option<()> {
        (self.flags_of(kind)? & flag != 0).then_some(())
    }
}

/// The bytes of a field of what was read.
pub(super) fn field<const BYTES: usize>(raw: &[u8], offset: u64) -> Option<[u8; BYTES]> {
    let raw = raw.get(usize::try_from(offset).ok()?..)?;
    raw.first_chunk().copied()
}
