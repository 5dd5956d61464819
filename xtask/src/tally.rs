//! Counts what tests did from what libtest prints.

use std::{
    collections::BTreeSet,
    fmt,
    io::BufRead,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// How a line begins with which a test says that it did not test: the reason follows.
const SKIPPED: &str = "skipped:";

/// Tests that passed, failed and were skipped. A test that said it skipped something does not count as passed.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Passed, all of it.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Skipped, in part or whole, or ignored.
    pub skipped: u64,
    section: Section,
    skipping: BTreeSet<String>,
}

#[derive(Debug, Default, Eq, PartialEq)]
enum Section {
    #[default]
    Running,
    /// The output of the passed test of that name.
    Passed(String),
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

impl Tally {
    /// Takes one line of libtest's output (with `--show-output`); returns what of it a person wants to see.
    pub fn line(&mut self, line: &str) -> Option<String> {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.section = Section::Running;
            self.result(counts);
            return Some(line.to_owned());
        }
        if line == "successes:" {
            self.section = Section::Passed(String::new());
        } else if line == "failures:" {
            self.section = Section::Running;
        }
        let Section::Passed(test) = &mut self.section else {
            return Some(line.to_owned());
        };
        if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            name.clone_into(test);
        } else if let Some(reason) = line.strip_prefix(SKIPPED) {
            self.skipping.insert(test.clone());
            return Some(format!("{SKIPPED} {test}:{reason}"));
        }
        None
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
    fn result(&mut self, counts: &str) {
        let count = |what: &str| {
            counts
                .split([';', '.'])
                .filter_map(|part| part.trim().strip_suffix(what))
                .find_map(|number| number.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        let skipping = self.skipping.len() as u64;
        self.skipping.clear();
        self.passed += count(" passed").saturating_sub(skipping);
        self.failed += count(" failed");
        self.skipped += count(" ignored") + skipping;
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Runs a command that runs tests, shows what it prints, and counts.
    pub fn of(command: &mut Command) -> Result<Self> {
        let mut tally = Self::default();
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", crate::shell::display(command)))?;
        if let Some(stdout) = child.stdout.take() {
            let mut reader = std::io::BufReader::new(stdout);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                let text = String::from_utf8_lossy(&line);
                if let Some(shown) = tally.line(text.trim_end_matches('\n')) {
                    println!("{shown}");
                }
                line.clear();
            }
        }
        let status = child.wait()?;
        if !status.success() && tally.failed == 0 {
            bail!("{}: {status}", crate::shell::display(command));
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    /// Counts over several test programs add up, a test that skipped is not passed, and what passed tests print stays hidden.
    #[test]
    fn counts_what_libtest_prints() {
        let output = "\
running 4 tests
test one ... ok
test two ... ok
test three ... FAILED
test four ... ignored

successes:

---- one stdout ----
chatter
skipped: no such kernel
skipped: nor that one

---- two stdout ----
more chatter

successes:
    one
    two

failures:

---- three stdout ----
it broke

failures:
    three

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
running 1 test
test five ... ok

successes:

successes:
    five

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.25s";
        let mut tally = Tally::default();
        let shown: Vec<String> = output.lines().filter_map(|line| tally.line(line)).collect();
        assert_eq!(tally.to_string(), "2 passed, 1 failed, 2 skipped");
        assert!(shown.contains(&"skipped: one: no such kernel".to_owned()));
        assert!(shown.contains(&"it broke".to_owned()));
        assert!(!shown.iter().any(|line| line.contains("chatter")));
    }
}
