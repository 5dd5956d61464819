//! One file per format, each written from a finished [`Profile`] and nothing else.
//!
//! Names in a profile are untrusted. They pass through [`text::printable`] on their way into every format, so
//! that no file and no terminal ever sees a control character from a profiled process; what a format treats
//! specially beyond that (`;`, `<`, quotes) is escaped where that format is written.

mod budget;
mod collapsed;
mod file_name;
mod flamegraph;
mod folded;
mod frame;
pub mod hottest;
mod memory;
mod pprof;
mod speedscope;
pub mod stats;
pub mod summary;
mod table;
#[cfg(test)]
mod testing;
pub mod text;
mod written;

use std::{
    fmt,
    io::{self, Write},
    path::Path,
};

use clap::ValueEnum;

use crate::profile::model::Profile;

/// What a profile is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum Format {
    /// Interactive flame graph (SVG)
    #[default]
    Flamegraph,
    /// One line per stack: `root;...;leaf COUNT`
    Collapsed,
    /// For <https://www.speedscope.app>
    Speedscope,
    /// For `go tool pprof` and all that read its files
    Pprof,
}

impl Format {
    /// The format that a file's ending stands for.
    #[must_use]
    pub fn from_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let ends_with = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends_with(&[".svg"]) {
            Some(Self::Flamegraph)
        } else if ends_with(&[".txt", ".folded", ".collapsed"]) {
            Some(Self::Collapsed)
        } else if ends_with(&[".json"]) {
            Some(Self::Speedscope)
        } else if ends_with(&[".pb.gz", ".pb"]) {
            Some(Self::Pprof)
        } else {
            None
        }
    }

    /// The ending of a file in this format, without the leading dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Flamegraph => "svg",
            Self::Collapsed => "txt",
            Self::Speedscope => "json",
            Self::Pprof => "pb.gz",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flamegraph => "flamegraph",
            Self::Collapsed => "collapsed",
            Self::Speedscope => "speedscope",
            Self::Pprof => "pprof",
        })
    }
}

/// What can stand under a stack's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Group {
    /// The container's name or short id
    Container,
    /// `comm (pid 123)`
    Process,
    /// `name (tid 124)`
    Thread,
}

/// How a profile is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Keep threads apart: a frame of its own in stacks (as with [`Group::Thread`]), a profile of its own in speedscope.
    pub threads: bool,
    /// Frames under the root, outermost first; of flame graphs and collapsed stacks.
    pub group_by: Vec<Group>,
    /// Add up all lines of a function: frames show its first line.
    pub function_only: bool,
    /// No line numbers, and so no telling apart of places in a function.
    pub no_lines: bool,
    /// File names as the code objects have them. pprof always has those: it looks for the source there.
    pub full_filenames: bool,
    /// Flame graphs grow from the bottom up.
    pub flame: bool,
}

impl Options {
    /// Whether threads are shown apart.
    #[must_use]
    pub fn shows_threads(&self) -> bool {
        self.groups().contains(&Group::Thread)
    }

    /// The frames under the root: `group_by`, and threads where asked for otherwise.
    fn groups(&self) -> Vec<Group> {
        let mut groups = self.group_by.clone();
        if self.threads && !groups.contains(&Group::Thread) {
            groups.push(Group::Thread);
        }
        groups
    }
}

/// What is said where there is nothing to show.
const NO_SAMPLES: &str = "No samples: no Python process used the CPU while this was recorded.";

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or pipe did not take it.
    #[error("cannot write the profile: {0}")]
    Write(#[from] io::Error),
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        // The structures that we serialise are all representable: what fails is the writer.
        Self::Write(error.into())
    }
}

/// Writes a profile.
///
/// # Errors
/// Where `out` fails.
pub fn write(
    profile: &Profile,
    format: Format,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Error> {
    match format {
        Format::Flamegraph => flamegraph::write(profile, options, out)?,
        Format::Collapsed => collapsed::write(profile, options, out)?,
        Format::Speedscope => speedscope::write(profile, options, out)?,
        Format::Pprof => pprof::write(profile, options, out)?,
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that a file's ending chooses the format, whatever the case, and an unknown one chooses none.
    #[test]
    fn the_ending_tells_the_format() {
        for (path, format) in [
            ("a.svg", Some(Format::Flamegraph)),
            ("/tmp/A.SVG", Some(Format::Flamegraph)),
            ("a.txt", Some(Format::Collapsed)),
            ("a.folded", Some(Format::Collapsed)),
            ("a.collapsed", Some(Format::Collapsed)),
            ("a.speedscope.json", Some(Format::Speedscope)),
            ("a.pb.gz", Some(Format::Pprof)),
            ("a.pb", Some(Format::Pprof)),
            ("a.gz", None),
            ("svg", None),
            ("dir.svg/", Some(Format::Flamegraph)),
            ("/", None),
        ] {
            assert_eq!(Format::from_path(Path::new(path)), format, "{path}");
        }
    }

    /// Makes sure that each format is found by the name that it prints and by its own default ending.
    #[test]
    fn names_and_endings_lead_back_to_the_format() {
        for &format in Format::value_variants() {
            assert_eq!(Format::from_str(&format.to_string(), false), Ok(format));
            let path = format!("profile.{}", format.extension());
            assert_eq!(Format::from_path(Path::new(&path)), Some(format));
        }
    }

    /// Makes sure that asking for threads twice does not show them twice.
    #[test]
    fn threads_are_grouped_once() {
        let options = Options {
            threads: true,
            group_by: vec![Group::Thread, Group::Process],
            ..Options::default()
        };
        assert_eq!(options.groups(), [Group::Thread, Group::Process]);
    }
}
