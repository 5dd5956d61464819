//! Tables for a terminal.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::text::for_terminal;

/// Writes rows in columns: numbers to the right, the last column to the left and cut to what is left of the width.
pub(super) fn write(
    rows: &[impl AsRef<[String]>],
    columns: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(row.as_ref().len(), 0);
        for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
            *width = cell.width().max(*width);
        }
    }
    for row in rows {
        let Some((last, row)) = row.as_ref().split_last() else {
            continue;
        };
        let mut used = 0;
        for (cell, width) in row.iter().zip(&widths) {
            // Not `{:>width$}`: that counts characters, and µ and … may differ from columns.
            let indent = width - cell.width() + 2;
            write!(out, "{:indent$}{cell}", "")?;
            used += width + 2;
        }
        let last = for_terminal(last, columns.saturating_sub(used + 2).max(20));
        writeln!(out, "  {last}")?;
    }
    Ok(())
}
