//! `co_lnotab` of CPython 3.6 to 3.9: pairs of an unsigned byte delta and a signed line delta.

use super::Position;

/// As `PyCode_Addr2Line` in CPython 3.9's `Objects/codeobject.c`: a pair's line delta holds from the
/// address on that its byte delta leads to.
pub(super) fn position(table: &[u8], first_line: i32, instruction: u64) -> Position {
    let mut line = first_line;
    let mut address = 0u64;
    for &[bytes, lines] in table.as_chunks().0 {
        address += u64::from(bytes);
        if address > instruction {
            break;
        }
        line = line.wrapping_add(i32::from(lines.cast_signed()));
    }
    Position::of_line(line)
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

    /// Makes sure that the table printed in CPython's `Objects/lnotab_notes.txt` (3.6 to 3.9) reads as
    /// it says there: offsets 0, 6, 50, 350, 361 are lines 1, 2, 7, 207, 208.
    #[test]
    fn example_of_the_notes() {
        let table = [
            0, 1, 6, 1, 44, 5, 255, 0, 45, 127, 0, 73, // 300 bytes, 200 lines further
            11, 1,
        ];
        assert_eq!(
            lines(&table, 0, &[0, 5, 6, 49, 50, 349, 350, 360, 361, 10_000]),
            [1, 1, 2, 2, 7, 7, 207, 207, 208, 208].map(Some)
        );
    }

    /// Makes sure that a line delta above 127 goes back.
    #[test]
    fn backwards() {
        let table = [2, 10, 2, 0xf9];
        assert_eq!(lines(&table, 100, &[0, 2, 4]), [100, 110, 103].map(Some));
    }

    /// Makes sure that half a pair at the end is passed over, and that a negative line is no line.
    #[test]
    fn malformed() {
        assert_eq!(lines(&[2], 1, &[0, 8]), [Some(1), Some(1)]);
        assert_eq!(lines(&[0, 0x80], 1, &[0]), [None]);
    }
}
