//! The terminal of the person who is told.

use std::io::{IsTerminal, stderr};

/// Columns of what does not go to a terminal.
const COLUMNS: usize = 100;

/// How many columns there are where standard error goes.
#[must_use]
pub fn columns() -> usize {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ writes a winsize, which `size` is.
    let known = stderr().is_terminal()
        && unsafe { libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &raw mut size) } == 0;
    if known && size.ws_col > 0 {
        size.ws_col.into()
    } else {
        COLUMNS
    }
}
