//! `co_linetable` of CPython 3.10: pairs of an unsigned byte delta and a signed line delta, where a
//! delta of -128 says that the range has no line.

use super::Position;

const NO_LINE: i8 = -128;

/// As `advance` in CPython 3.10's `Objects/codeobject.c`: each pair is a range of addresses with its
/// line, relative to that of the last range that had one.
pub(super) fn position(table: &[u8], first_line: i32, instruction: u64) -> Position {
    let mut line = first_line;
    let mut end = 0u64;
    for &[bytes, lines] in table.as_chunks().0 {
        end += u64::from(bytes);
        let lines = lines.cast_signed();
        let has_line = lines != NO_LINE;
        if has_line {
            line = line.wrapping_add(i32::from(lines));
        }
        if instruction < end {
            return if has_line {
                Position::of_line(line)
            } else {
                Position::NONE
            };
        }
    }
    Position::NONE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(table: &[u8], first_line: i32, instructions: &[u64]) -> Vec<Option<u32>> {
        instructions
            .iter()
            .map(|&at| position(table, first_line, at).line)
            .collect()
    }

    /// Makes sure that the table printed in CPython 3.10's `Objects/lnotab_notes.txt` reads as it says
    /// there: 0-6 line 1, 6-50 line 2, 50-350 line 7, 350-360 no line, 360-376 line 8, 376-380 line 208.
    #[test]
    fn example_of_the_notes() {
        let table = [6, 1, 44, 1, 254, 5, 46, 0, 10, 0x80, 16, 1, 0, 127, 4, 73];
        assert_eq!(
            lines(
                &table,
                0,
                &[0, 5, 6, 49, 50, 349, 350, 359, 360, 375, 376, 379]
            ),
            [
                Some(1),
                Some(1),
                Some(2),
                Some(2),
                Some(7),
                Some(7),
                None,
                None,
                Some(8),
                Some(8),
                Some(208),
                Some(208)
            ]
        );
    }

    /// Makes sure that there is no line past the table's end, nor in half a pair.
    #[test]
    fn past_the_end() {
        assert_eq!(lines(&[4, 1, 9], 0, &[2, 4, 6]), [Some(1), None, None]);
    }
}
