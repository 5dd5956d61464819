//! The counts that are committed, and how others compare.

use std::{collections::BTreeMap, fmt, fs, path::PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::paths;

/// A count may be so many times the committed one.
const TOLERANCE: f64 = 1.05;

/// All counts.
#[derive(Debug, Deserialize, Serialize)]
pub struct Counts {
    /// What the verifier says.
    pub verifier: Verifier,
    /// Bytes of a ring buffer that a sample takes in the steady state.
    pub bytes_per_sample: f64,
    /// What compiled the user side.
    pub compiler: String,
    /// What the user side does, by what it is.
    pub user_space: BTreeMap<String, f64>,
}

/// Instructions that the verifier followed.
#[derive(Debug, Deserialize, Serialize)]
pub struct Verifier {
    /// The kernel's version: another one counts otherwise.
    pub kernel: String,
    /// By program.
    pub instructions: BTreeMap<String, u64>,
}

impl Counts {
    /// Those that are committed.
    pub fn committed() -> Result<Self> {
        let text = fs::read_to_string(path())
            .context("no counts are committed: cargo xtask counts --write")?;
        serde_json::from_str(&text).with_context(|| path().display().to_string())
    }

    /// Commits to these.
    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path(), text).with_context(|| format!("cannot write {}", path().display()))
    }

    /// Compares with those that are committed.
    pub fn compare(&self, committed: &Self) -> Comparison {
        let mut comparison = Comparison::default();
        let (ours, theirs) = (&self.verifier, &committed.verifier);
        if ours.kernel == theirs.kernel {
            let name = |program: &String| format!("instructions verified, {program}");
            let before = |program: &String| Some(*theirs.instructions.get(program)? as f64);
            for (program, &count) in &ours.instructions {
                comparison.add(name(program), before(program), count as f64);
            }
        } else {
            comparison.notes.push(format!(
                "Instructions verified are not compared: committed are those of Linux {}, this is {}.",
                theirs.kernel, ours.kernel
            ));
        }
        comparison.add(
            "bytes, a sample".into(),
            Some(committed.bytes_per_sample),
            self.bytes_per_sample,
        );
        let is_comparable = self.compiler == committed.compiler;
        for (name, &count) in &self.user_space {
            let before = committed.user_space.get(name).copied();
            if is_comparable || !name.starts_with("instructions") {
                comparison.add(name.clone(), before, count);
            }
        }
        if !is_comparable {
            comparison.notes.push(format!(
                "Instructions of user space are not compared: committed are those of {}, this is {}.",
                committed.compiler, self.compiler
            ));
        }
        comparison
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All of them, beside themselves.
        write!(f, "{}", self.compare(self))
    }
}

fn path() -> PathBuf {
    paths::workspace().join("tests/counts.json")
}

/// Counts beside those that are committed.
#[derive(Debug, Default)]
pub struct Comparison {
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Row {
    name: String,
    /// None: it is new.
    committed: Option<f64>,
    count: f64,
}

impl Row {
    fn has_risen(&self) -> bool {
        self.committed
            .is_none_or(|committed| self.count > committed * TOLERANCE)
    }

    fn verdict(&self) -> &'static str {
        let Some(committed) = self.committed else {
            return "  NEW";
        };
        if self.has_risen() {
            "  RISEN"
        } else if self.count * TOLERANCE < committed {
            "  lower: time to commit to it"
        } else {
            ""
        }
    }
}

impl Comparison {
    fn add(&mut self, name: String, committed: Option<f64>, count: f64) {
        self.rows.push(Row {
            name,
            committed,
            count,
        });
    }

    /// Whether a count is too high, or is of something new.
    pub fn has_risen(&self) -> bool {
        self.rows.iter().any(Row::has_risen)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>12} {:>12}", "committed", "counted")?;
        for row in &self.rows {
            let committed = row
                .committed
                .map_or_else(|| "-".into(), |count| format!("{count:.1}"));
            let (count, name, verdict) = (row.count, &row.name, row.verdict());
            writeln!(f, "{committed:>12} {count:>12.1}  {name}{verdict}")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Counts, Verifier};

    fn counts(kernel: &str, verified: u64, bytes: f64, allocations: f64) -> Counts {
        Counts {
            verifier: Verifier {
                kernel: kernel.into(),
                instructions: BTreeMap::from([("sample".into(), verified)]),
            },
            bytes_per_sample: bytes,
            compiler: String::new(),
            user_space: BTreeMap::from([("allocations".into(), allocations)]),
        }
    }

    /// Makes sure that a rise of more than 5 % is one, that from nothing everything is a rise, and that another
    /// kernel's verifier is not compared with.
    #[test]
    fn rises() {
        let committed = counts("6.18", 1000, 64.0, 0.0);
        for (ours, has_risen) in [
            (counts("6.18", 1050, 67.0, 0.0), false),
            (counts("6.18", 500, 10.0, 0.0), false),
            (counts("6.18", 1051, 64.0, 0.0), true),
            (counts("6.1", 2000, 64.0, 0.0), false),
            (counts("6.18", 1000, 68.0, 0.0), true),
            (counts("6.18", 1000, 64.0, 1.0), true),
        ] {
            assert_eq!(ours.compare(&committed).has_risen(), has_risen, "{ours:?}");
        }
    }

    /// Makes sure that what another compiler makes of user space is not compared with, save for what does not depend
    /// on it.
    #[test]
    fn other_compilers() {
        let committed = counts("6.18", 1, 1.0, 0.0);
        for (name, has_risen) in [("instructions, a sample", false), ("allocations", true)] {
            let mut ours = counts("6.18", 1, 1.0, 0.0);
            ours.compiler = "a newer one".into();
            ours.user_space.insert(name.into(), 9.0);
            assert_eq!(ours.compare(&committed).has_risen(), has_risen, "{name}");
        }
    }

    /// Makes sure that a count of something new is committed to before it passes.
    #[test]
    fn something_new() {
        let mut committed = counts("6.18", 1, 1.0, 0.0);
        committed.verifier.instructions.clear();
        assert!(counts("6.18", 1, 1.0, 0.0).compare(&committed).has_risen());
    }
}
