//! Where a profile was written, and how to open it.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{Format, text::printable};

/// Where a profile was written.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// The file; None: standard output.
    pub path: Option<&'a Path>,
    /// What it is.
    pub format: Format,
}

impl Written<'_> {
    /// Says so, and how to open it.
    pub(super) fn say(self, out: &mut dyn Write) -> io::Result<()> {
        let Some(path) = self.path else {
            return writeln!(
                out,
                "\nWrote the profile ({}) to standard output",
                self.format
            );
        };
        let path = printable(&path.to_string_lossy()).into_owned();
        writeln!(out, "\nWrote {path}")?;
        let word = shell_word(&path);
        match self.format {
            Format::Flamegraph => writeln!(out, "  open it in a browser: xdg-open {word}"),
            Format::Collapsed => {
                writeln!(
                    out,
                    "  open it: npx speedscope {word}   or any tool that reads collapsed stacks"
                )
            }
            Format::Speedscope => writeln!(
                out,
                "  open it: npx speedscope {word}   or drop it on https://www.speedscope.app"
            ),
            Format::Pprof => writeln!(out, "  open it: go tool pprof -http=: {word}"),
        }
    }
}

/// A path as a word for the shell.
fn shell_word(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.into()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}
