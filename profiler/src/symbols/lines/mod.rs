//! Lines and columns of an instruction, from its code object's line table.
//!
//! The three encodings that CPython has used since 3.6 each have a file. All of them are read in one
//! pass without allocation. The table comes from the profiled process: it may be cut short or hold any
//! bytes, and then gives a wrong or no position, never a panic; each step consumes at least one byte.

mod linetable;
mod lnotab;
mod locations;

use profiler_common::{cpython::layout::line_table, record::UNKNOWN_INSTRUCTION};

/// Where in the source one instruction comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// The line. Line 0 is what CPython gives to the first instruction of a module (3.11+).
    pub line: Option<u32>,
    /// The last line of the expression (3.11+).
    pub end_line: Option<u32>,
    /// The first column, in UTF-8 bytes from 0 (3.11+).
    pub column: Option<u32>,
    /// The column after the last, in UTF-8 bytes from 0 (3.11+).
    pub end_column: Option<u32>,
}

impl Position {
    /// An instruction that stands for nothing in the source.
    pub const NONE: Self = Self {
        line: None,
        end_line: None,
        column: None,
        end_column: None,
    };

    /// A line alone. CPython says "no line" by a negative one.
    fn of_line(line: i32) -> Self {
        Self {
            line: u32::try_from(line).ok(),
            ..Self::NONE
        }
    }
}

/// The position of the instruction at byte offset `instruction` of a code object that begins at line
/// `first_line` (`co_firstlineno`) and has the given line table; `format` is one of [`line_table`].
///
/// A negative offset means that the code has not begun to run: as in CPython (`PyCode_Addr2Line`), that
/// is its first line. The position is [`Position::NONE`] where the instruction is not known, the table has no
/// line for it or ends before it, or is of an unknown format.
#[must_use]
pub fn position(format: u8, table: &[u8], first_line: i32, instruction: i32) -> Position {
    let Ok(instruction) = u64::try_from(instruction) else {
        return Position::of_line(first_line);
    };
    match format {
        _ if instruction == UNKNOWN_INSTRUCTION as u64 => Position::NONE,
        line_table::LNOTAB => lnotab::position(table, first_line, instruction),
        line_table::LINETABLE_310 => linetable::position(table, first_line, instruction),
        line_table::LOCATIONS => locations::position(table, first_line, instruction),
        _ => Position::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Makes sure that code which has not begun to run is at its first line, whatever the table says.
    #[test]
    fn before_the_first_instruction() {
        for format in [
            line_table::LNOTAB,
            line_table::LINETABLE_310,
            line_table::LOCATIONS,
        ] {
            let expected = Position {
                line: Some(7),
                ..Position::NONE
            };
            assert_eq!(position(format, b"\x00\x05\x06\x01", 7, -1), expected);
            assert_eq!(position(format, b"", 7, i32::MIN), expected);
        }
    }

    /// Makes sure that an unknown format gives no position.
    #[test]
    fn unknown_format() {
        assert_eq!(position(250, b"\x00\x05\x06\x01", 7, 0), Position::NONE);
    }

    proptest! {
        /// Makes sure that no bytes, first line or instruction make any format panic, and that columns come from
        /// no format but that which has them.
        #[test]
        fn any_bytes(
            format in 0u8..4,
            table in prop::collection::vec(any::<u8>(), 0..300),
            first_line: i32,
            instruction in prop_oneof![any::<i32>(), -2..2000],
        ) {
            let found = position(format, &table, first_line, instruction);
            prop_assert!(found.column.is_none() || format == line_table::LOCATIONS);
        }

        /// Makes sure that tables of nothing but the largest numbers overflow nothing.
        #[test]
        fn extreme_bytes(
            format in 0u8..4,
            table in prop::collection::vec(prop::sample::select(
                vec![0x00, 0x01, 0x3f, 0x40, 0x7f, 0x80, 0xe8, 0xef, 0xf0, 0xf7, 0xf8, 0xff],
            ), 0..300),
            first_line in prop::sample::select(vec![i32::MIN, -1, 0, 1, i32::MAX]),
            instruction in 0..40_000,
        ) {
            let found = position(format, &table, first_line, instruction);
            prop_assert!(found.column.is_none() || format == line_table::LOCATIONS);
        }
    }
}
