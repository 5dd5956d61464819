//! The location table of CPython 3.11 and newer (`co_linetable`), with columns.
//!
//! `Objects/locations.md` (3.11 to 3.13) and `InternalDocs/code_objects.md` (3.14+) describe it. An
//! entry begins with a byte whose top bit is set; four bits are the code of its form and three bits the
//! number of code units less one. A code unit has two bytes, and inline caches count.

use super::Position;

const ENTRY: u8 = 0x80;
const BYTES_PER_UNIT: u64 = 2;

/// The location of the entry that covers the instruction. The lines of entries are relative to the
/// last entry that has a line: one without a location (code 15) leaves that as it was.
pub(super) fn position(table: &[u8], first_line: i32, instruction: u64) -> Position {
    let mut line = first_line;
    let mut end = 0u64;
    let mut rest = Reader { bytes: table };
    while let Some(location) = rest.entry(&mut line, &mut end) {
        if instruction < end {
            return location;
        }
    }
    Position::NONE
}

struct Reader<'table> {
    bytes: &'table [u8],
}

impl Reader<'_> {
    /// Reads an entry, moving `line` and `end` (bytes) on. None at the table's end, and where the bytes
    /// are no entry.
    fn entry(&mut self, line: &mut i32, end: &mut u64) -> Option<Position> {
        let head = self.byte()?;
        if head & ENTRY == 0 {
            return None;
        }
        *end += (u64::from(head & 7) + 1) * BYTES_PER_UNIT;
        let code = (head >> 3) & 15;
        let mut located = Position::NONE;
        match code {
            // Short: same line, both columns in the code and one more byte.
            0..=9 => {
                let columns = self.byte()?;
                let column = u32::from(code) << 3 | u32::from(columns >> 4 & 7);
                located.column = Some(column);
                located.end_column = Some(column + u32::from(columns & 15));
            }
            // One line, up to two further on, and a byte for each column.
            10..=12 => {
                *line = line.wrapping_add(i32::from(code - 10));
                located.column = Some(self.byte()?.into());
                located.end_column = Some(self.byte()?.into());
            }
            // A line without columns.
            13 => *line = line.wrapping_add(self.signed()?),
            // Long: everything as numbers of any size; columns are stored plus one, 0 being none.
            14 => {
                *line = line.wrapping_add(self.signed()?);
                let end_line = line.wrapping_add(self.unsigned()?.cast_signed());
                located.line = u32::try_from(*line).ok();
                located.end_line = u32::try_from(end_line).ok();
                located.column = self.unsigned()?.checked_sub(1);
                located.end_column = self.unsigned()?.checked_sub(1);
                return Some(located);
            }
            // No location.
            _ => return Some(Position::NONE),
        }
        located.line = u32::try_from(*line).ok();
        located.end_line = located.line;
        Some(located)
    }

    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    /// A number in groups of six bits, least significant first; bit 6 says that another follows. What
    /// does not fit into 32 bits is dropped: CPython writes no such number.
    fn unsigned(&mut self) -> Option<u32> {
        let mut value = 0u32;
        let mut shift = 0u32;
        loop {
            let byte = self.byte()?;
            value |= u32::from(byte & 63).checked_shl(shift).unwrap_or(0);
            shift = shift.saturating_add(6);
            if byte & 64 == 0 {
                return Some(value);
            }
        }
    }

    /// A number whose lowest bit is the sign.
    fn signed(&mut self) -> Option<i32> {
        let value = self.unsigned()?;
        let magnitude = (value >> 1).cast_signed();
        Some(if value & 1 == 0 {
            magnitude
        } else {
            -magnitude
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, end_line: u32, column: u32, end_column: u32) -> Position {
        Position {
            line: Some(line),
            end_line: Some(end_line),
            column: Some(column),
            end_column: Some(end_column),
        }
    }

    /// Makes sure that each form of entry reads as CPython's description of the format has it.
    #[test]
    fn every_form() {
        let short = [0x80 | 3 << 3, 0x25]; // 1 unit; columns 26 to 31
        let one_line = [0x80 | 12 << 3 | 1, 4, 200]; // 2 units; two lines further
        let no_columns = [0x80 | 13 << 3, 0x07]; // 1 unit; three lines back
        // 8 units; 100 lines further, 2 lines long, column 1023, no end column.
        let long = [0x80 | 14 << 3 | 7, 0x48, 0x03, 0x02, 0x40, 0x10, 0x00];
        let table = [&short[..], &one_line, &no_columns, &long].concat();
        let read = |unit: u64| position(&table, 10, unit * 2);
        assert_eq!(read(0), at(10, 10, 26, 31));
        assert_eq!(read(1), at(12, 12, 4, 200));
        assert_eq!(read(2), at(12, 12, 4, 200));
        assert_eq!(
            read(3),
            Position {
                line: Some(9),
                end_line: Some(9),
                ..Position::NONE
            }
        );
        for unit in 4..12 {
            assert_eq!(
                read(unit),
                Position {
                    line: Some(109),
                    end_line: Some(111),
                    column: Some(1023),
                    end_column: None
                }
            );
        }
        assert_eq!(read(12), Position::NONE);
    }

    /// Makes sure that an entry without a location does not disturb the lines of those that follow.
    #[test]
    fn no_location_keeps_the_line() {
        let further = [0x80 | 11 << 3, 0, 1]; // 1 unit; one line further
        let nowhere = [0x80 | 15 << 3 | 2]; // 3 units
        let table = [&further[..], &nowhere, &further].concat();
        assert_eq!(position(&table, 5, 0), at(6, 6, 0, 1));
        assert_eq!(position(&table, 5, 2), Position::NONE);
        assert_eq!(position(&table, 5, 6), Position::NONE);
        assert_eq!(position(&table, 5, 8), at(7, 7, 0, 1));
    }

    /// Makes sure that a table which is cut inside an entry, or holds bytes that begin none, has no
    /// location from there on.
    #[test]
    fn malformed() {
        assert_eq!(
            position(&[0x80 | 14 << 3, 0x40, 0x40], 5, 0),
            Position::NONE
        );
        assert_eq!(position(&[0x00, 0x80, 0x11], 5, 0), Position::NONE);
        assert_eq!(position(&[0x80, 0x11, 0x01], 5, 2), Position::NONE);
    }
}
